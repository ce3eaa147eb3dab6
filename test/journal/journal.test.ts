import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { listJournals, openReader } from '../../lib/journal/index.ts'
import { native } from '../../lib/native.ts'
import { Kind } from '../../lib/record/index.ts'
import { Collector, journalIn, log, originIn, readAll, scratch } from './helpers.ts'

const forms = [
  { form: 'a mapped ring', ringBytes: 64 * 1024 },
  { form: 'segments only', ringBytes: 0 },
]

describe.each(forms)('a journal of $form', ({ ringBytes }) => {
  test('delivers what was committed, in order, bit for bit', () => {
    const dir = scratch()
    const writer = journalIn(dir, { ringBytes })
    expect(writer.mapped).toBe(ringBytes > 0 && native.kind === 'addon')
    writer.payload(Kind.open, { source: 'test', name: 'ünï' }, 1)
    writer.define(7, ['loss', 'acc'], 2)
    log(writer, 7, 0, [-0, Infinity])
    log(writer, 7, 1, [NaN, 1e-308], 32)
    const last = 2 ** 53 - 1
    log(writer, 7, last, [2 ** 53, -Infinity], 0.5)
    writer.payload(Kind.end, { exit: 0, logged: 6, refused: 0 }, 3)

    const reader = openReader(writer.path)
    const sink = new Collector()
    readAll(reader, sink)
    const start = 1_700_000_000_000
    const record = { kind: Kind.values, layout: 7 }
    expect(sink.taken).toEqual([
      { seq: 1, kind: Kind.open, time: 1, body: { source: 'test', name: 'ünï' } },
      { seq: 2, kind: Kind.layout, time: 2, body: { id: 7, names: ['loss', 'acc'] } },
      { ...record, seq: 3, step: 0, weight: NaN, time: start, values: [-0, Infinity] },
      { ...record, seq: 4, step: 1, weight: 32, time: start + 1, values: [NaN, 1e-308] },
      { ...record, seq: 5, step: last, weight: 0.5, time: start + last, values: [2 ** 53, -Infinity] },
      { seq: 6, kind: Kind.end, time: 3, body: { exit: 0, logged: 6, refused: 0 } },
    ])
    writer.tick(4)
    expect(reader.counters()).toEqual({ seq: 6, logged: 6, lost: 0, refused: 0, acked: 0, trimmed: 0 })
    expect(reader.read(sink, 1000)).toBe(0)
    expect(reader.hole()).toBeNull()
    writer.close()
    reader.close()
  })

  test('does not deliver values that were begun and not committed', () => {
    const writer = journalIn(scratch(), { ringBytes })
    writer.define(0, ['x'], 0)
    log(writer, 0, 0, [1])
    const at = writer.begin(1, false)
    writer.f64[at] = 2
    const reader = openReader(writer.path)
    const sink = new Collector()
    readAll(reader, sink)
    expect(sink.logged.map((r) => r.values)).toEqual([[1]])
    writer.commit(0, 1, 1, NaN, 0)
    readAll(reader, sink)
    expect(sink.logged.map((r) => r.values)).toEqual([[1], [2]])
    writer.close()
  })

  test('a reader that comes later begins after what was trimmed', () => {
    const writer = journalIn(scratch(), { ringBytes })
    writer.define(0, ['x'], 0)
    for (let step = 0; step < 500; step++) log(writer, 0, step, [step])
    const first = openReader(writer.path)
    const sink = new Collector()
    while (first.next <= 250) first.read(sink, 4800)
    const trimmed = first.next - 1
    first.ack(trimmed)
    expect(first.counters()).toMatchObject({ trimmed, acked: trimmed })
    expect(writer.acked()).toBe(trimmed)
    first.close()

    const second = openReader(writer.path)
    expect(second.first()).toBe(trimmed + 1)
    const rest = new Collector()
    readAll(second, rest)
    expect(rest.taken[0]!.seq).toBe(trimmed + 1)
    expect(sink.taken.length + rest.taken.length).toBe(501)
    writer.tick(1)
    expect(second.counters()).toMatchObject({ seq: 501, logged: 500 })
    writer.close()
  })

  test('goes back to any seq that was not trimmed, and forward', () => {
    const writer = journalIn(scratch(), { ringBytes })
    writer.define(0, ['x'], 0)
    for (let step = 0; step < 600; step++) log(writer, 0, step, [step])
    const reader = openReader(writer.path)
    const all = new Collector()
    readAll(reader, all, 4096)
    for (const seq of [1, 2, 85, 86, 300, 601, 17]) {
      reader.seek(seq)
      const sink = new Collector()
      readAll(reader, sink, 4096)
      expect(sink.taken).toEqual(all.taken.slice(seq - 1))
    }
    reader.seek(100)
    reader.seek(400)
    const sink = new Collector()
    reader.read(sink, 1)
    expect(sink.taken).toEqual([all.taken[399]])
    writer.close()
  })

  test('tells the writer beat, ack and run id, and the reader what was refused', () => {
    const writer = journalIn(scratch(), { ringBytes })
    const reader = openReader(writer.path)
    expect([writer.beat(), writer.acked(), writer.runId()]).toEqual([0, 0, null])
    reader.beat(1234567)
    reader.setRun('run-ü')
    reader.ack(5)
    reader.ack(3)
    writer.countRefused(2)
    writer.tick(1)
    expect([writer.beat(), writer.acked(), writer.runId()]).toEqual([1234567, 5, 'run-ü'])
    expect(reader.counters().refused).toBe(2)
    writer.close()
    writer.close()
    expect(writer.begin(1, false)).toBe(-1)
    expect(reader.ownerAlive()).toBe(false)
    reader.remove()
  })

  test('leaves no file behind once it is removed', () => {
    const dir = scratch()
    const writer = journalIn(dir, { ringBytes })
    log(writer, 0, 0, [1])
    expect(listJournals(dir)).toEqual([writer.path])
    const reader = openReader(writer.path)
    expect(reader.ownerAlive()).toBe(true)
    writer.close()
    reader.remove()
    reader.close()
    expect(readdirSync(dir)).toEqual([])
  })

  test('refuses names and payloads that do not fit in one record, and goes on', () => {
    const writer = journalIn(scratch(), { ringBytes })
    const names = Array.from({ length: 2000 }, (_, i) => `${i}`.padEnd(1000, 'x'))
    expect(writer.define(1, names, 0)).toBe(false)
    expect(writer.payload(Kind.text, { line: 'x'.repeat(1 << 21) }, 0)).toBe(false)
    expect(writer.begin(1 << 20, false)).toBe(-1)
    expect(writer.payload(Kind.text, { line: 'x'.repeat(900_000) }, 0)).toBe(true)
    writer.define(2, ['y'], 0)
    expect(log(writer, 2, 0, [1])).toBe(true)
    const sink = new Collector()
    readAll(openReader(writer.path), sink)
    expect(sink.taken.map((r) => r.kind)).toEqual([Kind.text, Kind.layout, Kind.values])
    writer.close()
  })
})

test('a journal takes the next directory when shared memory is not ours to use', () => {
  const dir = scratch('disk')
  const missing = '/proc/nowhere'
  const writer = journalIn(missing, { origin: originIn(dir) })
  expect(writer.path.startsWith(join(dir, '.pending'))).toBe(true)
  expect(writer.mapped).toBe(false)
  expect(log(writer, 0, 0, [1])).toBe(true)
  writer.close()
})

test('when no directory takes a journal the error names each and the remedy', () => {
  const home = process.env['HOME']
  process.env['HOME'] = '/proc/nobody'
  try {
    const origin = originIn('/proc/none')
    expect(() => journalIn('/proc/nowhere', { origin })).toThrow(/\/proc\/none\/\.pending: /)
  } finally {
    process.env['HOME'] = home
  }
})

test('what is no journal or has a damaged header is named', () => {
  const dir = scratch()
  expect(() => openReader(join(dir, 'x.jnl'))).toThrow(expect.objectContaining({ code: 'JOURNAL' }))
  expect(existsSync(join(dir, 'x.jnl'))).toBe(false)
})
