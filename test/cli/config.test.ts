/** The command line with a configuration: what it shows, what it starts, and where keys are not. */
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Place, until } from '../scenario/harness.ts'

const SECRET = 'canary-0815-canary'
const SCRIPT = new URL('../scenario/script.js', import.meta.url).pathname

let place: Place
let file: string
beforeEach(() => {
  place = new Place()
  file = join(place.root, 'c.json')
})
afterEach(() => place.dispose())

function configure(settings: object): void {
  writeFileSync(file, JSON.stringify(settings))
  chmodSync(file, 0o600)
}

const script = (code: string, ...flags: string[]): [string[], NodeJS.ProcessEnv] =>
  [['run', '--config', file, ...flags, '--', process.execPath, SCRIPT], { T_CODE: code }]

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

describe('config show', () => {
  it('has an example, and says where each value comes from', async () => {
    expect((await place.run(['config', 'show', '--help'])).stdout).toMatch(/^ {2}--json .*^Example:\n/ms)
    configure({ project: 'filed', exitTimeout: 7, cometCalls: '5/1', webhookSecret: SECRET })
    const env = { RANKZERO_PROJECT: 'said', RANKZERO_WEBHOOK_URL: `https://x.example/${SECRET}` }
    const text = await place.run(['config', 'show', '--origin', '--config', file], env)
    expect([text.code, text.stderr]).toEqual([0, ''])
    expect(text.stdout).toMatch(new RegExp(`^project +said +RANKZERO_PROJECT, not ${file}: project`, 'm'))
    expect(text.stdout).toMatch(/^webhookUrl +variable RANKZERO_WEBHOOK_URL +RANKZERO_WEBHOOK_URL$/m)
    const json = await place.run(['config', 'show', '--json', '--config', file], env)
    const { settings, central, problems } = JSON.parse(json.stdout)
    const of = (name: string) => settings.find((one: { name: string }) => one.name === name)
    expect([central, problems]).toEqual([null, []])
    expect(of('exitTimeout')).toMatchObject({ value: 7, from: 'file', place: `${file}: exitTimeout` })
    expect(of('cometCalls').value).toBe('5/1')
    expect(of('project').overruled).toEqual([{ value: 'filed', from: 'file', place: `${file}: project` }])
    expect(text.stdout + json.stdout).not.toContain(SECRET)
  })

  it('and doctor show what is wrong, with everything else', async () => {
    configure({ project: 'good', sealAfter: 'soon' })
    const shown = await place.run(['config', 'show', '--config', file])
    expect(shown.code).toBe(2)
    expect(shown.stdout).toMatch(/^project +good$/m)
    expect(shown.stderr).toMatch(/sealAfter is 'soon': .* \[CONFIG\]\nrankzero: to do: Give /)
    const { findings } = place.json<{ findings: { level: string; what: string }[] }>(
      ['doctor', '--json', '--config', file])
    const found = findings.filter(({ what }) => what.includes("sealAfter is 'soon'"))
    expect(found).toMatchObject([{ level: 'error' }])
  })
})

describe('run', () => {
  it('does not start what is configured wrongly', async () => {
    const mark = join(place.root, 'started')
    configure({ onColision: 'wait' })
    const touch = ['--', 'touch', mark]
    const typo = await place.run(['run', '--config', file, ...touch])
    const unset = await place.run(['run', '--backend', 'webhook', ...touch])
    const central = await place.run(['run', ...touch], { RANKZERO_CONFIG_URL: 'http://127.0.0.1:9/c.json' })
    expect([typo.code, unset.code, central.code]).toEqual([2, 2, 2])
    expect(typo.stderr).toContain('is onCollision meant?')
    expect(unset.stderr).toContain('RANKZERO_WEBHOOK_URL')
    expect(central.stderr).toContain('http://127.0.0.1:9/c.json: ')
    expect(existsSync(mark)).toBe(false)
    expect(place.runs()).toEqual([])
  })

  it('takes project, name and key from the file, where the code says nothing', async () => {
    configure({ project: 'filed', name: 'named', key: 'kept', exitTimeout: 21, overflowCap: '8MiB' })
    const done = await place.run(...script(
      'run.log({ a: 1 }); return [process.env.RANKZERO_EXIT_TIMEOUT, process.env.RANKZERO_OVERFLOW_CAP]'))
    expect(done.code, done.stderr).toBe(0)
    expect(JSON.parse(done.stdout)).toEqual(['21', `${8 * 2 ** 20}`])
    expect(place.status()).toMatchObject({ project: 'filed', name: 'named', key: 'kept' })
  })

  it('lets init() and variables say otherwise', async () => {
    configure({ project: 'filed', name: 'named', key: 'kept' })
    const trainer = new URL('../scenario/trainer.js', import.meta.url).pathname
    const done = await place.run(['run', '--config', file, '--', process.execPath, trainer],
      { T_INIT_KEY: 'of-the-code', RANKZERO_NAME: 'said', T_STEPS: '3' })
    expect(done.code, done.stderr).toBe(0)
    expect(place.status()).toMatchObject({ project: 'filed', name: 'said', key: 'of-the-code' })
  })

  it('keeps keys from COMMAND, and they are in no file but the configuration', async () => {
    const who = join(place.root, 'who')
    const vault = `tr '\\0' ' ' < /proc/$PPID/cmdline >> ${who}; cat ${place.root}/vault`
    configure({
      backend: ['webhook'], webhookUrl: { env: 'MY_HOOK' }, exitTimeout: 1,
      webhookSecret: { command: ['sh', '-c', vault] },
      cometApiKey: SECRET,
    })
    writeFileSync(join(place.root, 'vault'), `${SECRET}\n`, { mode: 0o600 })
    const [argv, env] = script('run.log({ a: 1 }); return Object.values(process.env)')
    const done = await place.run(argv, { ...env, MY_HOOK: `http://127.0.0.1:9/${SECRET}` })
    expect(done.code, done.stderr).toBe(0)
    expect(done.stdout + done.stderr).not.toContain(SECRET)
    expect(readFileSync(who, 'utf8')).toMatch(/^([^ ]+ [^ ]+ aggregator --[^\n]+ )+$/)
    const having = filesBelow(place.root).filter((path) => readFileSync(path).includes(SECRET))
    expect(having.sort()).toEqual([file, join(place.root, 'vault')])
  })

  it('goes on without a key that cannot be had, and says so in its log', async () => {
    const command = ['sh', '-c', `echo ${SECRET}; exit 5`]
    configure({
      backend: ['webhook', 'comet'], webhookUrl: { env: 'MY_HOOK' }, exitTimeout: 1,
      webhookSecret: { command }, cometApiKey: { command },
    })
    const [argv, env] = script('run.log({ a: 1 })')
    const done = await place.run(argv, { ...env, MY_HOOK: 'http://127.0.0.1:9/' })
    expect(done.code, done.stderr).toBe(0)
    await until('the end', 60_000, () => place.picture()?.state === 'ended')
    const why = 'webhookSecret, command sh …: it exits with 5'
    const [, webhook, comet] = place.picture()!.backends
    expect(webhook).toMatchObject({ name: 'webhook', pending: 2, fault: why })
    const fault = 'there is no API key: cometApiKey, command sh …: it exits with 5'
    expect(comet).toMatchObject({ name: 'comet', pending: 1, fault })
    const log = readFileSync(join(place.dir, place.runs()[0]!, 'log', 'aggregator.log'), 'utf8')
    expect(log).toContain(why)
    expect(log).not.toContain(SECRET)
  })
})
