/** What the room is asked with, and what it answers. */

export type Env = Readonly<Record<string, string | undefined>>

/** A live process above us. `name` is its command name as the kernel has it (≤ 15 bytes). */
export interface ProcessFact {
  pid: number
  /** Clock ticks since boot (field 22 of /proc/<pid>/stat), 0 when unknown. */
  start: number
  name: string
}

/**
 * What a process knows about itself besides its environment. Gathered at the edge, so that this room stays
 * pure.
 */
export interface Facts {
  pid: number
  /** As ProcessFact.start. */
  procStart: number
  bootId: string
  uid: number
  /** Nearest first: parent, its parent, and so on. */
  ancestors: readonly ProcessFact[]
}

export interface Claim {
  source: string
  /** The variables that made the claim. */
  variables: string[]
  rank: number
  worldSize: number
}

export interface Identity extends Claim {
  /**
   * Whose environment this is, also where an argument gave the tuple: `source`, or what it would have been.
   */
  launcher: string
  localRank: number
  localWorldSize: number | null
  nodeRank: number | null
  /** Complete tuples of other sources that say something else. */
  conflicts: Claim[]
  /** Sources that began a tuple and did not complete it. */
  rejected: { source: string; variables: string[]; why: string }[]
}
