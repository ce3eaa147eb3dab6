/**
 * The shapes that the cores of the aggregator share with its server, with `replay.ts` and with the commands.
 */
import type { DamagedBody, Entry } from '../ledger/index.ts'
import type { Departure, InstanceId, LostPoints, Origin, Reduce } from '../record/index.ts'
import type { RunEvent } from '../record/run-event.ts'
import type { Row } from '../record/row.ts'
import type { OutboxNote } from '../session/core-standing.ts'
import type { Batch } from '../wire/index.ts'

export type { Batch, Entry, Row }

export interface StateOptions {
  sealAfterMs: number
  joinTimeoutMs: number
  openRowsBytesMax: number
  /**
   * `decodeBatch` of room wire; given from outside, so that laws can be tested on batches that never were
   * bytes.
   */
  decode: (blob: Uint8Array) => Batch
  /** Some backend wants rows, so sealed rows that change are decided upon. */
  amends?: boolean
}

/** A note that is ready for `Ledger.append`; `at` is the time that the decision was given. */
export interface NoteDraft<Kind extends keyof Notes = keyof Notes> {
  type: 'note'
  at: number
  kind: Kind
  body: Notes[Kind]
}

/** Bodies of the ledger's notes, by kind. Unknown kinds and fields are ignored. */
export interface Notes {
  /**
   * A new instance. Records below `first` are in ledger `ledgerBefore`, or lost.
   * `offset`: aggregator clock minus the node's, ms, as estimated when it joined, and at most `blur` ms from
   * the truth (absent: 0). Orders the lives of a rank.
   */
  joined: JoinedBody
  /** This instance holds its rank at the same time as `holder`: its points are rejected. */
  conflict: { instance: InstanceId; holder: InstanceId }
  /** This instance follows `after`, which had not ended when it joined: its held points may merge. */
  heir: { instance: InstanceId; after: InstanceId }
  skip: { instance: InstanceId; from: number; to: number; points: LostPoints; cause: string }
  ended: EndedBody
  seal: SealBody
  /** The sealed rows that late points changed since the last such note go to the backends anew. */
  amend: Record<string, never>
  outbox: OutboxNote
  session: Record<string, unknown>
  /** Somebody is to be told; before anybody is. */
  event: RunEvent
  /** `host`: of the aggregator that holds it. */
  term: { term: number; host?: string }
  /** First in a ledger: the one before could not be read, and is now `file`. */
  aside: { file: string; why: string }
  /** Never appended: what the ledger gives in the place of what it cannot. */
  damaged: DamagedBody
}

export interface JoinedBody {
  origin: Origin
  first: number
  ledgerBefore: string | null
  offset: number
  blur?: number
  /** Defined below `first`. */
  layouts?: { id: number; names: string[] }[]
}

export interface EndedBody {
  instance: InstanceId
  /** Last record that was written; `logged`, `lost`, `refused` are the owner's own counters. */
  seq: number
  logged: number
  lost: number
  refused: number
  departure: Departure
  at: number
  /** The counters are the last known, not the final ones. */
  estimated?: boolean
}

export type SealedBy = 'progress' | 'deadline' | 'memory' | 'drain'

/**
 * Rows closed by one decision: each group is (metric ids as inclusive ranges) × (steps as runs start, stride,
 * count).
 */
export interface SealBody {
  by: SealedBy
  groups: { metrics: [number, number][]; steps: [number, number, number][] }[]
}

export type Verdict = 'take' | 'duplicate' | 'unknown' | { gap: number }

/** What an agent's BEAT says of one instance. Soft state: never in the ledger. */
export interface BeatFacts {
  instance: InstanceId
  alive: boolean
  logged: number
  lost: number
  backlog: number
}

/**
 * `live`: joined, not ended. `suspect`: joined while another life of its rank had not ended, verdict pending.
 * `rank-conflict`: rejected. `ended`: its owner is gone and everything it left was admitted or booked.
 */
export type MemberState = 'live' | 'suspect' | 'rank-conflict' | 'ended'

/** One instance as shown to status and session. A snapshot: later entries don't change it. */
export interface MemberView {
  instance: InstanceId
  origin: Origin
  rank: number
  /** Place among the lives of its rank in order of start, from 1. */
  attempt: number
  state: MemberState
  joinedAt: number
  acked: number
  /** The first record that this ledger can have, and the ledger that has those before. */
  first: number
  ledgerBefore: string | null
  /** Step of the last values record, null before the first. */
  lastStep: number | null
  /** Time of the last record (ms, the node's clock), null before the first. */
  lastTime: number | null
  /** Bodies of its `open` and `end` records, when they came. */
  open: Record<string, unknown> | null
  end: Record<string, unknown> | null
  ended: EndedBody | null
  /** Holder of the rank, for `rank-conflict`. */
  holder: InstanceId | null
  /** Weights that were ≤ 0 or not finite, and counted as 1. */
  badWeights: number
  textLines: number
  alive: boolean | null
  backlog: number | null
  heardAt: number | null
}

/** The books of one instance (DESIGN 13), all in points but `refused` (values). */
export interface InstanceBooks {
  instance: InstanceId
  rank: number
  attempt: number
  state: MemberState
  /** logged = admitted + lost + pending, unless `missing` says otherwise. */
  logged: number
  admitted: number
  /** Records that the ledger holds twice, in points; 0 unless it was edited. */
  duplicates: number
  lost: number
  pending: number
  refused: number
  /** Points that the counters of the owner prove and that neither the ledger nor a skip accounts for. */
  missing: number
  /** Ranges of seq that are in no batch and no skip below `acked`. */
  holes: [number, number][]
  estimated: boolean
  /** local: admitted = delivered + superseded + rejected + open. */
  local: { delivered: number; superseded: number; rejected: number; pending: number }
}

export interface EventView {
  instance: InstanceId
  seq: number
  time: number
  event: Record<string, unknown>
}

export interface Point {
  metric: string
  step: number
  rank: number
  value: number | string
  weight: number | string | null
  /** ms since the epoch. */
  time: number
  instance: InstanceId
  attempt: number
  superseded?: true
  /** Of `sys/` points. */
  node?: string
  /** Out of the rows: its instance held a rank at the same time as an earlier one. */
  rejected?: 'rank-conflict'
}

export interface Audit {
  run: string
  status: string | null
  ranks: {
    rank: number
    attempt: number
    instance: InstanceId
    logged: number
    admitted: number
    duplicates: number
    lost: number
    pending: number
    refused: number
    state: MemberState
    missing?: number
    estimated?: true
  }[]
  backends: {
    name: string
    delivered: number
    thinned: number
    superseded: number
    rejected: number
    pending: number
    resent: number
    /** Where there are any, and it has a place for them. */
    assets?: { logged: number; delivered: number; rejected: number; pending: number }
  }[]
  balanced: boolean
  complete: boolean
  /** One sentence per equation that does not hold. */
  problems: string[]
}

export interface DefineBody {
  metric: string
  reduce: Reduce
}
