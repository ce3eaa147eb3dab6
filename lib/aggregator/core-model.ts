/**
 * The objects that the cores work on. They are mutable and belong to one State; nothing here leaves it but as
 * a view.
 *
 * A row is (metric, step), but what is stored is a **block**: (shape, step), a shape being one ordered set of
 * metric names. One log() call fills one slot of a block; so the cost of order, seq and weight is shared by
 * its metrics.
 * A **family** is a largest set of metrics that occur in exactly the same shapes. Its metrics are logged by
 * the same ranks at the same steps, so they seal together: all decisions are made per family.
 */
import type { Origin, Reduce } from '../record/index.ts'
import type { EndedBody, MemberState } from './core-types.ts'
import type { Pace } from './core-pace.ts'
import type { StepSet } from './core-steps.ts'

export interface Metric {
  /** Order of first appearance in the ledger; seal notes name metrics by it. */
  id: number
  name: string
  family: Family
  /** Statistics of the highest sealed row, for status. */
  newest: Newest | null
  /** The declared view; null: look it up again. */
  reduce: Reduce | null
}

export interface Newest {
  step: number
  value: number | string | null
  min: number | null
  max: number | null
  count: number
  minRank: number | null
  maxRank: number | null
}

export interface Family {
  metrics: Metric[]
  shapes: Shape[]
  sealed: StepSet
  /** Sealed rows that a late point changed. */
  amended: StepSet
  /** Aggregator time of the metric's first value in the run. */
  firstAt: number
}

export interface Shape {
  metrics: Metric[]
  column: Map<Metric, number>
  families: Family[]
  /** Highest sealed step of any family: above it nothing can be late. */
  sealedTop: number
  /** The ranks that ever logged this shape, by slot. */
  ranks: Rank[]
  /** By slot: where the present life of the rank stands; null when it has not logged this shape. */
  tracks: (Track | null)[]
  /** Slots in rank order; null: a rank came since. */
  ordered: Int32Array | null
  blocks: Map<number, Block>
}

/** One instance logging one shape. */
export interface Track {
  shape: Shape
  slot: number
  /**
   * Highest step logged since the last declared rewind, -1 when none: the rank is in or past all steps up to
   * it.
   */
  progress: number
  /** All steps logged; tells whether an older life's late point is already replaced. */
  steps: StepSet
}

/** Slots of one (shape, step): holder, seq, weight, then a value per metric. */
export interface Block {
  shape: Shape
  step: number
  /** Aggregator time of the first value. */
  firstAt: number
  /** Families of its shape whose row of this step is not sealed; at 0 the block is closed. */
  open: number
  data: Float64Array
  at: number
  /** Doubles from `at` on that belong to it. */
  size: number
}

/** Doubles before the values of a slot. The holder is the member's index + 1; 0 is an empty slot. */
export const SLOT_HEAD = 3
export const HOLDER = 0
export const SEQ = 1
export const WEIGHT = 2

export interface Rank {
  rank: number
  /** Dense, in order of joining. */
  index: number
  /** In order of start; the place, from 1, is the attempt. */
  lives: Member[]
  /** The newest life that is accepted and not ended; null: nobody is waited for. */
  current: Member | null
  slots: Map<Shape, number>
}

export interface Layout {
  shape: Shape
  /** Seq of the first definition seen; batches that end before it cannot be named. */
  from: number
}

export interface Held {
  data: Uint8Array
  /** Records below it are repeated. */
  from: number
  points: number
}

export interface Member {
  index: number
  instance: string
  origin: Origin
  /** null for a supervisor and for an agent's own instance. */
  rank: Rank | null
  /** What its points are listed under: the rank of a worker, the node of an agent; null for a supervisor. */
  seat: Rank | null
  clock: Clock
  /** Start in the aggregator's clock; orders the lives of a rank. */
  started: number
  joinedAt: number
  first: number
  ledgerBefore: string | null
  acked: number
  state: MemberState
  holder: string | null
  ended: EndedBody | null
  open: Record<string, unknown> | null
  end: Record<string, unknown> | null
  layouts: Map<number, Layout>
  tracks: Map<Shape, Track>
  /** Batches of a suspect: durable, acknowledged, merged when its verdict is known. */
  held: Held[]
  lastStep: number | null
  lastTime: number | null
  textLines: number
  badWeights: number
  /** Null before its first values. */
  pace: Pace | null
  // Books, in points.
  admitted: number
  duplicates: number
  lostInBand: number
  lostSkipped: number
  skips: number
  refused: number
  delivered: number
  superseded: number
  rejected: number
  holes: [number, number][]
  /** From beats; never in the ledger. */
  soft: Soft | null
}

/** `at`: when it came; `sentAt`: when its agent said so, by the corrected clock of that. */
export interface Soft {
  alive: boolean
  logged: number
  lost: number
  backlog: number
  at: number
  sentAt: number
}

/** Of one boot of a node: what is to be added (ms), and how far from the truth that may be. */
export interface Clock {
  offset: number
  blur: number
  /** Of the head with whose clock it was compared; null: of one that did not say. */
  host: string | null
  members: Member[]
}

/** All of it is here, and how it ended is known, not only believed. */
export const isOver = ({ ended }: Member): boolean => ended !== null && ended.estimated !== true

/** Order of the lives of one rank: by start, ties by id, whatever the order of arrival. */
export function isOlder(a: Member, b: Member): boolean {
  return a.started < b.started || (a.started === b.started && a.instance < b.instance)
}
