/**
 * When this node takes over the run of a head on another node that is gone for good. Pure.
 *
 * In: looks at the connection, at the endpoint in the shared run directory and at its kernel lock. Out: now,
 * or not.
 * Invariants: silence alone is no reason: a head that is cut off or stopped keeps its lock, and so the run.
 * Nor is a free lock: only one that was seen held from here, while the head was on another node, is known to
 * span nodes. Where it never was (no shared directory, locks of one node only, no addon), nobody adopts.
 */
import { ADOPT_AFTER_MS, ADOPT_SPREAD_MS } from '../limits.ts'

export interface AdoptLook {
  now: number
  /** The run that we serve, once known. */
  run: string | null
  /** The head as the shared directory names it: run, and whether it is on this node. Null: none there. */
  head: { run: string; here: boolean } | null
  /** The meeting file of this node says that its last head served this run. */
  ours: boolean
  /** Of the run directory, as the kernel says. */
  lock: 'held' | 'free' | 'unknown'
  /** Connected to a head. */
  live: boolean
}

export class Adoption {
  readonly #patienceMs: number
  /** The run whose lock was seen held by another node. */
  #proved: string | null = null
  #silentSince: number | null = null

  get proved(): string | null {
    return this.#proved
  }

  /** `random` in [0, 1): of many nodes one comes first. */
  constructor(random: () => number) {
    this.#patienceMs = ADOPT_AFTER_MS + random() * ADOPT_SPREAD_MS
  }

  /** Whether to take `run` over now. */
  look({ now, run, head, ours, lock, live }: AdoptLook): boolean {
    this.#silentSince = live ? null : this.#silentSince ?? now
    if (head === null || head.run !== run) return false
    if (!head.here && lock === 'held') this.#proved = run
    if (lock !== 'free' || this.#silentSince === null) return false
    // What this node has taken over is its own to start again, also for an agent that came later.
    if (head.here) return ours
    return this.#proved === run && now - this.#silentSince >= this.#patienceMs
  }
}
