/**
 * Reads the row stream out of a ledger, at its own pace, behind the one that writes it.
 *
 * In: a ledger; the number of the first row that is wanted. Out: rows in order, without end.
 * Invariants: the same rows under the same numbers at every reading (core-stream.ts); it holds as much as one
 * part of a seal, or one reading of amended steps; it stops for breath after each entry.
 * It has a State of its own: so a backend that lags or is down keeps no rows in memory, and a row that closed
 * long ago is built as one of now.
 */
import type { StreamRow } from '../backend/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { EXPORT_BYTES_MAX } from '../limits.ts'
import { jsonNumber } from '../record/index.ts'
import { Collector, type Sequence } from './core-collect.ts'
import type { Metrics } from './core-metrics.ts'
import type { Family, Metric } from './core-model.ts'
import { newSample, reserve, type Sample } from './core-reduce.ts'
import { rowOf } from './core-row.ts'
import type { State } from './core-state.ts'
import { inParts, type Group } from './core-stream.ts'
import type { Row } from './core-types.ts'
import { collect, newState, sampleOf, stepsOf, type History } from './reading.ts'

/** `busy`: ask again when others had their turn; `idle`: the ledger has no more yet. */
export type Read = StreamRow | 'busy' | 'idle'

const CLOSED = { sealed: true, amended: false } as const
const AMENDED = { sealed: true, amended: true } as const

export function* readRows(ledger: Ledger, from: number, ranks = false): Generator<Read, never> {
  const rows: StreamRow[] = []
  const amended: Group[] = []
  const series = new Map<Metric, Place>()
  const state = newState((group, merge) => {
    if (!group.amends) for (const metric of group.metrics) follow(series, metric, group.at)
    if (group.first + group.metrics.length <= from) return
    if (group.amends) amended.push(group)
    else {
      const samples = merge.rows(group.metrics[0]!.family, group.step)
      rows.push(...rowsOf(group, samples, metrics, series, from, ranks))
    }
  })
  const { metrics } = state.inside()
  for (;;) {
    for (const entry of ledger.entries(state.pos + 1)) {
      for (const part of inParts(entry)) {
        state.apply(part)
        yield* rows.splice(0)
      }
      if (amended.length > 0) yield* readAmended(ledger, state, amended.splice(0), from, ranks)
      yield 'busy'
    }
    yield 'idle'
  }
}

interface Place { nth: number; firstAt: number }

function follow(series: Map<Metric, Place>, metric: Metric, at: number): void {
  const place = series.get(metric)
  if (place === undefined) series.set(metric, { nth: 1, firstAt: at })
  else place.nth++
}

function* rowsOf(
  group: Group, samples: Iterable<[Metric, Sample]>, metrics: Metrics, series: ReadonlyMap<Metric, Place>,
  from: number, ranks: boolean,
): Iterable<StreamRow> {
  let n = group.first - 1
  for (const [metric, sample] of samples) {
    if (++n < from) continue
    const row = rowOf(metric, group.step, sample, metrics.viewOf(metric), CLOSED)
    const { nth, firstAt } = series.get(metric)!
    const place = { nth, sinceMs: group.at - firstAt }
    yield { n, at: group.at, row, of: group.of, amends: false, ...place, ...more(metrics, sample, ranks) }
  }
}

/** `has` knows what it was told by then, so that a row is the same at every reading. */
function more(
  metrics: Metrics, { n, ranks: all, values }: Sample, ranks: boolean,
): Pick<StreamRow, 'has' | 'ranks'> {
  const count = metrics.list.length
  const has = (name: string): boolean => (metrics.get(name)?.id ?? count) < count
  if (!ranks) return { has }
  return { has, ranks: Array.from({ length: n }, (_, i) => [all[i]!, jsonNumber(values[i]!)] as const) }
}

/** As the last entry that was applied left them. */
function* readAmended(
  ledger: Ledger, state: State, groups: readonly Group[], from: number, ranks: boolean,
): Generator<Read> {
  const { members, metrics } = state.inside()
  const history = { members, pos: state.pos, lives: members.seats().flatMap((seat) => seat.lives) }
  for (let at = 0; at < groups.length;) {
    const wanted = groups[at]!.metrics
    const steps = new Set<number>()
    for (let i = at; groups[i]?.metrics === wanted; i++) steps.add(groups[i]!.step)
    // What does not fit into memory takes several readings, by step.
    for (let lowest = 0; groups[at]?.metrics === wanted;) {
      const collector = new Collector(wanted, members, lowest, EXPORT_BYTES_MAX, steps)
      for (const _ of collect(ledger, history, collector)) yield 'busy'
      const find = finder(collector, history, metrics)
      for (; groups[at]?.metrics === wanted && groups[at]!.step < collector.upTo; at++) {
        const { first, step, of, at: time } = groups[at]!
        for (let i = 0; i < wanted.length; i++) {
          if (first + i < from) continue
          const [row, sample] = find(wanted[i]!, step)
          const place = { amends: true, nth: 0, sinceMs: 0 }
          yield { n: first + i, at: time, row, of, ...place, ...more(metrics, sample, ranks) }
        }
      }
      lowest = collector.upTo
    }
  }
}

/** Rows of what was collected, by metric and step. */
function finder(
  collector: Collector, history: History, metrics: Metrics,
): (metric: Metric, step: number) => [Row, Sample] {
  const known = new Map<Family, { sequence: Sequence; places: Map<number, { from: number; to: number }> }>()
  let sample = newSample(64)
  return (metric, step) => {
    let found = known.get(metric.family)
    if (found === undefined) {
      const sequence = collector.sequence(metric.family)
      const places = new Map([...stepsOf(sequence)].map(({ step, from, to }) => [step, { from, to }]))
      known.set(metric.family, found = { sequence, places })
    }
    const { from, to } = found.places.get(step) ?? { from: 0, to: 0 }
    sample = sampleOf(reserve(sample, to - from), history, metric, found.sequence, from, to)
    return [rowOf(metric, step, sample, metrics.viewOf(metric), AMENDED), sample]
  }
}
