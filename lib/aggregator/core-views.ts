/** Snapshots of members and metrics for status, session and dashboard. Pure. */
import { jsonNumber, type Reduce } from '../record/index.ts'
import { attemptOf } from './core-members.ts'
import type { Merge } from './core-merge.ts'
import type { Metrics } from './core-metrics.ts'
import type { Family, Member, Metric, Newest } from './core-model.ts'
import { reduce, viewOf, type Sample } from './core-reduce.ts'
import type { MetricStatus } from '../record/run-status.ts'
import type { MemberView } from './core-types.ts'

export function memberView(member: Member): MemberView {
  const { instance, origin, state, joinedAt, acked, first, ledgerBefore, lastStep, lastTime, soft } = member
  const { open, end, ended, holder, badWeights, textLines } = member
  return {
    instance, origin, rank: origin.rank, attempt: attemptOf(member), state, joinedAt, acked, first,
    ledgerBefore, lastStep,
    lastTime, open, end, ended, holder, badWeights, textLines,
    alive: soft?.alive ?? null, backlog: soft?.backlog ?? null, heardAt: soft?.at ?? null,
  }
}

export function newestOf(step: number, sample: Sample, view: Reduce): Newest {
  const stats = reduce(sample)
  const { count, min, max, minRank, maxRank } = stats
  const value = viewOf(stats, view)
  const shown = value === null ? null : jsonNumber(value)
  if (count === 0) return { step, value: shown, min: null, max: null, count, minRank: null, maxRank: null }
  return { step, value: shown, min, max, count, minRank, maxRank }
}

/** null while the metric is only defined, not logged. */
export function metricView(metric: Metric, merge: Merge, metrics: Metrics): MetricStatus | null {
  const { family, name } = metric
  const step = newestOpen(family)
  const sealed = metric.newest !== null && metric.newest.step > step
  const newest = sealed ? metric.newest : step < 0 ? null
    : newestOf(step, merge.column(metric, step), metrics.viewOf(metric))
  return newest === null ? null : { metric: name, ...newest, expected: expectedOf(family), sealed }
}

/** Ranks that ever logged the family. */
export function expectedOf(family: Family): number {
  const { shapes } = family
  return shapes.length === 1 ? shapes[0]!.ranks.length : new Set(shapes.flatMap(({ ranks }) => ranks)).size
}

function newestOpen(family: Family): number {
  let top = -1
  for (const { blocks } of family.shapes) {
    for (const step of blocks.keys()) if (step > top && !family.sealed.has(step)) top = step
  }
  return top
}
