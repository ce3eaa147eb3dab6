/**
 * The keys of trackers in one job with everything that could let them out: a server and a receiver that
 * repeat them, a server that goes away, debug mode, an archive, sync. They stay where the user put them.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { arrived, cometPlace } from '../comet/kit.ts'
import { spawnStandIn } from '../comet/process.ts'
import { CLI, until, type Place } from '../scenario/harness.ts'
import { cleanups, expectNowhere, filesBelow, holding, processes, type Found } from './kit.ts'

/** As anybody could have written it down; base64 of it at any place of a longer text. */
function formsOf(secret: string): Buffer[] {
  const bytes = Buffer.from(secret)
  const shifted = [0, 1, 2].flatMap((shift) => {
    const whole = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64').replace(/=+$/, '')
    const inner = whole.slice(Math.ceil(shift * 8 / 6), -1)
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')]
  })
  const texts = [
    secret, encodeURIComponent(secret), encodeURI(secret), JSON.stringify(secret).slice(1, -1), ...shifted,
    bytes.toString('hex'), bytes.toString('hex').toUpperCase(), JSON.stringify([...bytes]).slice(1, -1),
  ]
  return [...texts.map((text) => Buffer.from(text)), Buffer.from(secret, 'utf16le')]
}

/** A receiver that is out of order until told, and repeats what it was asked for. */
async function startReceiver(): Promise<{ port: number; works: (does: boolean) => void; server: Server }> {
  let status = 500
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(status).end(`${request.url} failed`))
  })
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  cleanups.push(() => { server.close().closeAllConnections() })
  const works = (does: boolean): void => { status = does ? 200 : 500 }
  return { port: (server.address() as AddressInfo).port, works, server }
}

/** Below /dev/shm: what has changed since, of anybody, as far as it is no heap of others. */
const freshShm = (since: number): Found[] => readdirSync('/dev/shm').flatMap((name) => {
  const path = join('/dev/shm', name)
  try {
    const { mtimeMs, size } = statSync(path)
    if (mtimeMs < since || size > 64 << 20) return []
    return statSync(path).isFile() ? [{ path, bytes: readFileSync(path) }] : filesBelow(path)
  } catch {
    return [] // Of others, and gone by now.
  }
})

/** A rank that has a child of its own, logs and prints, and leaves a file at the end. */
const CODE = `const { spawn } = process.getBuiltinModule('node:child_process')
  const { existsSync } = process.getBuiltinModule('node:fs')
  const child = spawn('sleep', ['600'])
  for (let step = 0; !existsSync(process.env.T_STOP); step++) {
    run.log({ a: step }, { step })
    if (step % 20 === 0) console.log('at step ' + step)
    await sleep(50)
  }
  run.asset(Buffer.from('late'), { name: 'late' })
  child.kill()`
const SCRIPT = new URL('../scenario/script.js', import.meta.url).pathname

/** The role in our own command line; `helper` of what agent and aggregator start; else its words. */
function roleOf(path: string): string {
  try {
    const at = join(path, '..')
    const words = readFileSync(join(at, 'cmdline'), 'utf8').split('\0')
    if (words[1] === CLI) return words[2]!
    if (words[0] === '') return 'gone'
    const parent = /^PPid:\s*(\d+)/m.exec(readFileSync(join(at, 'status'), 'utf8'))![1]!
    const above = roleOf(join('/proc', parent, 'environ'))
    return ['agent', 'aggregator', 'helper'].includes(above) ? 'helper' : words.join(' ')
  } catch {
    return 'gone'
  }
}

const ASKED = [
  'status', 'status --json', 'audit --json', 'doctor --json --backend comet', 'config show --origin',
  'config show --json', 'console', 'export --points', 'sync',
]

interface Placed { env: NodeJS.ProcessEnv; file: string | null }

/** Where the user puts them. */
function put(place: Place, how: string, keys: Record<'api' | 'url' | 'secret', string>): Placed {
  const { api, url, secret } = keys
  if (how === 'the environment') {
    const env = { COMET_API_KEY: api, RANKZERO_WEBHOOK_URL: url, RANKZERO_WEBHOOK_SECRET: secret }
    return { env, file: null }
  }
  const file = join(place.root, 'home', '.rankzero', 'config.json')
  mkdirSync(join(file, '..'))
  const config = { cometApiKey: api, webhookUrl: url, webhookSecret: secret }
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
  return { env: {}, file }
}

