import { TRIPS_MAX } from '../limits.ts'

/** Half of the round trip is how far the offset may be from the truth. Both in ms. */
export interface Offset { offset: number; blur: number }

/** How far the head's clock is from ours, from round trips: the shortest one says it best. Pure. */
export class ClockOffset {
  #best: Offset | null = null

  /** Head's clock less ours; null before the first round trip. */
  get value(): Offset | null {
    return this.#best
  }

  /** We sent at `sentAt`, by our wall clock; the head answered at `now`, by its own, after `trip` ms. */
  sample(sentAt: number, now: number, trip: number): void {
    const blur = trip / 2
    if (this.#best !== null && this.#best.blur <= blur) return
    this.#best = { offset: now - (sentAt + blur), blur }
  }

  /** Another head, another clock. */
  reset(): void {
    this.#best = null
  }
}

/** Questions of one kind on one connection that have no answer yet, by their `sentAt`, which it echoes. */
export class Trips {
  readonly #asked = new Map<number, number>()

  /** `wall`, `now`: wall and monotonic clock. Tells the `sentAt`, unlike that of any other question. */
  ask(wall: number, now: number): number {
    let sentAt = wall
    while (this.#asked.has(sentAt)) sentAt++
    this.#asked.set(sentAt, now)
    for (const [oldest] of this.#asked) if (this.#asked.size > TRIPS_MAX) this.#asked.delete(oldest)
    return sentAt
  }

  /** How long that one took (ms), by the monotonic clock: the other may have been set. null: none of ours. */
  answer(sentAt: number, now: number): number | null {
    const at = this.#asked.get(sentAt)
    this.#asked.delete(sentAt)
    return at === undefined ? null : now - at
  }

  clear(): void {
    this.#asked.clear()
  }
}
