/** What a run shows of itself: the shape of `status --json` (DESIGN 13) and of the files that carry it. */

import type { Asset } from './index.ts'

/** Points of JSON: NaN and infinities are strings. */
export type JsonNumber = number | string | null

/** Replaced by the aggregator in the run directory, read by everybody else. Times are ms since the epoch. */
export interface RunStatus {
  run: string
  key: string
  project: string
  name: string
  /** Run directory. */
  dir: string
  /** Host of the aggregator. */
  host: string
  term: number
  state: string
  status: string | null
  /** Why the session was refused. */
  reason: string | null
  /** Why the ledger takes nothing now. */
  fault: string | null
  /** What of its ledger is damaged, or was set aside; absent when nothing is. */
  damages?: string[]
  /** World size. */
  ranks: number
  startedAt: number
  endedAt: number | null
  updatedAt: number
  /** In time order, without workers that we stopped. */
  failed: Failure[]
  processes: ProcessStatus[]
  members: MemberStatus[]
  params: ParamStatus[]
  /** Of `run.tags`, `run.other` and `run.asset`; absent when there are none. */
  tags?: string[]
  others?: ParamStatus[]
  /** All are counted, the newest are listed. */
  assets?: { count: number; newest: AssetStatus[] }
  metricCount: number
  /** The newest row of each metric, as many as are shown. */
  metrics: MetricStatus[]
  books: BooksStatus
  health: HealthStatus
  /** Newest system metrics of each node, by lowest rank; absent when there are none. */
  nodes?: NodeStatus[]
  backends: BackendStatus[]
  /** One per node that has an agent; absent in pictures of older versions. */
  clocks?: ClockStatus[]
  /** Connections that were closed since they did not prove the run secret. */
  denied?: number
}

export interface BackendStatus {
  name: string
  state: string
  /** Points that it has not taken yet; of one that gets no rows, events. */
  pending: number
  /** Why it takes nothing now, or what it refused last. */
  fault?: string
  /** Points that it refused for good, that were left out by rule, and that it may have got twice. */
  rejected?: number
  thinned?: number
  resent?: number
  /** How long (ms) the oldest row waits to be sent. */
  ageMs?: number
  /** What it took and does not show, as `sync` has looked. */
  missing?: string
  /** Assets that it has not taken yet, that it refused for good, and bytes sent of those on their way. */
  assets?: { pending: number; rejected?: number; bytes: number }
  /** File with what it has not taken, for its tracker's own tools. */
  archive?: string
  /** Calls of the last window, and how many the budget allows. */
  use?: { used: number; max: number; windowMs: number }
  /** Calls since the process that serves the run began. */
  calls?: CallsStatus
  /** What is not as it should be, though it works. */
  warning?: string
}

export interface CallsStatus {
  made: number
  /** Answered 429. */
  throttled: number
  /** The key was refused (401, 403). */
  denied: number
  /** Answered 5xx, or not at all. */
  failed: number
  /** The slowest first, a few. */
  slowest: SlowCall[]
}

export interface SlowCall {
  /** When it began, ms since the epoch, and how long it took, ms. */
  at: number
  ms: number
  /** Method and path. */
  call: string
  /** Of HTTP; a text: the error that came in place of an answer. */
  status: number | string
}

/** One asset, by who logged it first; its content is `<dir>/.assets/<sha256>` on that host. */
export interface AssetStatus extends Omit<Asset, 'metadata'> {
  host: string
  rank: number
}

export interface ClockStatus {
  host: string
  /** Clock of the head less clock of this node (ms); null on the head's own node. */
  offsetMs: number | null
  agentPid: number
}

export interface Failure {
  /** -1: COMMAND itself. */
  rank: number
  host: string
  pid: number
  exit: number | null
  signal: string | null
  /** Who knew. */
  cause: string
  error?: { type: string; message: string }
  /** Where its output, or its exception, is; on `host`. */
  log?: string
  lastStep: number | null
  at: number
  /** A later attempt of the rank went well. */
  recovered: boolean
}

