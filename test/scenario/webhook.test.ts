/** Backend webhook with the receiver of examples/webhook: who goes away when, and what it has heard then. */
import { createHmac } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { RunEvent } from '../../lib/record/run-event.ts'
import { ledgerPath } from '../../lib/backend/local.ts'
import { openLedger } from '../../lib/ledger/index.ts'
import { NO_PROXIES } from '../comet/kit.ts'
import { startTls } from '../comet/proxy.ts'
import { begin, kill, Place, until, type Started } from './harness.ts'

const RECEIVER = resolve(import.meta.dirname, '../../examples/webhook/receive.js')
const SCRIPT = resolve(import.meta.dirname, 'script.js')
const SECRET = 'between-us'

let place: Place
let receiver: Started | null = null
afterEach(() => {
  receiver?.child.kill('SIGKILL')
  place.dispose()
})

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => done(port))
    })
  })
}

const heardFile = (): string => join(place.root, 'heard.jsonl')

async function receive(port: number): Promise<void> {
  receiver = begin([process.execPath, RECEIVER, `${port}`, heardFile()],
    { env: { ...place.env, RANKZERO_WEBHOOK_SECRET: SECRET }, stdio: ['ignore', 'pipe', 'pipe'] })
  await until('a receiver that listens', 20_000, () => receiver!.stdout().includes('listening'))
}

async function gone(): Promise<void> {
  receiver!.child.kill('SIGKILL')
  await receiver!.ended
}

