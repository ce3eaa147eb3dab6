/**
 * The port that every backend has, whatever its tracker: what it is told, what it answers, what it can.
 *
 * In: the session's endpoint and picture; rows, as batches that are durable decisions before they get here.
 * Out: what became of each call.
 * Invariants: `encode` and `pack` are pure, so that a batch has the same bytes after any restart; a call that
 * cannot say for sure that nothing was stored says `unsure`. No idea of one tracker belongs here.
 */
import type { Asset } from '../record/index.ts'
import type { CallsStatus, Endpoint, RunStatus } from '../record/run-status.ts'
import type { RunEvent } from '../record/run-event.ts'
import type { Row } from '../record/row.ts'

/** What a backend needs to know to go on with a run, whoever serves it then. In the ledger: no secrets. */
export type BackendPlace = Readonly<Record<string, string>>

export interface Backend {
  readonly name: string
  /** Null: it needs no rows, since it reads the ledger, or is told of events only. */
  readonly rows: Writer<StreamRow> | null
  /** Absent: nobody there waits for word of the run. */
  readonly events?: Writer<StreamEvent>
  /** Absent: it has no place for what ranks print or say. */
  readonly texts?: Writer<StreamText>
  /** Absent: it has no place for what agents sample of their nodes. */
  readonly systems?: Writer<StreamSystem>
  /** Absent: it has no place for files. Their contents are in the store of lib/artifact. */
  readonly assets?: Writer<StreamAsset>
  /** Where its experiment keys are unique, beside the project: the key of a run is held there too. */
  readonly domain?: string
  /** A session begins, or goes on after a restart of the aggregator: where it is served. */
  announce(endpoint: Endpoint): void
  /**
   * What people see from now on; the last call has state `ended`. False: not taken, the caller tries again.
   */
  status(picture: RunStatus): boolean
  /** What it has spent of its server's patience, and what went wrong beside rows and texts. */
  use?(): BackendUse
  /** The run is over: what its budget keeps for later may be spent now. */
  hurry?(): void
  /** It is not to be called while the run lasts: all is left to the archive, and to `sync`. */
  readonly offline?: boolean
  readonly archive?: Archive
  /** Reads back what it was sent; what of it is not there, in a sentence, or null. */
  verify?(sent: AsyncIterable<StreamRow>): Promise<string | null>
  /** The run is over, and not all is delivered: tells that it is, as well as it can. */
  leave?(status: string): Promise<void>
  /** This process goes: nothing more is sent. What was not ended stays open for whoever comes next. */
  close?(): void
}

export interface BackendUse {
  used: number
  max: number
  windowMs: number
  /** ''. */
  fault: string
  /** What is not as it should be, though it works; ''. */
  warning: string
  /** Null: there was none. */
  calls: CallsStatus | null
}

/** What `doctor` says of a backend before any run. */
export interface BackendCheck {
  name: string
  /** Null: not known. */
  facts: Readonly<Record<string, string | number | null>>
  findings: Finding[]
}

export interface Finding {
  /** error: it will not work; warning: it costs something. */
  level: 'error' | 'warning' | 'info'
  what: string
  remedy: string
}

/** What was not delivered, as a file that the tracker's own tools take. */
export interface Archive {
  /** Null: there is none. */
  path(): string | null
  write(leftovers: AsyncIterable<Leftover>, status: string): Promise<void>
  /** All was delivered after all, and the file would bring it twice. */
  remove(): void
}

export type Leftover =
  { row: StreamRow } | { text: StreamText } | { system: StreamSystem } | { asset: StreamAsset }

/** A row on its way to a backend. */
export interface StreamRow {
  /** Place in the stream, from 1; the same after any restart. */
  n: number
  /** When it was closed, or corrected, by the head's clock: ms since the epoch. */
  at: number
  row: Row
  /** Its points, by the place of their instance in the order of joining. */
  of: readonly number[]
  /** Corrects an earlier row of the same metric and step. */
  amends: boolean
  /** Whether the run had a metric of this name when the row closed. */
  has: (metric: string) => boolean
  /** Which row of its metric it is, from 1, and how long (ms) after the first; 0 where it amends. */
  nth: number
  sinceMs: number
  /** Of each rank, for a backend that can use them (`can.ranks`); ascending. */
  ranks?: readonly (readonly [rank: number, value: number | string])[]
}