it.each(['the configuration file', 'the environment'])('keys in %s are nowhere else', async (how) => {
  const begun = Date.now() - 1000
  const receiver = await startReceiver()
  const token = randomBytes(9).toString('hex')
  const keys = {
    api: `k${randomBytes(9).toString('hex')}`, secret: `"s+/${randomBytes(9).toString('hex')}é ü`,
    url: `http://127.0.0.1:${receiver.port}/hook/t+${token}?of=/${token}`,
  }
  const forms = [keys.api, token, keys.secret].flatMap(formsOf)
  const said = (status: number, match: string, times?: number) =>
    ({ match, status, kind: 'answer', body: JSON.stringify({ msg: `${keys.api} is unwelcome` }),
      ...times === undefined ? {} : { times } }) as const
  const server = await spawnStandIn({ knobs: { keys: [keys.api], beatMs: 1000, faults: [
    said(401, 'status-report', 1), said(500, 'experiment/output', 2), said(400, 'log-other'),
    said(400, 'batch/logger/experiment/m', 1),
  ] } })
  cleanups.push(() => void server.close())
  const place = cometPlace(server.url, { COMET_API_KEY: '' })
  cleanups.push(() => place.dispose())
  mkdirSync(join(place.root, 'tmp'))
  const { env, file } = put(place, how, keys)
  const all = { ...env, TMPDIR: join(place.root, 'tmp'), T_CODE: CODE, T_STOP: place.endless['T_STOP'] }

  const seen = new Set<string>()
  const look = (): void => {
    const files = [...filesBelow(place.root), ...freshShm(begun)]
    expect(holding(forms, files)).toEqual(file === null ? [] : [file])
    const found = processes()
    expectNowhere(forms, found.filter(({ path }) => path.endsWith('cmdline')))
    for (const path of holding(forms, found)) seen.add(roleOf(path))
  }
  const flags = ['--debug', '--backend', 'comet,webhook', '--nproc', '2', '--exit-timeout', '4']
  const job = place.start(['run', ...flags, '--', process.execPath, SCRIPT], all)
  await arrived(server.desk)
  const row = (name: string) => place.picture()?.backends.find((one) => one.name === name)
  await until('what is refused', 60_000, () => (row('comet')?.rejected ?? 0) > 0 && row('webhook')?.fault)
  look()
  await server.desk.set({ down: true })
  await until('a server that is gone', 60_000, () => row('comet')?.state === 'retrying')
  look()
  place.stop()
  const done = await job.ended
  expect(done.code, done.stderr).toBe(0)
  await until('the end', 60_000, () => place.picture()?.state === 'ended')
  look()
  const [archive] = filesBelow(place.dir).filter(({ path }) => path.endsWith('.zip'))
  const unpacked = join(place.root, 'unpacked')
  execFileSync('unzip', ['-q', archive!.path, '-d', unpacked])
  expect(filesBelow(unpacked).map(({ bytes }) => bytes.toString())).toContain('late')

  await server.desk.set({ down: false, faults: [said(401, 'log-other', 1)] })
  receiver.works(true)
  const answers = [done]
  for (const asked of ASKED) answers.push(await place.run(asked.split(' '), { ...all, RANKZERO_DEBUG: '1' }))
  expect(answers.at(-1)!.code, answers.at(-1)!.stderr).toBe(0)
  look()
  for (const { stdout, stderr } of answers) {
    expectNowhere(forms, [{ path: 'an answer', bytes: Buffer.from(stdout + stderr) }])
  }
  // What was searched is what there is to search.
  const files = filesBelow(place.dir)
  expect(holding([Buffer.from('(the API key) is unwelcome')], files)).not.toEqual([])
  expect(files.map(({ path }) => path)).toContainEqual(expect.stringMatching(/requests\.log$/))
  // Who is started with a key, by the user's own environment, hands it on to nobody but its own helpers.
  const who = [...seen].filter((role) => role !== 'helper' && role !== 'gone').sort()
  expect(who).toEqual(file === null ? ['agent', 'aggregator', 'run'] : [])
  if (file !== null) expect([...seen]).toEqual([])
}, 300_000)