export interface ProcessStatus {
  role: string
  host: string
  pid: number
  /** Clock ticks since boot, so that a reused pid is not taken for it; 0 unknown. */
  procStart: number
}

/** One worker instance. Counts are points, `refused` values. */
export interface MemberStatus {
  rank: number
  instance: string
  attempt: number
  host: string
  pid: number
  procStart: number
  state: string
  lastStep: number | null
  logged: number
  admitted: number
  lost: number
  pending: number
  refused: number
  /** Journal bytes that its agent still holds, null before the first beat. */
  backlogBytes: number | null
  /** Age of its newest record, null when it is not live. */
  lagMs: number | null
  /** Its first records are in another ledger: that of a head that was lost. */
  before?: { ledger: string; records: number }
}

export interface NodeStatus {
  host: string
  /** Lowest rank there. */
  rank: number
  /** Whole seconds since the start of the run. */
  step: number
  /** `sys/cpu` as `cpu`, …; those of single ranks are in the export. */
  values: Record<string, number>
}

export interface MetricStatus {
  metric: string
  step: number
  value: JsonNumber
  min: JsonNumber
  max: JsonNumber
  minRank: number | null
  maxRank: number | null
  count: number
  expected: number
  sealed: boolean
}

export interface ParamStatus {
  key: string
  /** The value of most ranks (of the lowest rank on a tie). */
  value: unknown
  /** Present when ranks disagree: every value with its ranks. */
  divergence?: { value: unknown; ranks: string }[]
}

/** What the stream itself tells (DESIGN 7). Ranks are ranges as in `0-3,7`; null and empty: nothing wrong. */
export interface HealthStatus {
  /** The live rank whose last record is the oldest. */
  lag: { rank: number; ms: number } | null
  /** Worst first. */
  stragglers: Straggler[]
  hang: {
    ranks: string
    /** The lowest of their last steps. */
    sinceStep: number
    forMs: number
    /** Highest step of the other ranks; null: all ranks have stopped. */
    others: number | null
  } | null
  /** Per metric the first value that is not finite, by step, then rank. */
  firstNaN: OddValue[]
  /** Never came, or live and not heard of. */
  missing: string | null
}

export interface Straggler {
  rank: number
  /** Its own part of a step to that of the usual rank. */
  ratio: number
  /** It falls behind: its time of a step, ms. */
  stepMs?: number
  /** It keeps up, since the others wait for it: how much later than they it logs a step, ms. */
  lateMs?: number
}

export interface OddValue {
  metric: string
  rank: number
  step: number
  kind: 'NaN' | 'Infinity' | '-Infinity'
}

export const GOOD_HEALTH: Readonly<HealthStatus> = {
  lag: null, stragglers: [], hang: null, firstNaN: [], missing: null,
}

/** Sums over all workers, in points. */
export interface BooksStatus {
  logged: number
  admitted: number
  /** In sealed rows. */
  merged: number
  lost: number
  pending: number
  /** Admitted, in rows that are not sealed yet. */
  open: number
  /** Admitted and replaced by a later value of the same rank and step. */
  superseded: number
  /** Admitted and out of the rows, since another life held the rank. */
  rejected: number
  /** Values that are no points. */
  refused: number
}

export const NO_BOOKS: Readonly<BooksStatus> = {
  logged: 0, admitted: 0, merged: 0, lost: 0, pending: 0, open: 0, superseded: 0, rejected: 0, refused: 0,
}

/** Where the aggregator of a run is, or was. */
export interface Endpoint {
  run: string
  /** Run directory. */
  dir: string
  meeting: string
  /** Address, and the name of the host behind it. */
  host: string
  hostname: string
  port: number
  pid: number
  procStart: number
  term: number
  ledger: string
  key: string
  state: string
  /** For other nodes, once the aggregator listens for them: port and addresses, CURVE with this secret. */
  wide?: { port: number; addresses: string[]; secretFile: string }
}
