/** How far the head's clock is from ours, from round trips: the shortest one says it best. Pure. */
export class ClockOffset {
  #best: { trip: number; offset: number } | null = null

  /** Head's clock less ours (ms); undefined before the first round trip. */
  get value(): number | undefined {
    return this.#best?.offset
  }

  /** We sent at `sentAt` and received at `at`, by our clock; the head answered at `now`, by its own. */
  sample(sentAt: number, now: number, at: number): void {
    const trip = at - sentAt
    // A clock that was set meanwhile.
    if (!(trip >= 0)) return
    if (this.#best !== null && this.#best.trip <= trip) return
    this.#best = { trip, offset: now - (sentAt + trip / 2) }
  }

  /** Another head, another clock. */
  reset(): void {
    this.#best = null
  }
}
