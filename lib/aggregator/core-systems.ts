/**
 * System metrics: what agents log of their nodes, in instances of their own. Pure.
 *
 * In: the agents' layouts and batches in ledger order. Out: metrics and shapes for an export; the newest
 * values of each node for the status. Invariants: nothing of it enters rows in memory, books or seals, and
 * nothing waits for it; one node may have several lives, as its agent may be started again.
 */
import type { NodeStatus } from '../record/run-status.ts'
import { shapeOf } from './core-merge.ts'
import type { Member, Metric, Rank } from './core-model.ts'
import { Metrics } from './core-metrics.ts'
import type { Batch } from './core-types.ts'

/** Its workers', which come and go, are in the export only. */
const OF_RANKS = 'sys/rank/'

export class Systems {
  readonly metrics = new Metrics()
  private readonly newest = new Map<Rank, { step: number; node: string; values: Map<Metric, number> }>()

  take(member: Member, batch: Batch): void {
    const { seat, origin: { node } } = member
    if (seat === null) return
    for (const group of batch.groups) {
      const shape = shapeOf(member, batch, group)
      if (shape === null || group.count === 0) continue
      if (!seat.slots.has(shape)) {
        seat.slots.set(shape, shape.ranks.length)
        shape.ranks.push(seat)
      }
      const last = group.count - 1
      const known = this.newest.get(seat) ?? { step: -1, node, values: new Map<Metric, number>() }
      this.newest.set(seat, known)
      known.step = Math.max(known.step, group.steps[last]!)
      shape.metrics.forEach((metric, column) => {
        const value = group.values[column * group.count + last]!
        if (!metric.name.startsWith(OF_RANKS)) known.values.set(metric, value)
      })
    }
  }

  view(): NodeStatus[] {
    return [...this.newest].map(([seat, { step, node, values }]) => (
      { host: node, rank: seat.rank, step, values: Object.fromEntries(
        [...values].map(([metric, value]) => [metric.name.slice('sys/'.length), value])) }))
      .sort((a, b) => a.rank - b.rank || (a.host < b.host ? -1 : 1))
  }
}
