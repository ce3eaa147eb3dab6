import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BATCH_POINTS_MAX, BATCH_RECORDS_MAX } from '../../lib/limits.ts'
import { crc32 } from '../../lib/record/crc32.ts'
import { Kind } from '../../lib/record/index.ts'
import { BatchBuilder, decodeBatch, peekBatch } from '../../lib/wire/index.ts'
import { build, feed, instanceArb, recordsArb, recordsOf, type Rec } from './records.ts'

const INSTANCE = '00112233445566778899aabbccddeeff'
const failing = (code: string, message = ''): unknown =>
  expect.objectContaining({ code, message: expect.stringContaining(message) as string })
const DAMAGED = failing('DAMAGED')
const rising = (n: number, names: number, value: (step: number, name: number) => number): Rec[] =>
  Array.from({ length: n }, (_, i) => ({
    seq: i + 1, layout: 1, step: i, weight: NaN, time: 1_790_000_000_000 + 3 * i,
    values: Array.from({ length: names }, (_, name) => value(i, name)),
  }))

/** The blob with a crc that fits what its bytes say now. */
function resealed(blob: Uint8Array): Uint8Array {
  const end = blob.length - 4
  new DataView(blob.buffer, blob.byteOffset).setUint32(end, crc32(blob, 0, 0, end), true)
  return blob
}

describe('what was built is what is read', () => {
  it('bit for bit, for all values, weights, layouts and payloads in any mixture', () => {
    fc.assert(fc.property(instanceArb, recordsArb, (instance, records) => {
      const batch = decodeBatch(build(instance, records))
      expect(recordsOf(batch)).toStrictEqual(records)
      expect(batch).toMatchObject({ instance, firstSeq: records[0]!.seq, lastSeq: records.at(-1)!.seq })
    }), { numRuns: 400 })
  })

  it('with the numbers that the head announces, and never larger than `bytes` said', () => {
    fc.assert(fc.property(instanceArb, recordsArb, (instance, records) => {
      const builder = new BatchBuilder(instance)
      feed(builder, records)
      const blob = builder.finish()
      expect(builder.bytes).toBeGreaterThanOrEqual(blob.length)
      const { firstSeq, lastSeq, points } = builder
      expect(peekBatch(blob)).toEqual({ instance, firstSeq, lastSeq, points })
      expect(points).toBe(records.reduce((sum, r) => sum + ('values' in r ? r.values.length : 0), 0))
      expect(decodeBatch(blob).points).toBe(points)
    }), { numRuns: 200 })
  })

  it('the same bytes for the same records, from a fresh builder, a second finish or after a reset', () => {
    fc.assert(fc.property(recordsArb, recordsArb, (before, records) => {
      const builder = new BatchBuilder(INSTANCE)
      feed(builder, before)
      builder.finish()
      builder.reset(records[0]!.seq)
      feed(builder, records)
      expect(builder.finish()).toEqual(build(INSTANCE, records))
      expect(builder.finish()).toEqual(build(INSTANCE, records))
    }), { numRuns: 100 })
  })

  it('also from the middle of a larger buffer', () => {
    fc.assert(fc.property(recordsArb, fc.nat(9), (records, offset) => {
      const blob = build(INSTANCE, records)
      const room = new Uint8Array(blob.length + 20).fill(0xff)
      room.set(blob, offset)
      expect(recordsOf(decodeBatch(room.subarray(offset, offset + blob.length)))).toStrictEqual(records)
    }), { numRuns: 100 })
  })
})

describe('size', () => {
  const bytesPerPoint = (records: Rec[], names: number): number =>
    build(INSTANCE, records).length / (records.length * names)
  const noise = (): number => Math.fround(Math.random())

  it('is at most 4.5 bytes per point for eight float32 metrics a step, 8.5 for doubles', () => {
    expect(bytesPerPoint(rising(400, 8, noise), 8)).toBeLessThan(4.5)
    expect(bytesPerPoint(rising(400, 8, Math.random), 8)).toBeLessThan(8.5)
  })

  it('is under 6 bytes per point for one float32 metric a record, alone or of many layouts in turn', () => {
    expect(bytesPerPoint(rising(1000, 1, noise), 1)).toBeLessThan(6)
    const inTurn = rising(2000, 1, noise).map((r, i) => ({ ...r, layout: i % 20, step: Math.floor(i / 20) }))
    expect(bytesPerPoint(inTurn, 1)).toBeLessThan(6)
  })

  it('is next to nothing for what does not change', () => {
    expect(bytesPerPoint(rising(1000, 8, () => 0.1), 8)).toBeLessThan(0.05)
  })
})

