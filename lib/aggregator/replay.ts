/**
 * Reads a ledger as a whole: merged rows, every rank's points, the books counted anew.
 *
 * In: a ledger, live or finished. Out: rows and points in order, streamed; an audit.
 * Invariants: decisions (order of lives, rivals, seals) are read, never made again, so an export is the same
 * whenever it runs. A first reading applies every entry to a State; then the wanted metrics are read in as
 * many further readings as their records need to stay within EXPORT_BYTES_MAX. Entries that are appended
 * meanwhile are not seen.
 */
import { basename, dirname } from 'node:path'
import type { Ledger } from '../ledger/index.ts'
import { EXPORT_BYTES_MAX, JOIN_TIMEOUT_MS, OPEN_ROWS_BYTES_MAX, SEAL_AFTER_MS } from '../limits.ts'
import { globToRegExp, jsonNumber, type Reduce } from '../record/index.ts'
import { decodeBatch } from '../wire/index.ts'
import { problemsOf } from './core-books.ts'
import { Collector, indexOf, RECORD_BYTES, storeOf, VALUE_BYTES, type Sequence } from './core-collect.ts'
import { attemptOf, isAccepted, type Members } from './core-members.ts'
import type { Metrics } from './core-metrics.ts'
import type { Family, Member, Metric, Rank, Shape } from './core-model.ts'
import { newSample, quantiles, reduce, reserve, viewOf, type Sample, type Stats } from './core-reduce.ts'
import { State } from './core-state.ts'
import type { Audit, Batch, Point, Row } from './core-types.ts'
import { expectedOf } from './core-views.ts'

export interface ExportOptions {
  /** Without it: everything but `sys/`. */
  metric?: string
  /** Memory for records, bytes. */
  bytesMax?: number
}

/** Merged rows, sorted by metric and step. */
export function* rows(ledger: Ledger, options: ExportOptions = {}): Generator<Row> {
  const history = readAll(ledger)
  let sample = newSample(64)
  for (const { metric, sequence } of selections(ledger, history, options)) {
    const view = history.metrics.viewOf(metric)
    for (const { from, to, step } of stepsOf(sequence)) {
      sample = sampleOf(reserve(sample, to - from), history, metric, sequence, from, to)
      // Only rejected points were logged there.
      if (sample.n === 0) continue
      const row = rowOf(metric, step, sample, view)
      // Nobody decides when a row of system metrics closes: it does with the run.
      yield history.systems.get(metric.name) === metric ? { ...row, sealed: history.ended } : row
    }
  }
}

/** Every point of every life, sorted by metric, step, rank, attempt, seq. */
export function* points(ledger: Ledger, options: ExportOptions = {}): Generator<Point> {
  const history = readAll(ledger)
  for (const { metric, sequence } of selections(ledger, history, options)) {
    for (const { from, to, step } of stepsOf(sequence)) {
      for (let at = from; at < to; at++) yield pointOf(history, metric, sequence, step, at, to)
    }
  }
}

/** The books, counted anew from the blobs. */
export function audit(ledger: Ledger): Audit {
  const state = newState()
  const strangers = new Map<string, number>()
  for (const entry of ledger.entries()) {
    state.apply(entry)
    if (entry.type !== 'batch' || state.member(entry.instance) !== null) continue
    strangers.set(entry.instance, (strangers.get(entry.instance) ?? 0) + 1)
  }
  const books = state.books()
  const problems = books.flatMap(problemsOf)
  for (const [instance, count] of strangers) {
    problems.push(`instance ${instance}: ${count} batches are in the ledger, but not that it joined`)
  }
  const sum = (field: 'delivered' | 'superseded' | 'rejected' | 'pending'): number =>
    books.reduce((total, { local }) => total + local[field], 0)
  const local = {
    name: 'local', delivered: sum('delivered'), thinned: 0, superseded: sum('superseded'),
    rejected: sum('rejected'), pending: sum('pending'), resent: 0,
  }
  const ranks = books.map(({ local: _, holes: __, missing, estimated, ...one }) => ({
    ...one, ...(missing > 0 ? { missing } : {}), ...(estimated ? { estimated: true as const } : {}),
  })).sort((a, b) => a.rank - b.rank || a.attempt - b.attempt)
  const { status } = state.session
  return {
    run: ledger.meta()['run'] ?? basename(dirname(ledger.path)),
    status: typeof status === 'string' ? status : null,
    ranks, backends: [local], balanced: problems.length === 0,
    complete: local.pending === 0 && books.every(({ pending }) => pending === 0), problems,
  }
}

