/**
 * Rate budgets of one tracker for a whole job. Pure; time is an argument.
 *
 * In: limits as so many per window, and what is about to be spent. Out: whether it may be, else for how long
 * not.
 * Invariant: in any window, of whatever place, no more is spent than its limit, as long as nobody forces: a
 * bucket holds BUDGET_BURST of the limit and is filled evenly with the rest. After a restart the buckets are
 * empty, since nobody knows what was spent before.
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
  /** What was spent lately, in slices of the window; the newest last. */
  slices: number[]
  sliceAt: number
}

export interface Use extends Rate {
  used: number
}

export const burstOf = ({ max }: Rate): number => Math.max(1, Math.floor(max * BUDGET_BURST))

export class Budget<Kind extends string> {
  private readonly buckets: Map<Kind, Bucket>

  constructor(rates: Readonly<Record<Kind, Rate>>, full: boolean, now: number) {
    this.buckets = new Map(Object.entries<Rate>(rates).map(([kind, rate]) => {
      const burst = burstOf(rate)
      const perMs = Math.max(rate.max - burst, rate.max / 2) / rate.windowMs
      return [kind as Kind, {
        rate, burst, perMs, tokens: full ? burst : 0, at: now, slices: new Array(BUDGET_SLICES).fill(0),
        sliceAt: now,
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
      bucket.slices[BUDGET_SLICES - 1]! += count
    }
  }

  /** So many may be spent at once, and so many each ms on and on. */
  pace(kind: Kind, now: number): { now: number; perMs: number } {
    const { tokens, perMs } = this.fill(kind, now)
    return { now: Math.max(0, Math.floor(tokens)), perMs }
  }

  /** Of the last window. */
  use(kind: Kind, now: number): Use {
    const { rate, slices } = this.fill(kind, now)
    return { used: slices.reduce((sum, one) => sum + one, 0), ...rate }
  }

  private* each(wants: Partial<Record<Kind, number>>): Iterable<[Kind, number]> {
    for (const [kind, count] of Object.entries(wants)) {
      if (this.buckets.has(kind as Kind)) yield [kind as Kind, count as number]
    }
  }

  /** What is larger than a bucket waits for a full one. */
  private wait(kind: Kind, count: number, now: number, spare: number): number {
    const { tokens, burst, perMs } = this.fill(kind, now)
    const missing = Math.min(count + spare, burst) - tokens
    return missing <= 0 ? 0 : Math.ceil(missing / perMs)
  }

  private fill(kind: Kind, now: number): Bucket {
    const bucket = this.buckets.get(kind)!
    const { rate, burst, perMs, at } = bucket
    bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, now - at) * perMs)
    bucket.at = now
    const slice = rate.windowMs / BUDGET_SLICES
    const gone = Math.min(BUDGET_SLICES, Math.floor(Math.max(0, now - bucket.sliceAt) / slice))
    for (let i = 0; i < gone; i++) {
      bucket.slices.shift()
      bucket.slices.push(0)
    }
    if (gone > 0) bucket.sliceAt += Math.floor((now - bucket.sliceAt) / slice) * slice
    return bucket
  }
}
