/**
 * A further reading of a ledger, for the records of some metrics: what export and row stream share.
 *
 * In: a ledger, and what is known of it up to an entry. Out: records in order, samples out of them.
 * Invariant: nothing beyond that entry is seen, so the same reading gives the same samples at any time.
 */
import type { Ledger } from '../ledger/index.ts'
import { JOIN_TIMEOUT_MS, OPEN_ROWS_BYTES_MAX, SEAL_AFTER_MS } from '../limits.ts'
import { decodeBatch } from '../wire/index.ts'
import { indexOf, storeOf, type Collector, type Sequence } from './core-collect.ts'
import { isAccepted, type Members } from './core-members.ts'
import type { Member, Metric, Rank } from './core-model.ts'
import type { Sample } from './core-reduce.ts'
import { State } from './core-state.ts'
import type { TakeRows } from './core-stream.ts'
import type { Batch } from './core-types.ts'

/** For reading: it decides nothing, so the settings of the run do not matter. */
export const newState = (rows?: TakeRows): State => new State({
  sealAfterMs: SEAL_AFTER_MS, joinTimeoutMs: JOIN_TIMEOUT_MS, openRowsBytesMax: OPEN_ROWS_BYTES_MAX,
  decode: decodeBatch,
}, rows)

/** What is known of the entries up to `pos`. */
export interface History {
  members: Members
  /** Last entry that counts. */
  pos: number
  /** Lives by their place in a Collector. */
  lives: Member[]
}

/** Stops for breath now and then, since a reading may take minutes. */
export function* collect(ledger: Ledger, { members, pos }: History, collector: Collector): Generator<void> {
  const acked = new Map<string, number>()
  for (const entry of ledger.entries()) {
    if (entry.pos > pos) return
    if (entry.type === 'note') continue
    const member = members.get(entry.instance)
    const batch = decoded(entry.data)
    if (member === undefined || member.seat === null || batch === null) continue
    const last = acked.get(entry.instance) ?? 0
    collector.take(member, batch, last + 1)
    acked.set(entry.instance, Math.max(last, entry.lastSeq))
    yield
  }
}

export function decoded(blob: Uint8Array): Batch | null {
  try {
    return decodeBatch(blob)
  } catch {
    return null // The audit names it; everything else is exported.
  }
}

export function* stepsOf(sequence: Sequence): Generator<{ from: number; to: number; step: number }> {
  const { codes } = sequence
  for (let from = 0; from < codes.length;) {
    const step = storeOf(sequence, codes[from]!).steps[indexOf(codes[from]!)]!
    let to = from + 1
    while (to < codes.length && storeOf(sequence, codes[to]!).steps[indexOf(codes[to]!)] === step) to++
    yield { from, to, step }
    from = to
  }
}

/** One value per rank: its newest life's last. */
export function sampleOf(
  sample: Sample, history: History, metric: Metric, sequence: Sequence, from: number, to: number,
): Sample {
  sample.n = 0
  let seat: Rank | null = null
  for (let at = from; at < to; at++) {
    const code = sequence.codes[at]!
    const store = storeOf(sequence, code)
    const i = indexOf(code)
    const member = history.lives[store.lives[i]!]!
    if (!isAccepted(member)) continue
    if (sample.n === 0 || member.seat !== seat) sample.n++
    seat = member.seat
    sample.ranks[sample.n - 1] = seat!.rank
    sample.weights[sample.n - 1] = store.weights[i]!
    sample.values[sample.n - 1] = valueOf(sequence, metric, code)
  }
  return sample
}

export function valueOf(sequence: Sequence, metric: Metric, code: number): number {
  const store = storeOf(sequence, code)
  const shape = metric.family.shapes[sequence.stores.indexOf(store)]!
  return store.columns[shape.column.get(metric)!]![indexOf(code)]!
}
