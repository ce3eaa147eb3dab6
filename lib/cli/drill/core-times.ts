/**
 * Durations as a histogram of constant memory: 32 buckets for each doubling, so a quantile is right to 2 %;
 * the longest is kept exactly. Pure.
 */
const PER_DOUBLING = 32
/** 2^40 ns is 18 minutes. */
const DOUBLINGS = 40

/** How it is written down: ns by bucket, only those that count. */
export interface TimesRecord {
  longestNs: number
  buckets: Record<string, number>
}

export class Times {
  readonly #buckets = new Float64Array(PER_DOUBLING * DOUBLINGS)
  longestNs = 0

  add(ns: number): void {
    if (ns > this.longestNs) this.longestNs = ns
    const at = ns < 1 ? 0 : Math.floor(Math.log2(ns) * PER_DOUBLING)
    this.#buckets[at < this.#buckets.length ? at : this.#buckets.length - 1]!++
  }

  merge({ longestNs, buckets }: TimesRecord): void {
    this.longestNs = Math.max(this.longestNs, longestNs)
    for (const [at, count] of Object.entries(buckets)) this.#buckets[Number(at)]! += count
  }

  get count(): number {
    return this.#buckets.reduce((sum, count) => sum + count, 0)
  }

  /** ns below which the part `q` of all durations is; 0 without any. */
  quantileNs(q: number): number {
    let left = this.count * q
    for (const [at, count] of this.#buckets.entries()) {
      left -= count
      if (left <= 0 && count > 0) return Math.min(this.longestNs, 2 ** ((at + 1) / PER_DOUBLING))
    }
    return this.longestNs
  }

  toJSON(): TimesRecord {
    const counted = [...this.#buckets.entries()].filter(([, count]) => count > 0)
    return { longestNs: this.longestNs, buckets: Object.fromEntries(counted) }
  }
}