/** What the first reading found out. */
interface History {
  members: Members
  metrics: Metrics
  /** Of the agents' own instances. */
  systems: Metrics
  ended: boolean
  /** Last entry seen; further readings stop there. */
  pos: number
  /** Records per shape. */
  records: Map<Shape, number>
  /** Lives by their place in a Collector. */
  lives: Member[]
}

const newState = (): State => new State({
  sealAfterMs: SEAL_AFTER_MS, joinTimeoutMs: JOIN_TIMEOUT_MS, openRowsBytesMax: OPEN_ROWS_BYTES_MAX,
  decode: decodeBatch,
})

function readAll(ledger: Ledger): History {
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
  const lives = members.seats().flatMap((seat) => seat.lives)
  const ended = state.session['state'] === 'ended'
  return { members, metrics, systems, ended, pos: state.pos, records, lives }
}

/**
 * Each wanted metric with its records in order; a metric too large for memory comes in several parts, by
 * step.
 */
function* selections(
  ledger: Ledger, history: History, options: ExportOptions,
): Generator<{ metric: Metric; sequence: Sequence }> {
  const bytesMax = options.bytesMax ?? EXPORT_BYTES_MAX
  for (const wanted of portions(history, options, bytesMax)) {
    for (let from = 0; from < Infinity;) {
      // A portion of several metrics is known to fit, so it must never be cut by step.
      const limit = wanted.length > 1 ? Infinity : bytesMax
      const collector = new Collector(wanted, history.members, from, limit)
      collect(ledger, history, collector)
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
function* portions(history: History, options: ExportOptions, bytesMax: number): Generator<Metric[]> {
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

function collect(ledger: Ledger, { members, pos }: History, collector: Collector): void {
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
  }
}

function decoded(blob: Uint8Array): Batch | null {
  try {
    return decodeBatch(blob)
  } catch {
    return null // The audit names it; everything else is exported.
  }
}

function* stepsOf(sequence: Sequence): Generator<{ from: number; to: number; step: number }> {
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
function sampleOf(
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

function valueOf(sequence: Sequence, metric: Metric, code: number): number {
  const store = storeOf(sequence, code)
  const shape = metric.family.shapes[sequence.stores.indexOf(store)]!
  return store.columns[shape.column.get(metric)!]![indexOf(code)]!
}

function rowOf(metric: Metric, step: number, sample: Sample, view: Reduce): Row {
  const stats = reduce(sample)
  const value = viewOf(stats, view)
  const { family, name } = metric
  return {
    metric: name, step, value: value === null ? null : jsonNumber(value), count: stats.count,
    expected: expectedOf(family), ...figures(stats, sample), nan: stats.nan, inf: stats.inf,
    sealed: family.sealed.has(step), amended: family.amended.has(step),
  }
}

type Figures = Pick<
  Row, 'mean' | 'min' | 'max' | 'minRank' | 'maxRank' | 'std' | 'sum' | 'median' | 'p95' | 'last'
>

function figures(stats: Stats, sample: Sample): Figures {
  if (stats.count === 0) {
    return {
      mean: null, min: null, max: null, minRank: null, maxRank: null, std: null, sum: null, median: null,
      p95: null, last: null,
    }
  }
  const { median, p95 } = quantiles(sample, stats)
  const { mean, min, max, minRank, maxRank, std, sum, last } = stats
  return {
    mean: jsonNumber(mean), min, max, minRank, maxRank, std: jsonNumber(std), sum: jsonNumber(sum), median,
    p95, last,
  }
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
