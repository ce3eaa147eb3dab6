import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listJournals, openReader, procStart } from '../../lib/journal/index.ts'
import { pidNamespace } from '../../lib/journal/process.ts'
import { native } from '../../lib/native.ts'
import type { RecordSink } from '../../lib/record/index.ts'
import { Collector, journalIn, log, readOverHoles, scratch, TWIN_CHOSEN } from './helpers.ts'

const OWNER = new URL('./owner.mjs', import.meta.url).pathname
const ROUNDS = Number(process.env['RANKZERO_TEST_ROUNDS'] ?? 3)

/** Checks each record against its step instead of keeping it; what owner.mjs writes. */
class Checker implements RecordSink {
  steps: number[] = []
  points = 0
  wrong = 0

  values(
    _seq: number, layout: number, step: number, weight: number, time: number,
    values: Float64Array, at: number, count: number,
  ): void {
    let good = count === (step % 5 === 0 ? 1 : 2) && layout === (count === 1 ? 1 : 0) && time === step
    good &&= Object.is(weight, step % 3 === 0 ? step / 7 : NaN)
    for (let i = 0; i < count; i++) good &&= values[at + i] === step * 1.5 + i
    if (!good) this.wrong++
    this.steps.push(step)
    this.points += count
  }

  payload(): void {
    this.points += 0
  }
}

interface Owner {
  child: ChildProcess
  path: string
  /** Highest step that its owner said is committed. */
  said(): number
  closed: Promise<unknown>
}

async function startOwner(options: object, env: NodeJS.ProcessEnv = {}): Promise<Owner> {
  const child = spawn(process.execPath, [OWNER, JSON.stringify(options)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout! })
  const closed = once(lines, 'close')
  const [path] = (await once(lines, 'line')) as [string]
  let said = -1
  lines.on('line', (line) => {
    if (line !== 'closed') said = Number(line)
  })
  return { child, path, said: () => said, closed }
}

const inOrder = (steps: readonly number[]): boolean => steps.every((step, i) => step === i)

const forms = [
  { form: 'a mapped ring', ringBytes: 1 << 16, env: {} },
  { form: 'segments', ringBytes: 0, env: {} },
  { form: 'the twin', ringBytes: 1 << 16, env: { RANKZERO_NATIVE: '0' } },
]

describe.each(forms)('an owner on $form', ({ form, ringBytes, env }) => {
  test('is read by another process while it writes: every step once, in order, nothing wrong', async () => {
    const dir = scratch()
    const steps = 200_000
    const owner = await startOwner({ dir, ringBytes, steps, overflowCap: 1 << 28 }, env)
    const reader = openReader(owner.path)
    const sink = new Checker()
    while (sink.steps.length < steps) {
      if (reader.read(sink, 1 << 15) > 0) reader.trim(reader.next - 1)
      else expect(reader.hole()).toBeNull()
      await new Promise(setImmediate)
    }
    await owner.closed
    expect(sink.wrong).toBe(0)
    expect(inOrder(sink.steps)).toBe(true)
    expect(reader.counters()).toMatchObject({ logged: sink.points, lost: 0 })
    expect(reader.ownerAlive()).toBe(false)
    reader.remove()
    expect(readdirSync(dir)).toEqual([])
    reader.close()
  })

  test(`killed at ${ROUNDS * 3} random instants leaves all that it said and true counters`, async () => {
    for (let round = 0; round < ROUNDS * 3; round++) {
      const dir = scratch()
      const owner = await startOwner({ dir, ringBytes, steps: 1e9, overflowCap: 1 << 28 }, env)
      const reader = openReader(owner.path)
      expect(reader.ownerAlive()).toBe(true)
      const sink = new Checker()
      const until = Math.floor(Math.random() * 20_000)
      while (owner.said() < until) {
        if (round % 2 === 0 && reader.read(sink, 1 << 14) > 0) reader.trim(reader.next - 1)
        await new Promise(setImmediate)
      }
      owner.child.kill('SIGKILL')
      await Promise.all([owner.closed, once(owner.child, 'exit')])
      expect(reader.ownerAlive()).toBe(false)
      expect(readOverHoles(reader, sink)).toEqual([])
      expect([form, sink.wrong, inOrder(sink.steps)]).toEqual([form, 0, true])
      expect(sink.steps.length).toBeGreaterThan(owner.said())
      expect(reader.counters().logged).toBe(sink.points)
      reader.remove()
      reader.close()
    }
  })
})