function heard(): RunEvent[] {
  try {
    return readFileSync(heardFile(), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
  } catch {
    return []
  }
}

/** As the ledger has decided. */
function decided(run = place.runs()[0]!): RunEvent[] {
  const ledger = openLedger(ledgerPath(join(place.dir, run)), { readonly: true })
  try {
    return [...ledger.entries()].flatMap((entry) =>
      entry.type === 'note' && entry.kind === 'event' ? [entry.body as RunEvent] : [])
  } finally {
    ledger.close()
  }
}

const hook = (port: number): NodeJS.ProcessEnv => ({
  RANKZERO_BACKEND: 'webhook', RANKZERO_WEBHOOK_URL: `http://127.0.0.1:${port}/hook`,
  RANKZERO_WEBHOOK_SECRET: SECRET,
})

/** Rank 1 stops to log when told, and fails when told; rank 0 logs to the end. */
const CODE = `const { existsSync } = await import('node:fs')
  for (let step = 0; !existsSync(process.env.T_PLACE + '/stop'); step++) {
    const stands = run.rank === 1 && existsSync(process.env.T_PLACE + '/stand')
    if (run.rank === 1 && existsSync(process.env.T_PLACE + '/fail')) process.exit(3)
    if (!stands) run.log({ a: step }, { step })
    await sleep(20)
  }`

describe('backend webhook', () => {
  it('tells each change once, in order, whatever is killed meanwhile', async () => {
    const port = await freePort()
    place = new Place({ ...hook(port), RANKZERO_EXIT_TIMEOUT: '40' })
    const say = (word: string): void => writeFileSync(join(place.root, word), '')
    const argv = ['run', '--nproc', '2', '--on-failure', 'continue', '--', process.execPath, SCRIPT]
    const started = place.start(argv, { T_CODE: CODE, T_PLACE: place.root })
    const dead = async (): Promise<void> => {
      const pid = await place.one('aggregator')
      kill(pid)
      await until('another aggregator', 60_000, () =>
        place.processes('aggregator').some((one) => one !== pid))
    }
    const knows = (event: RunEvent['event']): Promise<RunEvent> => until(`${event} in the ledger`, 90_000,
      () => place.picture() !== null && decided().find((one) => one.event === event))
    const has = (n: number): Promise<true> => until(`${n} events heard`, 90_000, () => heard().length >= n)

    await knows('live')
    await dead()
    await receive(port)
    await has(1)
    await gone()
    say('stand')
    const { stalled } = await knows('stalled')
    expect(stalled).toMatchObject({ ranks: '1' })
    await dead()
    say('fail')
    const { failure } = await knows('failure')
    expect(failure).toMatchObject({ rank: 1, exit: 3 })
    await dead()
    await receive(port)
    await has(3)
    await dead()
    say('stop')
    const done = await started.ended
    expect(done.code, done.stderr).toBe(3)
    await has(4)
    await until('the end', 60_000, () => place.picture()?.state === 'ended')

    expect(heard().map(({ n, event }) => [n, event])).toEqual(
      [[1, 'live'], [2, 'stalled'], [3, 'failure'], [4, 'ended']])
    expect(new Set(heard().map(({ id }) => id)).size).toBe(4)
    expect(heard()).toEqual(decided())
    const { logged } = place.status().books
    expect(heard()[3]).toMatchObject({
      status: 'failed', summary: { failures: 1, logged, admitted: logged, lost: 0, pending: 0 },
    })
    expect(place.status().backends[1]).toMatchObject({ name: 'webhook', state: 'ended', pending: 0 })
    expect(place.audit()).toMatchObject({ balanced: true, complete: true, backends: [{ name: 'local' }] })
  }, 300_000)

  it('waits in the ledger for `sync`, which makes no events of its own', async () => {
    const port = await freePort()
    place = new Place({ ...hook(port), RANKZERO_EXIT_TIMEOUT: '4' })
    const done = await place.run(['run', '--', process.execPath, SCRIPT], { T_CODE: 'run.log({ a: 1 })' })
    expect(done.code, done.stderr).toBe(0)
    // On a slow machine the end comes after the supervisor has gone.
    expect(done.stderr).toMatch(/rankzero sync/)
    await until('the end', 60_000, () => place.picture()?.state === 'ended')
    expect(place.status().backends[1]).toMatchObject({
      name: 'webhook', pending: 2, fault: 'the receiver cannot be reached: ECONNREFUSED',
    })
    await receive(port)
    const synced = await place.run(['sync'])
    expect(synced.code, synced.stderr + synced.stdout).toBe(0)
    expect(heard().map(({ event }) => event)).toEqual(['live', 'ended'])
    expect(heard()).toEqual(decided())
    expect((await place.run(['sync'])).code).toBe(0)
    expect(heard()).toHaveLength(2)
  }, 180_000)
})

describe('backend webhook by https', () => {
  it('names the CA as what is missing, then works by NODE_EXTRA_CA_CERTS', async () => {
    const port = await freePort()
    place = new Place({ ...hook(port), ...NO_PROXIES, RANKZERO_EXIT_TIMEOUT: '4' })
    await receive(port)
    const front = await startTls(`http://127.0.0.1:${port}`, place.root)
    try {
      const by = { RANKZERO_WEBHOOK_URL: `https://localhost:${front.port}/hook` }
      const code = { ...by, T_CODE: 'run.log({ a: 1 })' }
      const done = await place.run(['run', '--', process.execPath, SCRIPT], code)
      expect(done.code, done.stderr).toBe(0)
      await until('the end', 60_000, () => place.picture()?.state === 'ended')
      const [, row] = place.status().backends
      expect(row).toMatchObject({ pending: 2, fault: expect.stringMatching(/CA .*NODE_EXTRA_CA_CERTS=/) })
      expect(row).not.toHaveProperty('resent')
      expect(front.asked).toEqual([])
      const synced = await place.run(['sync'], { ...by, NODE_EXTRA_CA_CERTS: front.ca })
      expect(synced.code, synced.stderr + synced.stdout).toBe(0)
      expect(heard().map(({ event }) => event)).toEqual(['live', 'ended'])
      expect(front.asked.length).toBeGreaterThan(0)
    } finally {
      front.close()
    }
  }, 180_000)
})

describe('the receiver of the example', () => {
  const post = (port: number, body: string, more: Record<string, string>): Promise<number> =>
    fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body, headers: more }).then(({ status }) => status)
  const signed = (body: string, seconds: number, secret = SECRET): Record<string, string> => {
    const hex = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')
    return { 'rankzero-timestamp': `${seconds}`, 'rankzero-signature': `v1=${hex}` }
  }

  it('takes what is signed and of now, once; nothing else', async () => {
    place = new Place()
    const port = await freePort()
    await receive(port)
    const now = Math.floor(Date.now() / 1000)
    const body = JSON.stringify({ id: 'a', n: 1, event: 'live', run: 'r' })
    const all = [
      {}, signed(body, now, 'other'), signed(body, now - 3600), signed(`${body} `, now),
      { ...signed(body, now), 'rankzero-timestamp': `${now + 1}` }, { 'rankzero-timestamp': `${now}` },
    ]
    expect(await Promise.all(all.map((headers) => post(port, body, headers)))).toEqual(all.map(() => 401))
    expect(heard()).toEqual([])
    expect(await post(port, body, signed(body, now))).toBe(204)
    expect(await post(port, body, signed(body, now))).toBe(204)
    expect(heard()).toHaveLength(1)
    await gone()
    await receive(port)
    expect(await post(port, body, signed(body, now))).toBe(204)
    expect(heard()).toHaveLength(1)
  })
})
