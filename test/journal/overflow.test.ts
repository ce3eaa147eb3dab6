import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { openReader } from '../../lib/journal/index.ts'
import { SEGMENT_RETRY_MS } from '../../lib/limits.ts'
import { Kind } from '../../lib/record/index.ts'
import { Collector, journalIn, log, originIn, readAll, scratch, TWIN_CHOSEN } from './helpers.ts'

const segmentsIn = (dir: string): string[] => readdirSync(dir).filter((name) => name.endsWith('.seg'))

/** Points lost according to the reports in the journal itself. */
function reported(sink: Collector): Map<string, number> {
  const sum = new Map<string, number>()
  for (const record of sink.taken) {
    if (record.kind !== Kind.lost) continue
    const { points } = record.body as { points: Record<string, number> }
    for (const [name, n] of Object.entries(points)) sum.set(name, (sum.get(name) ?? 0) + n)
  }
  return sum
}

describe.skipIf(TWIN_CHOSEN)('a full ring', () => {
  test('goes on in segments and comes back when the agent has emptied it, in order of seq', () => {
    const dir = scratch()
    const writer = journalIn(dir, { ringBytes: 8192 })
    const reader = openReader(writer.path)
    const sink = new Collector()
    writer.define(0, ['x', 'y'], 0)
    let step = 0
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < (round * 37) % 400; i++, step++) {
        expect(log(writer, 0, step, [step, -step])).toBe(true)
      }
      if (round % 3 === 0) readAll(reader, sink, 700)
      if (round % 4 === 0) reader.trim(reader.next - 1)
    }
    readAll(reader, sink)
    expect(sink.logged.map((r) => r.step)).toEqual(Array.from({ length: step }, (_, i) => i))
    expect(sink.logged.every((r) => r.values![0] === r.step && r.values![1] === -r.step!)).toBe(true)
    expect(sink.taken.map((r) => r.seq)).toEqual(sink.taken.map((_, i) => i + 1))
    expect(writer.lost).toBe(0)

    reader.trim(reader.next - 1)
    log(writer, 0, step, [0, 0])
    readAll(reader, sink)
    reader.trim(reader.next - 1)
    expect(segmentsIn(dir)).toEqual([])
    expect(writer.backlogBytes()).toBe(0)
    expect(reader.backlog()).toBe(0)
    writer.close()
  })

  test('overwrites nothing while nobody reads, and a later reader finds it all', () => {
    const writer = journalIn(scratch(), { ringBytes: 8192 })
    writer.define(0, ['x'], 0)
    for (let step = 0; step < 5000; step++) log(writer, 0, step, [step])
    const sink = new Collector()
    readAll(openReader(writer.path), sink)
    expect(sink.logged.map((r) => r.values![0])).toEqual(Array.from({ length: 5000 }, (_, i) => i))
    writer.close()
  })

  test('repeats the definitions at each lap and segment', () => {
    const writer = journalIn(scratch(), { ringBytes: 8192 })
    const reader = openReader(writer.path)
    const sink = new Collector()
    writer.define(0, ['x'], 0)
    for (let step = 0; step < 1000; step++) {
      log(writer, 0, step, [step])
      readAll(reader, sink)
      reader.trim(reader.next - 1)
    }
    const repeats = sink.taken.filter((r) => r.kind === Kind.layout)
    expect(repeats.length).toBe(6)
    expect(new Set(repeats.map((r) => JSON.stringify(r.body)))).toEqual(new Set(['{"id":0,"names":["x"]}']))
    writer.close()
  })
})