test('an owner killed at its cap has its losses in the counters', async () => {
  const owner = await startOwner({ dir: scratch(), ringBytes: 1 << 16, steps: 1e9, overflowCap: 100_000 })
  while (owner.said() < 50_000) await new Promise(setImmediate)
  owner.child.kill('SIGKILL')
  await once(owner.child, 'exit')
  const reader = openReader(owner.path)
  const sink = new Checker()
  expect(readOverHoles(reader, sink)).toEqual([])
  const { logged, lost } = reader.counters()
  // The first of each five steps has one point, the others two.
  const pointsUpTo = (step: number): number => 2 * (step + 1) - Math.floor(step / 5) - 1
  if (native.kind === 'addon') expect(lost).toBeGreaterThanOrEqual(pointsUpTo(owner.said()) - sink.points)
  expect(logged - lost).toBe(sink.points)
  reader.close()
})

test.skipIf(TWIN_CHOSEN)('a child process does not hold its dead owner alive', async () => {
  const options = { dir: scratch(), ringBytes: 65536, steps: 10, overflowCap: 1e6 }
  const script = `
    import { spawn } from 'node:child_process'
    import { writeSync } from 'node:fs'
    process.argv[2] = ${JSON.stringify(JSON.stringify(options))}
    const child = spawn('sleep', ['30'], { stdio: 'ignore' })
    writeSync(1, child.pid + '\\n')
    await import(${JSON.stringify(OWNER)})
    setInterval(() => 0, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  for await (const line of createInterface({ input: parent.stdout! })) {
    lines.push(line)
    if (line === 'closed') break
  }
  process.kill(Number(lines[0]), 'SIGKILL')
  parent.kill('SIGKILL')
  await once(parent, 'exit')
  expect(openReader(lines[1]!).ownerAlive()).toBe(false)
})

test('what a killed init() left half made is taken away, what a live one makes is not', () => {
  const dir = scratch()
  const writer = journalIn(dir)
  log(writer, 0, 0, [1])
  const gone = spawnSync('true').pid
  const dead = `${'a'.repeat(32)}.jnl.${pidNamespace()}-${gone}-123.tmp`
  const live = `${'b'.repeat(32)}.lock.${pidNamespace()}-${process.ppid}-${procStart(process.ppid)}.tmp`
  for (const name of [dead, live]) writeFileSync(join(dir, name), '')
  expect(listJournals(dir)).toEqual([writer.path])
  const left = readdirSync(dir)
  expect([left.includes(dead), left.includes(live)]).toEqual([false, true])
  writer.close()
})

test('a reader in the process of the owner does not free its lock', () => {
  const writer = journalIn(scratch())
  const reader = openReader(writer.path)
  expect(reader.ownerAlive()).toBe(true)
  const script = `
    import { openReader } from ${JSON.stringify(new URL('../../dist/journal/index.js', import.meta.url).href)}
    console.log(openReader(${JSON.stringify(writer.path)}).ownerAlive())`
  const other = (): string =>
    spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout.trim()
  expect(other()).toBe('true')
  writer.close()
  expect(reader.ownerAlive()).toBe(false)
  // This process, which lives, is no proof that the logger does.
  expect(other()).toBe('false')
  reader.close()
})

test('a collector sees nothing of an empty journal', () => {
  const writer = journalIn(scratch())
  const sink = new Collector()
  expect(openReader(writer.path).read(sink, 1000)).toBe(0)
  expect(sink.taken).toEqual([])
  writer.close()
})
