/**
 * Rows and texts as the items of Comet's batches. Pure.
 *
 * In: one row, one text. Out: its values, each a series' point. Invariant: one (series, step) has one value,
 * so what is derived from a metric gives way to a metric of the same name.
 */
import type { StreamRow, StreamSystem, StreamText } from '../port.ts'
import { nameOf } from './core-names.ts'

export interface MetricValue {
  metricName: string
  metricValue: number | string
  step: number
  epoch: null
  context: null
  /** Ms since the epoch. */
  timestamp: number
}

export interface OutputLine {
  stderr: boolean
  output: string
  localTimestamp: number
  offset: number
}

/** Of the series of single ranks: none, those that hold minimum or maximum, or all. */
export type RankSeries = 'none' | 'outliers' | 'all'

export function metricsOf({ row, at, has, ranks }: StreamRow, choice: RankSeries): MetricValue[] {
  const { metric, step, value, count, expected, min, max, std, nan, inf } = row
  const here = count + nan + inf
  const values: MetricValue[] = []
  const add = (name: string, metricValue: number | string | null): void => {
    if (metricValue === null) return
    values.push({ metricName: nameOf(name), metricValue, step, epoch: null, context: null, timestamp: at })
  }
  const derive = (what: string, derived: number | string | null): void => {
    if (!has(`${metric}/${what}`)) add(`${metric}/${what}`, derived)
  }
  add(metric, value)
  // None finite, none here, or one odd among others: their statistics say less than they hide.
  const differ = here > 1 && (min !== max || (nan + inf > 0 && count > 0))
  if (differ || (value === null && count > 0)) {
    derive('min', min)
    derive('max', max)
    derive('std', std)
  }
  if (differ || here < expected) derive('coverage', here / expected)
  for (const [rank, each] of ranks ?? []) {
    const isOutlier = rank === row.minRank || rank === row.maxRank || typeof each === 'string'
    if (choice === 'all' || (choice === 'outliers' && differ && isOutlier)) derive(`rank/${rank}`, each)
  }
  return values
}

/** One series for each node: `sys/<host>/cpu`. */
export const systemOf = ({ host, time, step, values }: StreamSystem): MetricValue[] =>
  values.map(([name, metricValue]) => ({
    metricName: nameOf(name.replace('/', `/${host}/`)), metricValue, step, epoch: null, context: null,
    timestamp: time,
  }))

/** With several ranks, a line says whose it is. */
export const lineOf = ({ n, time, rank, world, stream, line }: StreamText): OutputLine => ({
  stderr: stream === 'stderr', output: `${world > 1 ? `rank ${rank}: ` : ''}${line}\n`,
  localTimestamp: time, offset: n,
})
