/**
 * Reads a ledger as a whole: merged rows, every rank's points.
 *
 * In: a ledger, live or finished. Out: rows and points in order, streamed.
 * Invariants: decisions (order of lives, rivals, seals) are read, never made again, so an export is the same
 * whenever it runs. A first reading applies every entry to a State; then the wanted metrics are read in as
 * many further readings as their records need to stay within EXPORT_BYTES_MAX. Entries that are appended
 * meanwhile are not seen.
 */
import type { Ledger } from '../ledger/index.ts'
import { EXPORT_BYTES_MAX } from '../limits.ts'
import { globToRegExp, jsonNumber } from '../record/index.ts'
import { Collector, indexOf, RECORD_BYTES, storeOf, VALUE_BYTES, type Sequence } from './core-collect.ts'
import { damagesOf } from './audit.ts'
import { attemptOf, isAccepted } from './core-members.ts'
import type { Metrics } from './core-metrics.ts'
import type { Family, Member, Metric, Shape } from './core-model.ts'
import { newSample, reserve } from './core-reduce.ts'
import { rowOf } from './core-row.ts'
import type { Point, Row } from './core-types.ts'
import { collect, decoded, newState, sampleOf, stepsOf, valueOf, type History } from './reading.ts'

export { audit } from './audit.ts'

export interface ExportOptions {
  /** Without it: everything but `sys/`. */
  metric?: string
  /** Memory for records, bytes. */
  bytesMax?: number
  /** Told before the first row, for each damage of the ledger. */
  damaged?: (what: string) => void
}

/** Merged rows, sorted by metric and step. */
export function* rows(ledger: Ledger, options: ExportOptions = {}): Generator<Row> {
  const history = readAll(ledger, options)
  let sample = newSample(64)
  for (const { metric, sequence } of selections(ledger, history, options)) {
    const view = history.metrics.viewOf(metric)
    for (const { from, to, step } of stepsOf(sequence)) {
      sample = sampleOf(reserve(sample, to - from), history, metric, sequence, from, to)
      // Only rejected points were logged there.
      if (sample.n === 0) continue
      const { family } = metric
      const marks = { sealed: family.sealed.has(step), amended: family.amended.has(step) }
      const row = rowOf(metric, step, sample, view, marks)
      // Nobody decides when a row of system metrics closes: it does with the run.
      yield history.systems.get(metric.name) === metric ? { ...row, sealed: history.ended } : row
    }
  }
}

/** Every point of every life, sorted by metric, step, rank, attempt, seq. */
export function* points(ledger: Ledger, options: ExportOptions = {}): Generator<Point> {
  const history = readAll(ledger, options)
  for (const { metric, sequence } of selections(ledger, history, options)) {
    for (const { from, to, step } of stepsOf(sequence)) {
      for (let at = from; at < to; at++) yield pointOf(history, metric, sequence, step, at, to)
    }
  }
}

/** … and what the portions of an export need to know. */
interface Whole extends History {
  metrics: Metrics
  /** Of the agents' own instances. */
  systems: Metrics
  ended: boolean
  /** Records per shape. */
  records: Map<Shape, number>
}

function readAll(ledger: Ledger, { damaged = () => {} }: ExportOptions): Whole {
  const state = newState()
  const { members, metrics, systems } = state.inside()
  const records = new Map<Shape, number>()
  for (const entry of ledger.entries()) {
    if (entry.type === 'note') {
      state.apply(entry)
      continue
    }
    const batch = decoded(entry.data)
    state.apply(entry, batch ?? undefined)
    const layouts = members.get(entry.instance)?.layouts
    for (const { layout, count } of batch?.groups ?? []) {
      const shape = layouts?.get(layout)?.shape
      if (shape !== undefined) records.set(shape, (records.get(shape) ?? 0) + count)
    }
  }
  damagesOf(state, ledger.path).forEach(damaged)
  const lives = members.seats().flatMap((seat) => seat.lives)
  const ended = state.session['state'] === 'ended'
  return { members, metrics, systems, ended, pos: state.pos, records, lives }
}

/**
 * Each wanted metric with its records in order; a metric too large for memory comes in several parts, by
 * step.
 */
function* selections(
  ledger: Ledger, history: Whole, options: ExportOptions,
): Generator<{ metric: Metric; sequence: Sequence }> {
  const bytesMax = options.bytesMax ?? EXPORT_BYTES_MAX
  for (const wanted of portions(history, options, bytesMax)) {
    for (let from = 0; from < Infinity;) {
      // A portion of several metrics is known to fit, so it must never be cut by step.
      const limit = wanted.length > 1 ? Infinity : bytesMax
      const collector = new Collector(wanted, history.members, from, limit)
      for (const _ of collect(ledger, history, collector));
      let family: Family | null = null
      let sequence: Sequence | null = null
      for (const metric of wanted) {
        if (metric.family !== family || sequence === null) sequence = collector.sequence(metric.family)
        family = metric.family
        yield { metric, sequence }
      }
      from = collector.upTo
    }
  }
}

/** Consecutive metrics by name, as many at a time as fit. */
function* portions(history: Whole, options: ExportOptions, bytesMax: number): Generator<Metric[]> {
  const pattern = options.metric === undefined ? null : globToRegExp(options.metric)
  const wanted = [...history.metrics.list, ...history.systems.list]
    .filter(({ name }) => (pattern === null ? !name.startsWith('sys/') : pattern.test(name)))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  let portion: Metric[] = []
  let shapes = new Set<Shape>()
  let bytes = 0
  for (const metric of wanted) {
    let more = 0
    for (const shape of metric.family.shapes) {
      more += (history.records.get(shape) ?? 0) * (VALUE_BYTES + (shapes.has(shape) ? 0 : RECORD_BYTES))
    }
    // Arrays grow by doubling: half of the memory is sure to do.
    if (portion.length > 0 && bytes + more > bytesMax / 2) {
      yield portion
      portion = []
      shapes = new Set()
      bytes = 0
    }
    portion.push(metric)
    for (const shape of metric.family.shapes) shapes.add(shape)
    bytes += more
  }
  if (portion.length > 0) yield portion
}

function pointOf(
  history: History, metric: Metric, sequence: Sequence, step: number, at: number, to: number,
): Point {
  const code = sequence.codes[at]!
  const store = storeOf(sequence, code)
  const i = indexOf(code)
  const member = history.lives[store.lives[i]!]!
  const weight = store.weights[i]!
  const point: Point = {
    metric: metric.name, step, rank: member.origin.rank, value: jsonNumber(valueOf(sequence, metric, code)),
    weight: Number.isNaN(weight) ? null : jsonNumber(weight), time: store.times[i]!,
    instance: member.instance, attempt: attemptOf(member),
  }
  if (member.origin.role === 'agent') point.node = member.origin.node
  if (member.state === 'rank-conflict') point.rejected = 'rank-conflict'
  else if (isAccepted(member) && isReplaced(history, sequence, member, at, to)) point.superseded = true
  return point
}

/** A later point of the same rank and step is there; those of rivals don't count. */
function isReplaced(history: History, sequence: Sequence, member: Member, at: number, to: number): boolean {
  for (let next = at + 1; next < to; next++) {
    const code = sequence.codes[next]!
    const other = history.lives[storeOf(sequence, code).lives[indexOf(code)]!]!
    if (other.seat !== member.seat) return false
    if (isAccepted(other)) return true
  }
  return false
}
