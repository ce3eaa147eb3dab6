import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { runAgent } from '../../lib/agent/index.ts'
import { cpuOf, diskOf, gpusOf, memoryOf, networkOf, ticksOf } from '../../lib/agent/core-system.ts'
import { Sampler } from '../../lib/agent/sampler.ts'
import { SystemSource } from '../../lib/agent/system-source.ts'
import { procStart } from '../../lib/journal/index.ts'
import { SYSTEM_RECORDS_MAX } from '../../lib/limits.ts'
import { Kind, type RecordSink } from '../../lib/record/index.ts'
import { makePlace, originOf, Owner, type Place } from './place.ts'
import { MiniHead, until } from './mini-head.ts'

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))
const cleanups: (() => void)[] = []
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean()
})

function place(over: Parameters<typeof makePlace>[0] = {}): Place {
  const made = makePlace(over)
  cleanups.push(() => made.remove())
  return made
}

describe('the texts of /proc', () => {
  test('are read as they are written', () => {
    expect(cpuOf('cpu  100 5 50 800 40 1 2 2 9 9\ncpu0 1 2\n')).toEqual({ busy: 160, all: 1000 })
    expect(memoryOf('MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n'))
      .toEqual({ used: 600 * 1024, all: 1000 * 1024 })
    const net = 'a\nb\n    lo: 9 0 0 0 0 0 0 0 9 0\n  eth0:100 0 0 0 0 0 0 0 70 0 0\n'
    expect(networkOf(net, (name) => name !== 'lo')).toEqual({ rx: 100, tx: 70 })
    const disks = ' 8 0 sda 10 0 200 5 20 0 400 7 0 1 1\n 8 1 sda1 9 0 9 9 9 0 9 9 0 1 1\n'
    expect(diskOf(disks, (name) => name === 'sda')).toEqual({ read: 102_400, written: 204_800 })
    const stat = `7 (a) b) S 1 1 1 0 -1 0 1 2 3 4 50 60 7 8 20 0 1 0 4242 ${'0 '.repeat(30)}`
    expect(ticksOf(stat, 4242)).toBe(125)
    expect(ticksOf(stat, 4243)).toBeNull()
  })

  test('nvidia-smi may not know everything', () => {
    expect(gpusOf('0, 37, 1024, 24576, 71.5, 55\n1, 0, 1, 2, [N/A], 40\nnonsense\n')).toEqual([
      {
        names: ['utilization', 'memory', 'memory/total', 'power', 'temperature'].map((n) => `sys/gpu/0/${n}`),
        values: [37, 2 ** 30, 24 * 2 ** 30, 71.5, 55],
      },
      expect.objectContaining({ values: [0, 2 ** 20, 2 ** 21, NaN, 40] }),
    ])
  })
})

describe('the sampler', () => {
  test('sees this machine, and a worker with its child at work', async () => {
    // A shell that waits for a child which burns a core: the child's time is the worker's.
    const worker: ChildProcess = spawn('/bin/sh', ['-c', 'node -e "for (;;);" & wait'], { detached: true })
    cleanups.push(() => process.kill(-worker.pid!, 'SIGKILL'))
    await sleep(500)
    const origin = originOf(place(), { rank: 5, pid: worker.pid!, procStart: procStart(worker.pid!) })
    const sampler = new Sampler(process.env, performance.now())
    sampler.watch(origin, performance.now())
    await sleep(1000)
    const seen = new Map<string, number>()
    sampler.sample([origin], performance.now(), (names, values) =>
      names.forEach((name, i) => seen.set(name, values[i]!)))
    expect(seen.get('sys/memory/total')).toBeCloseTo(totalmem(), -6)
    expect(seen.get('sys/memory')).toBeGreaterThan(100 * 2 ** 20)
    expect(seen.get('sys/memory')).toBeLessThan(totalmem())
    expect(seen.get('sys/cpu')).toBeGreaterThan(5 / cpus().length)
    expect(seen.get('sys/cpu')).toBeLessThanOrEqual(100)
    expect(seen.get('sys/rank/5/cpu')).toBeGreaterThan(10)
    expect(seen.get('sys/rank/5/cpu')).toBeLessThan(120)
    expect(seen.get('sys/rank/5/rss')).toBeGreaterThan(20 * 2 ** 20)
    for (const name of ['network/rx', 'network/tx', 'disk/read', 'disk/write', 'load']) {
      expect(seen.get(`sys/${name}`)).toBeGreaterThanOrEqual(0)
    }
  })

  test('asks nvidia-smi beside, and once at a time', async () => {
    const bin = mkdtempSync(join(tmpdir(), 'rz-bin-'))
    cleanups.push(() => rmSync(bin, { recursive: true }))
    const fake = join(bin, 'nvidia-smi')
    writeFileSync(fake, `#!/bin/sh\necho x >>${bin}/calls\nsleep 0.3\necho "0, 37, 1024, 24576, 71.5, 55"\n`)
    chmodSync(fake, 0o755)
    const sampler = new Sampler({ PATH: `${bin}:${process.env['PATH']}` }, 0)
    const seen: string[] = []
    const take = (names: readonly string[]): void => void seen.push(names[0]!)
    sampler.sample([], 1, take)
    sampler.sample([], 2, take)
    expect(seen).toEqual(['sys/cpu', 'sys/cpu'])
    await until(() => seen.length === 3, 'the answer')
    expect(seen[2]).toBe('sys/gpu/0/utilization')
    sampler.close()
  })
})

