/** Secrets are in their files and nowhere else: no process, log, ledger, answer or error. */
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { keysOf } from '../../lib/transport/index.ts'
import { z85 } from '../../lib/transport/z85.ts'
import { Place, TRAINER, until, type Ended } from '../scenario/harness.ts'
import { TwoHosts } from '../scenario/two-hosts.ts'
import { expectNowhere, filesBelow, processes } from './kit.ts'

const cleanups: (() => void)[] = []
afterEach(() => { for (const clean of cleanups.splice(0)) clean() })

/** A secret, and the private keys that follow from it, as anybody could have written them down. */
function formsOf(secret: Buffer): Buffer[] {
  const { server, client } = keysOf(secret)
  const forms = (bytes: Buffer): (Buffer | string)[] => [
    bytes, bytes.toString('hex'), bytes.toString('hex').toUpperCase(), bytes.toString('base64'),
    bytes.toString('base64url'), z85(bytes), JSON.stringify([...bytes]).slice(1, -1),
  ]
  return [...forms(secret), server.secretKey, client.secretKey].map((form) => Buffer.from(form as string))
}

const CANARY = 'comet-canary-7f3a9e'

describe('the run secret', () => {
  it('of a job on two hosts is in no process, file or answer but its own file', async () => {
    const job = { shared: false, metrics: 2, steps: 300, rate: 50, env: { COMET_API_KEY: CANARY } }
    const two = await TwoHosts.make(job)
    cleanups.push(() => two.dispose())
    const { place } = two
    two.start(0, 0)
    two.start(1, 2)
    const secrets = [readFileSync(two.secret, 'utf8').trim()].map((text) => Buffer.from(text, 'base64'))
    const meeting = await until('the secret of the meeting', 60_000, () =>
      filesBelow(place.root).find(({ path }) => /meet-.*\.secret$/.test(path)))
    secrets.push(Buffer.from(meeting.bytes.toString().trim(), 'hex'))
    expect(secrets.map((secret) => secret.length)).toEqual([32, 32])
    const forms = secrets.flatMap(formsOf)
    const own = (path: string): boolean => path === two.secret || path === meeting.path
    await until('both hosts at work', 60_000, () => two.runsOf(0).length === 1)
    for (let n = 0; n < 3; n++) {
      expectNowhere(forms, processes())
      await until('a second', 2000, () => true)
    }
    for (const { path } of filesBelow(place.root).filter(({ path }) => own(path))) {
      expect(statSync(path).mode & 0o777, path).toBe(0o600)
    }
    const done = await two.finished()
    await two.expectWhole()
    expectNowhere(forms, filesBelow(place.root).filter(({ path }) => !own(path)))
    const said = (args: string[]): Promise<Ended> => place.run([...args, '--dir', two.dirOf(0)],
      { RANKZERO_SECRET_FILE: two.secret, COMET_API_KEY: CANARY })
    const answers = await Promise.all([
      said(['status', '--json']), said(['status']), said(['audit', '--json']), said(['doctor', '--json']),
      said(['export']), said(['export', '--points']), said(['console']),
    ])
    const texts = [...done, ...answers].map(({ stdout, stderr }, n) =>
      ({ path: `answer ${n}`, bytes: Buffer.from(stdout + stderr) }))
    expectNowhere([...forms, Buffer.from(CANARY)], texts)
    expectNowhere([Buffer.from(CANARY)], filesBelow(place.root))
  }, 240_000)

  it('is not in the error about a file that holds it', async () => {
    const at = new Place()
    cleanups.push(() => at.dispose())
    const path = join(at.root, 'secret')
    const secret = Buffer.alloc(32, 0x5a)
    writeFileSync(path, secret.toString('hex'))
    chmodSync(path, 0o644)
    const readable = await at.run(['run', '--secret-file', path, '--', 'true'])
    writeFileSync(path, `${secret.toString('hex')}00`)
    chmodSync(path, 0o600)
    const wrong = await at.run(['run', '--secret-file', path, '--', 'true'])
    for (const { code, stderr } of [readable, wrong]) {
      expect(code).toBe(2)
      expect(stderr).toMatch(/the run secret .* cannot be used/)
      expectNowhere(formsOf(secret), [{ path: 'stderr', bytes: Buffer.from(stderr) }])
    }
  })
})

describe('keys of trackers', () => {
  const KEYS = {
    COMET_API_KEY: CANARY, MLFLOW_TRACKING_TOKEN: CANARY, MLFLOW_TRACKING_PASSWORD: CANARY,
    RANKZERO_WEBHOOK_SECRET: CANARY, RANKZERO_ANY_TOKEN: CANARY,
  }
  /** A worker that shows the names of what it sees of them. */
  const SHOW = `const seen = Object.keys(process.env).filter((name) => process.env[name] === '${CANARY}')
console.log('seen:' + seen)`

  it.each<[string, string[], string[]]>([
    ['are taken out of the environment of COMMAND', [], []],
    ['stay with --pass-keys', ['--pass-keys'], Object.keys(KEYS)],
  ])('%s', async (_, flags, seen) => {
    const at = new Place()
    cleanups.push(() => at.dispose())
    const env = { ...KEYS, RANKZERO_SECRET_FILE: '' }
    const words = ['--console', 'raw', ...flags, '--', process.execPath, '-e', SHOW]
    const { code, stdout, stderr } = await at.run(['run', '--nproc', '2', ...words], env)
    expect(code, stderr).toBe(0)
    const lines = stdout.trimEnd().split('\n').map((line) => line.slice('seen:'.length))
    const names = lines.map((line) => line.split(',').filter(Boolean).sort())
    expect(names).toEqual([[...seen].sort(), [...seen].sort()])
  })

  it('are in no file of a run, and on no command line', async () => {
    const at = new Place(KEYS)
    cleanups.push(() => at.dispose())
    const env = { T_METRICS: '1', T_STEPS: '100', T_RATE: '50' }
    const job = at.start(['run', '--nproc', '2', '--', process.execPath, TRAINER], env)
    await at.one('trainer')
    const shown = processes().filter(({ path }) => path.endsWith('cmdline'))
    expectNowhere([Buffer.from(CANARY)], shown)
    expect((await job.ended).code).toBe(0)
    expectNowhere([Buffer.from(CANARY)], filesBelow(at.root))
  })
})