describe.each([8192, 0])('at its cap, with a ring of %i bytes,', (ringBytes) => {
  test('a journal counts what is lost, exactly and by metric, and reports it in-band', () => {
    const dir = scratch()
    const writer = journalIn(dir, { ringBytes, overflowCap: 100_000 })
    writer.define(0, ['x', '__proto__'], 0)
    writer.define(1, ['x'], 0)
    let refused = 0
    for (let step = 0; step < 4000; step++) {
      if (!log(writer, 0, step, [step, 1])) refused++
      if (!log(writer, 1, step, [step])) refused++
    }
    expect(refused).toBeGreaterThan(1000)
    expect(writer.logged).toBe(12_000)
    writer.tick(1)
    writer.payload(Kind.end, { exit: 0, logged: writer.logged, refused: 0 }, 2)
    const reader = openReader(writer.path)
    const sink = new Collector()
    readAll(reader, sink)
    expect(sink.taken.at(-1)!.kind).toBe(Kind.end)
    const lost = reported(sink)
    expect(sink.points + writer.lost).toBe(12_000)
    expect([...lost.values()].reduce((a, b) => a + b)).toBe(writer.lost)
    const delivered = (name: number): number => sink.logged.filter((r) => r.values!.length > name).length
    expect([lost.get('x'), lost.get('__proto__')]).toEqual([8000 - delivered(0), 4000 - delivered(1)])
    writer.tick(3)
    expect(reader.counters()).toMatchObject({ logged: 12_000, lost: writer.lost })

    reader.trim(reader.next - 1)
    expect(log(writer, 0, 4000, [1, 2])).toBe(true)
    readAll(reader, sink)
    expect(sink.logged.at(-1)!.step).toBe(4000)
    writer.close()
  })
})

describe('a full file system', () => {
  test('in mid-run costs only what is counted; space that comes back is used', () => {
    const small = scratch()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'rz', small])
    const home = process.env['HOME']
    process.env['HOME'] = '/proc/nobody'
    try {
      // Header and segments on the small disk, and no other place to go.
      const writer = journalIn('/proc/nowhere', { origin: originIn(small) })
      writer.define(0, ['x'], 0)
      for (let step = 0; step < 20_000; step++) log(writer, 0, step, [step])
      expect(writer.lost).toBeGreaterThan(0)
      const reader = openReader(writer.path)
      const sink = new Collector()
      readAll(reader, sink)
      expect(sink.points + writer.lost).toBe(20_000)
      expect(sink.logged.map((r) => r.step)).toEqual(sink.logged.map((_, i) => i))
      expect(reader.hole()).toBeNull()
      writer.close()
    } finally {
      process.env['HOME'] = home
      execFileSync('umount', ['-l', small])
    }
  })

  test('is tried again after a second, also when the clock was set back by an hour', async () => {
    const small = scratch()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'rz', small])
    const home = process.env['HOME']
    process.env['HOME'] = '/proc/nobody'
    try {
      const writer = journalIn('/proc/nowhere', { origin: originIn(small) })
      writer.define(0, ['x'], 0)
      let step = 0
      while (writer.lost === 0) log(writer, 0, step++, [step])
      const back = Date.now() - 3_600_000
      vi.spyOn(Date, 'now').mockImplementation(() => back)
      execFileSync('mount', ['-o', 'remount,size=8m', small])
      await new Promise((done) => { setTimeout(done, SEGMENT_RETRY_MS + 100) })
      const { lost } = writer
      log(writer, 0, step, [step])
      expect(writer.lost).toBe(lost)
      writer.close()
    } finally {
      vi.restoreAllMocks()
      process.env['HOME'] = home
      execFileSync('umount', ['-l', small])
    }
  })

  test('the next directory takes the segments', () => {
    const small = scratch()
    const home = process.env['HOME']
    process.env['HOME'] = scratch()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'rz', small])
    try {
      const writer = journalIn('/proc/nowhere', { origin: originIn(small) })
      writer.define(0, ['x'], 0)
      for (let step = 0; step < 20_000; step++) expect(log(writer, 0, step, [step])).toBe(true)
      const reader = openReader(writer.path)
      const sink = new Collector()
      readAll(reader, sink)
      expect(sink.logged.map((r) => r.step)).toEqual(Array.from({ length: 20_000 }, (_, i) => i))
      expect(sink.taken.filter((r) => r.kind === Kind.layout).length).toBe(2)
      writer.close()
    } finally {
      process.env['HOME'] = home
      execFileSync('umount', ['-l', small])
    }
  })

  test('a shared memory that is too small gets neither ring nor segments', () => {
    const small = scratch()
    const dir = scratch()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'rz', small])
    try {
      const writer = journalIn(small, { origin: originIn(dir), localWorldSize: 8 })
      expect(writer.path.startsWith(`${dir}/.pending/`)).toBe(true)
      expect(writer.mapped).toBe(false)
      log(writer, 0, 0, [1])
      expect(readdirSync(small)).toEqual([])
      writer.close()
    } finally {
      execFileSync('umount', ['-l', small])
    }
  })
})
