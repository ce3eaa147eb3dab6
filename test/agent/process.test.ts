import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { native } from '../../lib/native.ts'
import { makePlace, Owner, expected, originOf, valueOf, type Place } from './place.ts'
import { MiniHead, pointsOf, until } from './mini-head.ts'
import { randomOf } from './sim-head.ts'

/** Child processes run what `npm test` has built: Node 20 knows no TypeScript. */
const BUILT = new URL('../../dist/', import.meta.url).pathname
const AGENT = `
import { agentOptions, runAgent } from ${JSON.stringify(`${BUILT}agent/index.js`)}
const options = JSON.parse(process.argv[1])
process.exit(await runAgent(agentOptions({ ...options, env: { ...process.env, ...options.env }, cli: null })))
`
const OWNER = `
import { createJournal } from ${JSON.stringify(`${BUILT}journal/index.js`)}
import { procStart } from ${JSON.stringify(`${BUILT}journal/index.js`)}
const { origin, env } = JSON.parse(process.argv[1])
const journal = createJournal({
  origin: { ...origin, pid: process.pid, procStart: procStart(process.pid) },
  env: { ...process.env, ...env }, overflowCap: 1 << 28, localWorldSize: 1,
})
journal.define(0, ['loss'], 1)
let step = 0
function log() {
  for (let i = 0; i < 200; i++) {
    const at = journal.begin(1, false)
    journal.f64[at] = Math.fround(Math.sin(step))
    journal.commit(0, 1, step++, NaN, Date.now())
  }
  console.log(step)
}
setInterval(log, 5)
`

const ROUNDS = Number(process.env['RANKZERO_TEST_ROUNDS'] ?? 3)
const SEED = Number(process.env['RANKZERO_TEST_SEED'] ?? Date.now() % 1_000_000)
const places: Place[] = []
const heads: MiniHead[] = []
const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const head of heads.splice(0)) head.close()
  for (const place of places.splice(0)) place.remove()
})

function place(over: Parameters<typeof makePlace>[0] = {}): Place {
  const made = makePlace(over)
  places.push(made)
  return made
}

async function head(at: Place): Promise<MiniHead> {
  const dir = join(at.options.dir, 'run-1')
  mkdirSync(dir, { recursive: true })
  const made = await new MiniHead(dir).listen(at.options.lockDir, at.options.meeting)
  heads.push(made)
  return made
}

function child(script: string, argument: object, wrap: string[] = []): ChildProcess {
  const argv = [...wrap, process.execPath, '--input-type=module', '-e', script, JSON.stringify(argument)]
  const made = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  made.stderr!.setEncoding('utf8')
  children.push(made)
  return made
}

const agent = (at: Place, wrap: string[] = []): ChildProcess => child(AGENT, at.options, wrap)
const exitOf = async (process: ChildProcess): Promise<number | string> => {
  if (process.exitCode === null && process.signalCode === null) await once(process, 'exit')
  return process.exitCode ?? process.signalCode!
}

function textOf(process: ChildProcess): { text: string } {
  const out = { text: '' }
  process.stderr!.on('data', (chunk: string) => { out.text += chunk })
  return out
}

const spools = (at: Place): string[] => {
  const directory = join(at.options.dir, '.pending', at.options.meeting)
  return existsSync(directory) ? readdirSync(directory) : []
}