/** A change of the run, on its way to a backend. */
export interface StreamEvent {
  /** Place in the stream of events, from 1; the same after any restart. */
  n: number
  event: RunEvent
}

/** A line that a rank has printed or said, on its way to a backend. */
export interface StreamText {
  /** Place in the stream of texts, from 1; the same after any restart. */
  n: number
  /** By the head's clock, ms since the epoch. */
  time: number
  rank: number
  /** World size, as far as known by then. */
  world: number
  /** Null: said to the logger. */
  stream: 'stdout' | 'stderr' | null
  line: string
}

/** What an agent has sampled of its node, on its way to a backend. */
export interface StreamSystem {
  /** Place in the stream of samples, from 1; the same after any restart. */
  n: number
  host: string
  /** By the head's clock, ms since the epoch. */
  time: number
  /** Whole seconds since the start of the run. */
  step: number
  /** By name, `sys/…`; finite. */
  values: readonly (readonly [name: string, value: number])[]
}

/** An asset on its way to a backend; equal ones of several ranks are one. */
export interface StreamAsset extends Asset {
  /** Place in the stream of assets, from 1; the same after any restart. */
  n: number
  /** Who logged it first, and where its content is. */
  rank: number
  host: string
  /** By the head's clock, ms since the epoch. */
  time: number
}

export interface Capabilities {
  rowsMax: number
  bytesMax: number
  /** What `encode` counts. */
  valuesMax?: number
  /** A row waits at most this long (ms) for others to share its batch. */
  ageMs: number
  /** A later row of the same metric and step corrects the one before. If not, it is thinned, cause `late`. */
  amends: boolean
  /** So many points of a series are kept; absent: all. What a metric has beyond is thinned. */
  pointsMax?: number
  /** It is opened with the session, not with the first row: people see that the job is there. */
  eager?: boolean
  /** One send may take this long (ms); absent: OUTBOX_SEND_MS. */
  sendMs?: number
  /** It can use the values of single ranks. */
  ranks?: boolean
}

/** What a backend can take, in values: so many at once, and so many each ms on and on. */
export interface Pace {
  now: number
  perMs: number
}

/** One row, or text, as a part of a batch. */
export interface Encoded {
  data: Uint8Array
  /** How many values it makes, as the backend's own limits count. */
  values: number
}

/** The way of rows, or of texts, to one backend. */
export interface Writer<Item> {
  readonly can: Capabilities
  /** Absent: as much as there is. If more comes, some rows are left out (session/core-thin.ts). */
  pace?(): Pace
  /** Bytes that have gone out, while a send takes long; items that it has put aside until the end. */
  progress?(): { bytes: number; aside: number }
  encode(item: Item): Encoded
  /** The bytes to send; `at` (ms since the epoch) is that of the batch's note. */
  pack(parts: readonly Uint8Array[], at: number): Uint8Array
  /** Opens, or opens again, where the last batch that was delivered ended. */
  open(cursor: Cursor): Promise<Outcome>
  write(bytes: Uint8Array, signal: AbortSignal): Promise<Outcome>
  /** Nothing more comes, for now. May be asked again. */
  end(status: string, signal: AbortSignal): Promise<Outcome>
}

/**
 * What a backend wants to know of its last delivered batch, as JSON; null before the first. `aside`: a list
 * of the items that it has put aside.
 */
export type Cursor = Readonly<Record<string, unknown>> | null

/** What became of a call. A call that throws is `unsure`. */
export type Outcome =
  /** `found`, of an open: items up to this one are there, by another way than `write`. */
  | { is: 'done'; cursor?: Cursor; found?: number }
  /** Not tried: the backend's own budget is used up for so long. No fault of anybody. */
  | { is: 'wait'; afterMs: number }
  /** Refused for good (4xx): this batch is never tried again. */
  | { is: 'refused'; message: string }
  /**
   * Surely not stored (429, no connection). `afterMs`: the pause that the server asks for; `stuck`: until
   * somebody does what the message says, so that the end of a run does not wait for it.
   */
  | { is: 'later'; message: string; afterMs?: number; stuck?: true }
  /** Perhaps stored (reset, time-out, most 5xx). */
  | { is: 'unsure'; message: string; afterMs?: number }
