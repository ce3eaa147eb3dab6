import fc from 'fast-check'
import { Kind, type RecordSink } from '../../lib/record/index.ts'
import { BatchBuilder, type Batch } from '../../lib/wire/index.ts'

/** One record as plain data; `weight` NaN means none. */
export type Rec =
  | { seq: number; layout: number; step: number; weight: number; time: number; values: number[] }
  | { seq: number; kind: Kind; time: number; body: Uint8Array }

export function feed(sink: RecordSink, records: readonly Rec[]): void {
  for (const r of records) {
    if ('kind' in r) sink.payload(r.seq, r.kind, r.time, r.body)
    // Values stand at an odd place of a larger array, as in a journal's ring.
    else {
      const ring = Float64Array.of(9, 9, 9, ...r.values, 9)
      sink.values(r.seq, r.layout, r.step, r.weight, r.time, ring, 3, r.values.length)
    }
  }
}

export function build(instance: string, records: readonly Rec[]): Uint8Array {
  const builder = new BatchBuilder(instance)
  feed(builder, records)
  return builder.finish()
}

/** The records of a batch in seq order, by value. */
export function recordsOf(batch: Batch): Rec[] {
  const list: Rec[] = batch.payloads.map((p) => ({ ...p, body: new Uint8Array(p.body) }))
  for (const g of batch.groups) {
    for (let i = 0; i < g.count; i++) {
      list.push({
        seq: g.seqs[i]!, layout: g.layout, step: g.steps[i]!, time: g.times[i]!,
        weight: g.weights === null ? NaN : g.weights[i]!,
        values: Array.from({ length: g.width }, (_, c) => g.values[c * g.count + i]!),
      })
    }
  }
  return list.sort((a, b) => a.seq - b.seq)
}

export const instanceArb = fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: 32, maxLength: 32 })
  .map((digits) => digits.join(''))

const special = fc.constantFrom(
  NaN, Infinity, -Infinity, -0, 0, 2 ** 53, -(2 ** 53), 5e-324, 2 ** -149, 3.4028234663852886e38,
)
const value = fc.oneof(special, fc.double(), fc.float(), fc.integer())
const whole = fc.oneof(fc.nat(100), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER))
const time = fc.oneof(fc.integer({ min: 1_790_000_000_000, max: 1_790_000_900_000 }), fc.double(), special)
const step = fc.oneof({ weight: 8, arbitrary: whole }, value)
const weight = fc.oneof(fc.constant(NaN), fc.constant(32), value)
const widths = [1, 2, 0, 5, 9]

const body = fc.string({ unit: 'binary', maxLength: 40 })
  .map((text) => new TextEncoder().encode(JSON.stringify({ text })))
const kind = fc.constantFrom(Kind.layout, Kind.params, Kind.text, Kind.end)
const payload = fc.record({ kind, time, body })
const values = fc.nat(widths.length - 1).chain((layout) => fc.record({
  layout: fc.constant(layout), step, weight, time,
  values: fc.array(value, { minLength: widths[layout]!, maxLength: widths[layout]! }),
}))
/** What a trainer does: one layout, rising steps, values that stay or move. */
const calm = fc.tuple(fc.nat(1e6), fc.nat(50), fc.integer({ min: 1, max: 60 }))
  .map(([from, stride, n]) => Array.from({ length: n }, (_, i) => ({
    layout: 7, step: from + stride * i, weight: NaN, time: 1_790_000_000_000 + 13 * i,
    values: [0.5, Math.fround(1 / (i + 1)), 0.1 * i],
  })))

/** Records of several layouts and payloads, interleaved, with consecutive seqs. */
export const recordsArb: fc.Arbitrary<Rec[]> = fc.tuple(
  fc.integer({ min: 1, max: 2 ** 52 }),
  fc.array(fc.oneof({ weight: 6, arbitrary: values.map((r) => [r]) }, payload.map((r) => [r]), calm), {
    minLength: 1, maxLength: 20,
  }),
).map(([first, parts]) => parts.flat().map((r, i) => ({ ...r, seq: first + i }) as Rec))