describe('agent process', () => {
  test('a second agent of the node leaves at once; signals for the job do not end the first', async () => {
    const at = place()
    const aggregator = await head(at)
    const owner = new Owner(at)
    const first = agent(at)
    await until(() => aggregator.books.has(owner.instance), 'the first agent')
    expect(await exitOf(agent(at))).toBe(0)
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) first.kill(signal)
    owner.log(10)
    owner.end()
    expect(await exitOf(first)).toBe(0)
    expect(pointsOf(aggregator.books.get(owner.instance)!)).toEqual(expected(10))
  })

  test(`killed at random instants (seed ${SEED}), each record arrives once and in order`, async () => {
    const random = randomOf(SEED)
    const at = place()
    const aggregator = await head(at)
    const owners = [new Owner(at, { rank: 0 }), new Owner(at, { rank: 1 })]
    const logging = setInterval(() => owners.forEach((owner) => owner.log(1 + Math.floor(random() * 400))), 4)
    for (let round = 0; round < ROUNDS; round++) {
      const running = agent(at)
      await until(() => aggregator.frames.includes('BATCH'), 'a batch')
      await new Promise((resolve) => setTimeout(resolve, random() * 300))
      running.kill('SIGKILL')
      await exitOf(running)
      aggregator.frames.length = 0
    }
    clearInterval(logging)
    owners.forEach((owner) => owner.end())
    expect(await exitOf(agent(at))).toBe(0)
    for (const owner of owners) {
      const book = aggregator.books.get(owner.instance)!
      expect(pointsOf(book)).toEqual(expected(owner.logged))
      expect(book.skips).toEqual([])
      expect(book.end).toMatchObject({ logged: owner.logged, lost: 0 })
    }
    expect(readdirSync(at.shm)).toEqual([])
  })

  test('an owner killed: all that log() returned from is there, and END names the signal', async () => {
    const at = place()
    const aggregator = await head(at)
    const origin = originOf(at)
    const owner = child(OWNER, { origin, env: at.options.env })
    let returned = 0
    createInterface({ input: owner.stdout! }).on('line', (line) => { returned = Number(line) })
    await until(() => returned > 0, 'the owner')
    const running = agent(at)
    await until(() => (aggregator.books.get(origin.instance)?.acked ?? 0) > 500, 'its records')
    owner.kill('SIGKILL')
    await exitOf(owner)
    expect(await exitOf(running)).toBe(0)
    const book = aggregator.books.get(origin.instance)!
    const points = pointsOf(book)
    expect(points.length).toBeGreaterThanOrEqual(returned)
    expect(points).toEqual(expected(points.length))
    // Without the addon there is no pidfd, and its parent reaped it before we could look.
    const unknown = { exit: null, signal: null, cause: 'unknown' }
    const killed = { exit: null, signal: 'SIGKILL', cause: 'pidfd' }
    expect(book.end!.departure).toEqual(native.kind === 'addon' ? killed : unknown)
    expect(book.end!.logged).toBe(points.length)
  })

  test('TERM without a head: the rest is on disk at once, and the next agent delivers it', async () => {
    const at = place({ exitTimeoutMs: 1500 })
    const gone = await head(at)
    const owner = new Owner(at)
    const first = agent(at)
    owner.log(500)
    await until(() => owner.journal.acked() === 502, 'the first records')
    gone.close(false)
    heads.pop()
    owner.log(5000)
    first.kill('SIGTERM')
    await until(() => spools(at).length === 1, 'the spool', 1000)
    expect(await exitOf(first)).toBe(0)
    owner.log(100)
    owner.end()
    const books = gone.books
    const dir = join(at.options.dir, 'run-1')
    const back = await new MiniHead(dir, { term: 2, books }).listen(at.options.lockDir, at.options.meeting)
    heads.push(back)
    expect(await exitOf(agent(at))).toBe(0)
    expect(pointsOf(back.books.get(owner.instance)!)).toEqual(expected(5600))
    expect(spools(at)).toEqual([])
  })

  test('TERM with a head ends the agent soon, with everything until then delivered', async () => {
    const at = place()
    const aggregator = await head(at)
    const owner = new Owner(at)
    const running = agent(at)
    await until(() => aggregator.books.has(owner.instance), 'the agent')
    owner.log(5000)
    const began = performance.now()
    running.kill('SIGTERM')
    expect(await exitOf(running)).toBe(0)
    expect(performance.now() - began).toBeLessThan(30_000)
    expect(aggregator.books.get(owner.instance)!.acked).toBe(5002)
    owner.end()
  })

  test('a full disk under the spool leaves the data in the journal, and says what to do', async () => {
    const at = place({ exitTimeoutMs: 800 })
    mkdirSync(join(at.options.dir, '.pending'))
    const owner = new Owner(at)
    owner.log(50_000)
    owner.end()
    // A private mount namespace: a spool directory of 64 KiB that only this agent sees.
    const mount = `mount -t tmpfs -o size=64k,mode=700 none ${join(at.options.dir, '.pending')} && exec "$@"`
    const full = agent(at, ['unshare', '-m', 'sh', '-c', mount, 'sh'])
    const said = textOf(full)
    expect(await exitOf(full)).toBe(0)
    expect(said.text).toMatch(/ENOSPC.*free disk space/)
    expect(said.text).toContain(owner.journal.path)
    expect(existsSync(owner.journal.path)).toBe(true)
    const aggregator = await head(at)
    expect(await exitOf(agent(at))).toBe(0)
    const points = pointsOf(aggregator.books.get(owner.instance)!)
    expect(points).toHaveLength(50_000)
    expect(points.filter(([step, value]) => value !== valueOf(step))).toEqual([])
  })

  test('an agent stays small', async () => {
    const at = place()
    const aggregator = await head(at)
    const owner = new Owner(at)
    const running = agent(at)
    await until(() => aggregator.books.has(owner.instance), 'the agent')
    for (let i = 0; i < 20; i++) {
      owner.log(2000)
      await until(() => owner.journal.acked() === owner.journal.seq(), 'acks')
    }
    const rollup = readFileSync(`/proc/${running.pid}/smaps_rollup`, 'latin1')
    const pss = Number(/^Pss:\s+(\d+) kB/m.exec(rollup)![1]) / 1024
    // The budget is 60 MB (bench); this only sees a leak or a heavy import.
    expect(pss).toBeLessThan(90)
    owner.end()
    await exitOf(running)
  })
})
