import { Kind, type InstanceId } from '../record/index.ts'
import { BatchBuilder, decodeBatch } from '../wire/index.ts'
import type { SkipBody } from './core-spool.ts'

/** What goes to the head for a range of seqs: the records, or the news that they are lost. */
export type Unit =
  | { type: 'BATCH'; first: number; last: number; body: Uint8Array }
  | { type: 'SKIP'; first: number; last: number; body: SkipBody }

/** A skip costs a frame of about this many bytes of credit. */
const SKIP_BYTES = 256

export function bytesOf(unit: Unit): number {
  return unit.type === 'BATCH' ? unit.body.length : SKIP_BYTES
}

export function skipUnit(from: number, to: number, cause: string, points = 0): Unit {
  const body: SkipBody = { from, to, points: points > 0 ? { '': points } : {}, cause }
  return { type: 'SKIP', first: from, last: to, body }
}

/**
 * The same batch without the records before `from`. The head takes whole batches only, and what it holds of
 * this one came in other pieces (from the journal, or from an earlier agent).
 */
export function batchFrom(instance: InstanceId, blob: Uint8Array, from: number): Uint8Array {
  const batch = decodeBatch(blob)
  const builder = new BatchBuilder(instance)
  builder.reset(from)
  const adds: { seq: number; add: () => void }[] = []
  for (const { layout, count, width, seqs, steps, times, weights, values } of batch.groups) {
    const row = new Float64Array(width)
    for (let i = 0; i < count; i++) {
      adds.push({ seq: seqs[i]!, add: () => {
        for (let c = 0; c < width; c++) row[c] = values[c * count + i]!
        builder.values(seqs[i]!, layout, steps[i]!, weights?.[i] ?? NaN, times[i]!, row, 0, row.length)
      } })
    }
  }
  for (const { seq, kind, time, body } of batch.payloads) {
    adds.push({ seq, add: () => builder.payload(seq, kind as Kind, time, body) })
  }
  for (const { seq, add } of adds.sort((a, b) => a.seq - b.seq)) if (seq >= from) add()
  return builder.finish()
}
