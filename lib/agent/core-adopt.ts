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
  /** Of the run directory, as the kernel says. */
  lock: 'held' | 'free' | 'unknown'
  /** Connected to a head. */
  live: boolean
}

export class Adoption {
  readonly #patienceMs: number
  /** The run whose lock was seen held by another node, and the one whose head we have been. */
  #proved: string | null = null
  #adopted: string | null = null
  #silentSince: number | null = null

  /** `random` in [0, 1): of many nodes one comes first. */
  constructor(random: () => number) {
    this.#patienceMs = ADOPT_AFTER_MS + random() * ADOPT_SPREAD_MS
  }

  /** Whether to take `run` over now. */
  look({ now, run, head, lock, live }: AdoptLook): boolean {
    this.#silentSince = live ? null : this.#silentSince ?? now
    if (head === null || head.run !== run) return false
    if (!head.here && lock === 'held') this.#proved = run
    if (lock !== 'free' || this.#silentSince === null) return false
    // What we have taken over once is ours to start again.
    if (head.here) return this.#adopted === run
    return this.#proved === run && now - this.#silentSince >= this.#patienceMs
  }

  began(run: string): void {
    this.#adopted = run
  }
}
