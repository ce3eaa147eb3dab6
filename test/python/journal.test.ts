import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface, type Interface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newInstanceId, openReader } from '../../lib/journal/index.ts'
import { Kind } from '../../lib/record/index.ts'
import { Collector, readAll, readOverHoles, scratch, type Taken } from '../journal/helpers.ts'
import { random, SEED } from '../scenario/harness.ts'
import { CLIENT, PYTHON } from './kit.ts'

const ENV = { ...process.env, PYTHONPATH: CLIENT, PYTHONDONTWRITEBYTECODE: '1' }
const file = (name: string): string => new URL(name, import.meta.url).pathname

interface Facts {
  path: string
  mapped: boolean
  seq: number
  logged: number
  lost: number
  acked: number
  run: string | null
  beat: number
}

/** A Python process that owns a journal and does as it is told. */
class Owner {
  readonly child: ChildProcess
  readonly lines: Interface
  facts!: Facts
  last = ''

  constructor(options: { dir: string; ring?: number; cap?: number }, env: NodeJS.ProcessEnv) {
    const given = JSON.stringify({ instance: newInstanceId(), ...options })
    const stdio = ['pipe', 'pipe', 'inherit'] as const
    this.child = spawn(PYTHON, [file('owner.py'), given], { env: { ...ENV, ...env }, stdio: [...stdio] })
    onTestFinished(() => void this.child.kill('SIGKILL'))
    this.lines = createInterface({ input: this.child.stdout! })
  }

  async answer(): Promise<Facts> {
    const [line] = (await once(this.lines, 'line')) as [string]
    return this.facts = JSON.parse(line) as Facts
  }

  send(command: object): void {
    this.child.stdin!.write(`${JSON.stringify(command)}\n`)
  }

  do(command: object): Promise<Facts> {
    this.send(command)
    return this.answer()
  }
}

async function start(
  options: { dir: string; ring?: number; cap?: number }, env: NodeJS.ProcessEnv = {},
): Promise<Owner> {
  const owner = new Owner(options, { RANKZERO_SHM_DIR: options.dir, ...env })
  await owner.answer()
  return owner
}

/** Whether a record is what owner.py logs at its step. */
function isRight({ layout, step, weight, values }: Taken): boolean {
  const count = step! % 5 === 0 ? 1 : 2
  return layout === (count === 1 ? 1 : 0) && Object.is(weight, step! % 3 === 0 ? step! / 7 : NaN)
    && values!.length === count && values!.every((value, i) => value === step! * 1.5 + i)
}

const steps = (sink: Collector): number[] => sink.logged.map(({ step }) => step!)
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const segmentsIn = (dir: string): string[] => readdirSync(dir).filter((name) => name.endsWith('.seg'))

it('the Python writer makes the bytes of golden.json', () => {
  const golden = file('../journal/golden.json')
  const args = [file('golden.py'), golden, `${scratch()}/made`]
  const done = spawnSync(PYTHON, args, { env: ENV, encoding: 'utf8' })
  expect(done.stderr).toBe('')
  const { vectors } = JSON.parse(readFileSync(golden, 'utf8')) as { vectors: Record<string, unknown>[] }
  const made = JSON.parse(done.stdout) as object[]
  expect(made).toEqual(vectors.map(({ journal, segments }) => ({ journal, segments })))
})

