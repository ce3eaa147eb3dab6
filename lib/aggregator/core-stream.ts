/**
 * The row stream: rows in the order in which they close, numbered from 1, then again where late points have
 * changed them. Pure.
 *
 * In: what State does while it applies a ledger. Out: groups of rows, all at one step and of one set of
 * ranks.
 * Invariants: numbers, order and points follow from the ledger alone, if it is applied `inParts`; a point
 * that is delivered (in the books of `local`) is in exactly one row of the stream, or waits in `changed`.
 * It keeps no rows: whoever wants them builds them while he is told.
 */
import { STREAM_ROWS } from '../limits-outbox.ts'
import type { Merge } from './core-merge.ts'
import type { Family, Member, Metric } from './core-model.ts'
import type { Entry, SealBody } from './core-types.ts'

export interface Group {
  /** Number of the row of its first metric; the others follow. */
  first: number
  metrics: readonly Metric[]
  step: number
  /** Each row has one point of each of these, by the place of their member. */
  of: readonly number[]
  /** They were closed before; their values are in the ledger only. */
  amends: boolean
  at: number
}

/** Called before the rows lose their values: `merge` has them, if the rows are no amendments. */
export type TakeRows = (group: Group, merge: Merge) => void

export class RowStream {
  /** Number of the next row. */
  next = 1
  private readonly merge: Merge
  private readonly take: TakeRows
  /** Late points by the metrics that they came for: step to members. */
  private readonly changed = new Map<readonly Metric[], Map<number, number[]>>()
  private of: readonly number[] = []

  constructor(merge: Merge, take: TakeRows) {
    this.merge = merge
    this.take = take
    merge.onAmended = (family, step, member) => this.late(family, step, member)
  }

  /** Before the row closes. */
  seal(family: Family, step: number, at: number): void {
    if (family.sealed.has(step)) return
    const of = this.shared(this.merge.holders(family, step))
    if (of.length > 0) this.give({ metrics: family.metrics, step, of, amends: false, at })
  }

  amend(at: number): void {
    for (const { metrics, step, of } of this.unsent()) this.give({ metrics, step, of, amends: true, at })
    this.changed.clear()
  }

  /** What no `amend` note has sent off yet, in the order in which one will. */
  *unsent(): Iterable<Pick<Group, 'metrics' | 'step' | 'of'>> {
    const families = [...this.changed].sort(([a], [b]) => a[0]!.id - b[0]!.id || a.length - b.length)
    for (const [metrics, steps] of families) {
      for (const [step, of] of [...steps].sort(([a], [b]) => a - b)) yield { metrics, step, of }
    }
  }

  private late({ metrics }: Family, step: number, { index }: Member): void {
    let steps = this.changed.get(metrics)
    if (steps === undefined) this.changed.set(metrics, steps = new Map())
    const of = steps.get(step)
    if (of === undefined) steps.set(step, [index])
    else of.push(index)
  }

  private give(group: Omit<Group, 'first'>): void {
    this.take({ first: this.next, ...group }, this.merge)
    this.next += group.metrics.length
  }

  /** Mostly all ranks are in all rows: one list for all of them. */
  private shared(of: readonly number[]): readonly number[] {
    const same = of.length === this.of.length && of.every((index, i) => index === this.of[i])
    return this.of = same ? this.of : of
  }
}

/** A seal of many rows as several of some, so that not all of them have to be in memory at once. */
export function* inParts(entry: Entry): Iterable<Entry> {
  if (entry.type !== 'note' || entry.kind !== 'seal') return void (yield entry)
  const { by, groups } = entry.body as SealBody
  for (const { metrics, steps } of groups) {
    const rows = metrics.reduce((sum, [from, to]) => sum + to - from + 1, 0)
    const most = Math.max(1, Math.floor(STREAM_ROWS / rows))
    for (const [start, stride, count] of steps) {
      for (let i = 0; i < count; i += most) {
        const part: SealBody['groups'][number]['steps'][number] =
          [start + stride * i, stride, Math.min(most, count - i)]
        yield { ...entry, body: { by, groups: [{ metrics, steps: [part] }] } }
      }
    }
  }
}