describe('the source', () => {
  test('is read as a journal is: layouts first, again after a seek, less what is trimmed', () => {
    const source = new SystemSource(originOf(place(), { role: 'agent' }))
    source.log(['a', 'b'], [1, 2], 0, 5)
    source.log(['c'], [3], 0, 5)
    source.log(['a', 'b'], [4, 5], 10, 6)
    const seen: unknown[] = []
    const sink: RecordSink = {
      values: (seq, layout, step, _w, time, values) => void seen.push([seq, layout, step, time, [...values]]),
      payload: (seq, kind, _time, body) =>
        void seen.push([seq, kind, JSON.parse(new TextDecoder().decode(body))]),
    }
    expect(source.read(sink, 1e6)).toBeGreaterThan(0)
    expect(source.read(sink, 1e6)).toBe(0)
    expect(seen).toEqual([
      [1, Kind.layout, { id: 0, names: ['a', 'b'] }], [2, 0, 0, 5, [1, 2]],
      [3, Kind.layout, { id: 1, names: ['c'] }], [4, 1, 0, 5, [3]], [5, 0, 10, 6, [4, 5]],
    ])
    source.trim(3)
    expect(source.first()).toBe(4)
    source.seek(4)
    seen.length = 0
    source.read(sink, 1)
    source.read(sink, 1e6)
    expect(seen).toEqual([[4, 1, 0, 5, [3]], [5, 0, 10, 6, [4, 5]]])
    expect(source.counters()).toMatchObject({ seq: 5, logged: 5, lost: 0 })
  })

  test('drops what it cannot keep before it gets a seq, and counts it', () => {
    const source = new SystemSource(originOf(place(), { role: 'agent' }))
    for (let i = 0; i < SYSTEM_RECORDS_MAX + 10; i++) source.log(['a'], [i], i, 0)
    expect(source.counters()).toMatchObject({
      seq: SYSTEM_RECORDS_MAX, logged: SYSTEM_RECORDS_MAX + 10, lost: 11,
    })
    source.trim(100)
    source.log(['a'], [1], 1, 0)
    expect(source.counters().seq).toBe(SYSTEM_RECORDS_MAX + 1)
  })
})

describe('the agent', () => {
  test('samples once it is welcomed, on the grid, and ends with the last owner', async () => {
    const at = place({ systemMetricsMs: 1000 })
    const head = await new MiniHead(at.options.dir, { startedAt: Date.now() - 60_000 })
      .listen(at.options.lockDir, at.options.meeting)
    cleanups.push(() => head.close())
    const owner = new Owner(at, { rank: 3, localRank: 0, worldSize: 4 })
    const done = runAgent(at.options)
    const own = () => [...head.books.values()].find(({ origin }) => origin.role === 'agent')
    await until(() => (own()?.batches.length ?? 0) >= 2, 'two samples')
    owner.log()
    owner.end()
    expect(await done).toBe(0)
    const { origin, batches, end } = own()!
    expect(origin).toMatchObject({ rank: 3, localRank: 0, worldSize: 4, node: at.options.node, run: 'run-1' })
    expect(end).toMatchObject({ lost: 0, refused: 0, departure: { exit: 0, cause: 'end-record' } })
    const steps = batches.flatMap(({ groups }) => groups).filter(({ width }) => width === 8)
      .flatMap((group) => [...group.steps])
    expect(new Set(steps).size).toBe(steps.length)
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(60)
    expect(Math.max(...steps)).toBeLessThan(90)
  })

  test('says nothing when it is switched off, or the head does not say when the run began', async () => {
    for (const [systemMetricsMs, startedAt] of [[0, Date.now()], [1000, undefined]] as const) {
      const at = place({ systemMetricsMs })
      const head = await new MiniHead(at.options.dir, { startedAt })
        .listen(at.options.lockDir, at.options.meeting)
      cleanups.push(() => head.close())
      const owner = new Owner(at)
      const done = runAgent(at.options)
      await until(() => head.books.has(owner.instance), 'the hello')
      await sleep(500)
      owner.end()
      await done
      expect([...head.books.keys()]).toEqual([owner.instance])
    }
  })

  test('leaves without it when no head answers, and spools nothing of it', async () => {
    const at = place({ systemMetricsMs: 1000, exitTimeoutMs: 300 })
    const head = await new MiniHead(at.options.dir, { startedAt: Date.now() })
      .listen(at.options.lockDir, at.options.meeting)
    const owner = new Owner(at)
    const done = runAgent(at.options)
    await until(() => [...head.books.values()].some(({ origin }) => origin.role === 'agent'), 'its instance')
    head.close()
    owner.log(5)
    owner.end()
    expect(await done).toBe(0)
    const { Spool } = await import('../../lib/agent/spool.ts')
    const { Notes } = await import('../../lib/agent/notes.ts')
    const { pendingDirs } = await import('../../lib/journal/index.ts')
    const directories = pendingDirs(at.options.dir)
    const spool = new Spool({ directories, meeting: at.options.meeting, capBytes: 1e6, notes: new Notes() })
    expect(spool.recover(at.options.node).map(({ origin }) => origin.instance)).toEqual([owner.instance])
  })
})