describe('a journal that Python writes and the agent\'s reader reads', () => {
  it('goes round the ring, into segments and back, in order of seq', async () => {
    const dir = scratch()
    const owner = await start({ dir, ring: 8192 })
    expect(owner.facts.mapped).toBe(true)
    const reader = openReader(owner.facts.path)
    expect(reader.ownerAlive()).toBe(true)
    const sink = new Collector()
    let step = 0
    for (let round = 0; round < 40; round++) {
      const to = step + (round * 37) % 400
      await owner.do({ do: 'log', from: step, to })
      step = to
      if (round % 3 === 0) readAll(reader, sink, 700)
      if (round % 4 === 0) reader.trim(reader.next - 1)
    }
    readAll(reader, sink)
    expect(steps(sink)).toEqual(upTo(step))
    expect(sink.logged.every(isRight)).toBe(true)
    expect(sink.taken.map(({ seq }) => seq)).toEqual(upTo(sink.taken.length).map((i) => i + 1))
    reader.trim(reader.next - 1)
    await owner.do({ do: 'log', from: step, to: step + 1 })
    readAll(reader, sink)
    reader.trim(reader.next - 1)
    expect(segmentsIn(dir)).toEqual([])
    expect(reader.backlog()).toBe(0)
    reader.close()
  })

  it('shows acks, beats and the run id to its owner, and the owner\'s death to the agent', async () => {
    const owner = await start({ dir: scratch() })
    const reader = openReader(owner.facts.path)
    const { seq } = await owner.do({ do: 'log', from: 0, to: 10 })
    readAll(reader, new Collector())
    reader.ack(seq)
    reader.beat(12345)
    reader.setRun('run-ü')
    expect(await owner.do({ do: 'tick' })).toMatchObject({ acked: seq, beat: 12345, run: 'run-ü' })
    owner.child.kill('SIGKILL')
    await once(owner.child, 'exit')
    expect(reader.ownerAlive()).toBe(false)
    expect(reader.counters()).toMatchObject({ seq, logged: 18 })
    reader.close()
  })

  it('is segments where nothing may be mapped, with the same promises', async () => {
    const dir = scratch('disk')
    const owner = await start({ dir }, { RANKZERO_SHM_DIR: '/proc/nowhere' })
    expect(owner.facts.mapped).toBe(false)
    expect(owner.facts.path).toContain(`${dir}/.pending/`)
    await owner.do({ do: 'log', from: 0, to: 3000 })
    await owner.do({ do: 'tick' })
    const reader = openReader(owner.facts.path)
    const sink = new Collector()
    readAll(reader, sink)
    expect(steps(sink)).toEqual(upTo(3000))
    expect(sink.logged.every(isRight)).toBe(true)
    expect(reader.counters().logged).toBe(owner.facts.logged)
    reader.close()
  })

  it('counts what is beyond the cap by metric, and reports it in band', async () => {
    const dir = scratch()
    const owner = await start({ dir, ring: 4096, cap: 64 * 1024 })
    await owner.do({ do: 'log', from: 0, to: 5000 })
    await owner.do({ do: 'close' })
    const { logged, lost } = owner.facts
    expect(lost).toBeGreaterThan(1000)
    const sink = new Collector()
    const reader = openReader(owner.facts.path)
    readAll(reader, sink)
    reader.close()
    expect(sink.points + lost).toBe(logged)
    expect(logged).toBe(5000 * 2 - 1000)
    const reported = sink.taken.filter(({ kind }) => kind === Kind.lost)
      .flatMap(({ body }) => Object.entries((body as { points: Record<string, number> }).points))
    expect(reported.reduce((sum, [, n]) => sum + n, 0)).toBe(lost)
    expect(new Set(reported.map(([name]) => name))).toEqual(new Set(['x', 'y', 'z']))
  })

  it('holds records of up to 1 MiB between small ones', async () => {
    const owner = await start({ dir: scratch() })
    await owner.do({ do: 'log', from: 0, to: 7 })
    for (let i = 0; i < 6; i++) await owner.do({ do: 'text', size: 1_000_000 })
    await owner.do({ do: 'log', from: 7, to: 20 })
    const sink = new Collector()
    const reader = openReader(owner.facts.path)
    readAll(reader, sink, 1 << 21)
    reader.close()
    expect(steps(sink)).toEqual(upTo(20))
    expect(sink.taken.filter(({ kind }) => kind === Kind.text)).toHaveLength(6)
  })
})

describe('SIGKILL at random instants, 50 times', () => {
  it.each([['a ring', 25, {}], ['segments', 25, { RANKZERO_SHM_DIR: '/proc/nowhere' }]] as const)(
    '%s: what log() returned from is there, whole, and nothing else', async (_, rounds, env) => {
      const next = random(SEED)
      for (let round = 0; round < rounds; round++) {
        const owner = await start({ dir: scratch(), ring: 65_536 }, env)
        let said = -1
        owner.lines.on('line', (line) => { said = Math.max(said, Number(line)) })
        owner.send({ do: 'flood', from: 0 })
        await new Promise((done) => setTimeout(done, next() * 60))
        owner.child.kill('SIGKILL')
        await once(owner.lines, 'close')
        const sink = new Collector()
        const reader = openReader(owner.facts.path)
        expect(readOverHoles(reader, sink), `seed ${SEED}`).toEqual([])
        reader.close()
        const got = steps(sink)
        expect(got, `seed ${SEED}`).toEqual(upTo(got.length))
        expect(got.length, `seed ${SEED}`).toBeGreaterThan(said)
        expect(sink.logged.every(isRight), `seed ${SEED}`).toBe(true)
      }
    })
})