describe('damage', () => {
  it('of any one byte is found', () => {
    const blob = build(INSTANCE, rising(20, 3, Math.random))
    for (let at = 0; at < blob.length; at++) {
      const damaged = blob.slice()
      damaged[at]! ^= 1 + at % 255
      expect(() => decodeBatch(damaged)).toThrow(DAMAGED)
      expect(() => peekBatch(damaged)).toThrow(DAMAGED)
    }
  })

  it('by cutting or adding bytes is found', () => {
    const blob = build(INSTANCE, rising(5, 2, Math.random))
    for (let size = 0; size < blob.length; size++) {
      expect(() => decodeBatch(blob.subarray(0, size))).toThrow(DAMAGED)
    }
    expect(() => decodeBatch(Uint8Array.of(...blob, 0))).toThrow(DAMAGED)
    expect(() => decodeBatch(resealed(Uint8Array.of(...blob, 0)))).toThrow(DAMAGED)
  })

  it('with a crc that fits gives a batch within bounds, or DAMAGED, and nothing else', () => {
    const flip = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 })
    fc.assert(fc.property(recordsArb, flip, (records, flips) => {
      const blob = build(INSTANCE, records)
      for (const [at, byte] of flips) blob[20 + at % (blob.length - 24)] = byte
      expectBounded(resealed(blob))
    }), { numRuns: 1500 })
  })

  it('garbage behind a true head and crc gives a batch within bounds, or DAMAGED', () => {
    const head = build(INSTANCE, rising(1, 1, () => 0)).subarray(0, 20)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), (garbage) => {
      expectBounded(resealed(Uint8Array.of(...head, ...garbage, 0, 0, 0, 0)))
    }), { numRuns: 1500 })
  })

  it('by announcing more than there is allocates nothing large', () => {
    const head = [...build(INSTANCE, rising(1, 1, () => 0)).subarray(0, 20)]
    const full = [0x80, 0x80, 0x04] // 65,536
    const bombs = {
      records: [1, ...full, 0, 0, 0],
      'a group of all records, no columns, and no room for its runs': [1, ...full, 0, 1, 0, 1, 0, ...full],
      'more points than a batch may have': [1, 1, 0x81, 0x80, 0x20, 1, 0, 1, 0x81, 0x80, 0x20, 1],
      columns: [1, 1, 1, 1, 0, 1, 0xff, 0xff, 0x7f, 1, 0],
      'an endless run': [1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
      'a payload of all bytes': [1, 1, 0, 0, 1, 1, 1, 1, 4, 0xff, 0xff, 0xff, 3],
    }
    for (const [what, bytes] of Object.entries(bombs)) {
      expect(() => decodeBatch(resealed(Uint8Array.of(...head, ...bytes, 0, 0, 0, 0))), what).toThrow(DAMAGED)
    }
  })

  it('is not what the largest batch is', () => {
    const builder = new BatchBuilder(INSTANCE)
    const none = new Float64Array(8)
    for (let seq = 1; seq <= BATCH_RECORDS_MAX; seq++) builder.values(seq, 1, seq, NaN, 0, none, 0, 8)
    expect(builder.points).toBe(BATCH_POINTS_MAX)
    expect(decodeBatch(builder.finish()).lastSeq).toBe(BATCH_RECORDS_MAX)
    expect(() => builder.payload(BATCH_RECORDS_MAX + 1, Kind.text, 0, new Uint8Array(2)))
      .toThrow(failing('INTERNAL'))
  })
})

describe('a builder', () => {
  it('takes records only in seq order', () => {
    const builder = new BatchBuilder(INSTANCE)
    builder.reset(5)
    const record = (seq: number) => () => builder.payload(seq, Kind.text, 0, new Uint8Array(2))
    expect(record(6)).toThrow(failing('INTERNAL', 'where 5 was due'))
    record(5)()
    expect(record(5)).toThrow(failing('INTERNAL'))
    expect([builder.firstSeq, builder.lastSeq, builder.count]).toEqual([5, 5, 1])
  })

  it('keeps its own copy of a payload', () => {
    const builder = new BatchBuilder(INSTANCE)
    const body = Uint8Array.of(0x7b, 0x7d)
    builder.payload(1, Kind.text, 0, body)
    body.fill(0)
    expect([...decodeBatch(builder.finish()).payloads[0]!.body]).toEqual([0x7b, 0x7d])
  })

  it('does not finish without records', () => {
    expect(() => new BatchBuilder(INSTANCE).finish()).toThrow(failing('INTERNAL'))
  })
})

/** Bounded in what it allocates; every seq once; any failure is DAMAGED. */
function expectBounded(blob: Uint8Array): void {
  let batch
  try {
    batch = decodeBatch(blob)
  } catch (error) {
    expect(error).toEqual(DAMAGED)
    return
  }
  const records = recordsOf(batch)
  expect(records.map((r) => r.seq)).toEqual(records.map((_, i) => batch.firstSeq + i))
  expect(records.length).toBeLessThanOrEqual(BATCH_RECORDS_MAX)
  expect(batch.points).toBeLessThanOrEqual(BATCH_POINTS_MAX)
  expect(batch.points).toBe(batch.groups.reduce((sum, g) => sum + g.count * g.width, 0))
}
