/**
 * Rate budgets of one tracker for a whole job. Pure; time is an argument.
 *
 * In: limits as so many per window, and what is about to be spent. Out: whether it may be, else for how long
 * not.
 * Invariant: in any window, of whatever place, no more is spent than its limit, as long as nobody forces: a
 * bucket holds BUDGET_BURST of the limit and is filled evenly with the rest. In a hurry (the run is over)
 * nothing is kept for later, and all that the last window has left may be spent. After a restart the buckets
 * are empty, since nobody knows what was spent before.
 */
import { BUDGET_BURST, BUDGET_SLICES } from '../limits-comet.ts'

export interface Rate {
  max: number
  /** Ms. */
  windowMs: number
}

interface Bucket {
  rate: Rate
  burst: number
  perMs: number
  tokens: number
  at: number
  /** What was spent lately, in slices; the newest last. One more than a window has: together no shorter. */
  slices: number[]
  sliceAt: number
  /** Since then all is known that was spent within a window. */
  knownFrom: number
}

export interface Use extends Rate {
  used: number
}

const sumOf = (counts: readonly number[]): number => counts.reduce((sum, one) => sum + one, 0)
export const burstOf = ({ max }: Rate): number => Math.max(1, Math.floor(max * BUDGET_BURST))

export class Budget<Kind extends string> {
  private readonly buckets: Map<Kind, Bucket>
  private isHurried = false

  constructor(rates: Readonly<Record<Kind, Rate>>, full: boolean, now: number) {
    this.buckets = new Map(Object.entries<Rate>(rates).map(([kind, rate]) => {
      const burst = burstOf(rate)
      const perMs = Math.max(rate.max - burst, rate.max / 2) / rate.windowMs
      return [kind as Kind, {
        rate, burst, perMs, tokens: full ? burst : 0, at: now, sliceAt: now,
        knownFrom: full ? now : now + rate.windowMs, slices: new Array(BUDGET_SLICES + 1).fill(0),
      }]
    }))
  }

  /** 0: it is spent. Else nothing is, and so long (ms) it takes until it may be. `spare`: tokens to leave. */
  spend(wants: Partial<Record<Kind, number>>, now: number, spare = 0): number {
    let wait = 0
    for (const [kind, count] of this.each(wants)) wait = Math.max(wait, this.wait(kind, count, now, spare))
    if (wait === 0) this.force(wants, now)
    return wait
  }

  /** What cannot wait is spent all the same, and others wait for it: a sign of life, an end. */
  force(wants: Partial<Record<Kind, number>>, now: number): void {
    for (const [kind, count] of this.each(wants)) {
      const bucket = this.fill(kind, now)
      bucket.tokens -= count
      bucket.slices[BUDGET_SLICES]! += count
    }
  }

  /** So many may be spent at once, and so many each ms on and on. */
  pace(kind: Kind, now: number): { now: number; perMs: number } {
    const bucket = this.fill(kind, now)
    const tokens = Math.max(0, Math.floor(bucket.tokens))
    if (!this.mayHurry(bucket, now)) return { now: tokens, perMs: bucket.perMs }
    // The end does not wait until more may be spent.
    return { now: Math.max(tokens, this.left(bucket, now)), perMs: 0 }
  }

  /** From now on nothing has to be kept for later. */
  hurry(): void {
    this.isHurried = true
  }

  /** Of the last window. */
  use(kind: Kind, now: number): Use {
    const { rate, slices } = this.fill(kind, now)
    return { used: sumOf(slices.slice(1)), ...rate }
  }

  private* each(wants: Partial<Record<Kind, number>>): Iterable<[Kind, number]> {
    for (const [kind, count] of Object.entries(wants)) {
      if (this.buckets.has(kind as Kind)) yield [kind as Kind, count as number]
    }
  }

  /** What is larger than a bucket waits for a full one. */
  private wait(kind: Kind, count: number, now: number, spare: number): number {
    const bucket = this.fill(kind, now)
    const { tokens, burst, perMs } = bucket
    const missing = Math.min(count + spare, burst) - tokens
    return missing <= 0 || count + spare <= this.left(bucket, now) ? 0 : Math.ceil(missing / perMs)
  }

  /** Beside what the bucket has. */
  private left(bucket: Bucket, now: number): number {
    return this.mayHurry(bucket, now) ? bucket.rate.max - sumOf(bucket.slices) : 0
  }

  private mayHurry({ knownFrom }: Bucket, now: number): boolean {
    return this.isHurried && now >= knownFrom
  }

  private fill(kind: Kind, now: number): Bucket {
    const bucket = this.buckets.get(kind)!
    const { rate, burst, perMs, at } = bucket
    bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, now - at) * perMs)
    bucket.at = now
    const slice = rate.windowMs / BUDGET_SLICES
    const gone = Math.min(BUDGET_SLICES + 1, Math.floor(Math.max(0, now - bucket.sliceAt) / slice))
    for (let i = 0; i < gone; i++) {
      bucket.slices.shift()
      bucket.slices.push(0)
    }
    if (gone > 0) bucket.sliceAt += Math.floor((now - bucket.sliceAt) / slice) * slice
    return bucket
  }
}
