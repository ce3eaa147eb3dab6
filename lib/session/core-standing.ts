/**
 * How a backend stands, as the ledger's `outbox` notes tell it. Pure.
 *
 * In: notes in order. Out: what is settled, what is on its way, the counts. Invariant: `applyNote` is the
 * only way in, live and on replay; a note that does not fit changes nothing.
 */
import type { Cursor } from '../backend/port.ts'

/** Body of an `outbox` note. Rows `from` to `to`, inclusive, in the numbers of the row stream. */
export type OutboxNote = { backend: string } & (
  /** Before the first send. `at`: ms since the epoch, part of the bytes; `points`: in its rows. */
  | { is: 'batch'; batch: number; from: number; to: number; digest: string; points: number; at: number }
  /** Before a send of a batch that may have been stored already. */
  | { is: 'again'; batch: number }
  | { is: 'delivered'; batch: number; cursor: Cursor }
  | { is: 'rejected'; batch: number; message: string }
  /** Rows that are not sent since they correct others. They are settled by this. */
  | { is: 'thinned'; from: number; to: number; points: number; cause: 'late' }
  /**
   * Of these rows only some are sent, as the backend's budget allows no more: `keep` is how many are left out
   * and how many are kept, in turn, from `from` on; what comes last is kept. `points`: of those left out.
   */
  | { is: 'thinned'; from: number; to: number; points: number; cause: 'budget'; keep: readonly number[] }
  /** The backend was told of the end; `message`: and refused to hear of it. */
  | { is: 'ended'; status: string; message?: string }
)

export interface OpenBatch {
  batch: number
  from: number
  to: number
  digest: string
  points: number
  at: number
}

export interface Plan {
  from: number
  to: number
  keep: readonly number[]
}

/** How one backend stands, from its notes in order. Counts are points where nothing else is said. */
export interface Standing {
  /** All rows up to this one are delivered, thinned or rejected. */
  settled: number
  batches: number
  open: OpenBatch | null
  /** Which of the rows up to `to` are sent; null: all. */
  plan: Plan | null
  /** Of the last delivered batch. */
  cursor: Cursor
  delivered: number
  thinned: number
  rejected: number
  /** Of what is no point: how many items were rejected. */
  rejectedItems: number
  resent: number
  /** What the server said of the last batch that it rejected. */
  refusal: string | null
  /** Final status that the backend knows; null since rows came after it. */
  ended: string | null
}

export const newStanding = (): Standing => ({
  settled: 0, batches: 0, open: null, plan: null, cursor: null, delivered: 0, thinned: 0, rejected: 0,
  rejectedItems: 0, resent: 0, refusal: null, ended: null,
})

/** The only way in, live and on replay. A note that does not fit (a damaged ledger) changes nothing. */
export function applyNote(standing: Standing, note: OutboxNote): void {
  const { open } = standing
  if (note.is === 'ended') standing.ended = note.status
  else if (note.is === 'thinned') {
    if (open !== null || note.from !== standing.settled + 1) return
    if (note.cause === 'late') standing.settled = note.to
    else standing.plan = { from: note.from, to: note.to, keep: note.keep }
    standing.thinned += note.points
  } else if (note.is === 'batch') {
    if (open !== null || note.from !== standing.settled + 1 || note.batch !== standing.batches + 1) return
    const { batch, from, to, digest, points, at } = note
    standing.open = { batch, from, to, digest, points, at }
    standing.batches = batch
    standing.ended = null
  } else if (open !== null && open.batch === note.batch) {
    if (note.is === 'again') standing.resent += open.points
    else if (note.is === 'delivered' || note.is === 'rejected') {
      standing.settled = open.to
      standing.open = null
      if (standing.plan !== null && standing.settled >= standing.plan.to) standing.plan = null
      standing[note.is] += open.points
      if (note.is === 'delivered') standing.cursor = note.cursor
      else {
        standing.refusal = note.message
        standing.rejectedItems += open.to - open.from + 1
      }
    }
  }
}

/** Items that were put aside: settled, and not delivered until the end is. */
export const asideOf = ({ cursor, ended }: Readonly<Standing>): number =>
  ended === null && Array.isArray(cursor?.['aside']) ? cursor['aside'].length : 0

/** Which rows never went out: thinned, or refused. Asked for in order. */
export class Gone {
  private readonly ranges: { from: number; to: number }[] = []
  private batch: { from: number; to: number } | null = null
  private at = 0

  note(note: OutboxNote): void {
    const { ranges } = this
    if (note.is === 'batch') this.batch = note
    else if (note.is === 'rejected' && this.batch !== null) ranges.push(this.batch)
    else if (note.is === 'thinned' && note.cause === 'late') ranges.push(note)
    else if (note.is === 'thinned' && note.cause === 'budget') {
      let at = note.from
      for (const [i, count] of note.keep.entries()) {
        if (i % 2 === 0 && count > 0) ranges.push({ from: at, to: at + count - 1 })
        at += count
      }
    }
  }

  seal(): void {
    this.ranges.sort((a, b) => a.from - b.from)
  }

  has(n: number): boolean {
    while (this.at < this.ranges.length && this.ranges[this.at]!.to < n) this.at++
    return n >= (this.ranges[this.at]?.from ?? Infinity)
  }
}

/** How many of the rows `from` to `to` a plan keeps; all of those beyond it. */
export function keptOf(plan: Plan | null, from: number, to: number): number {
  if (plan === null || from > to) return Math.max(0, to - from + 1)
  let kept = Math.max(0, to - Math.max(from, plan.to + 1) + 1)
  let at = plan.from
  for (const [i, count] of plan.keep.entries()) {
    if (at > to) break
    if (i % 2 === 1) kept += Math.max(0, Math.min(to, at + count - 1) - Math.max(from, at) + 1)
    at += count
  }
  return kept
}

/** The form of a note, of rows in order. */
export function keepOf(from: number, kept: readonly { n: number }[]): number[] {
  const keep: number[] = []
  let at = from
  for (let i = 0; i < kept.length;) {
    const start = kept[i]!.n
    let end = start
    while (kept[++i]?.n === end + 1) end++
    keep.push(start - at, end - start + 1)
    at = end + 1
  }
  return keep
}
