/**
 * What a drill does to a run, and when: a pure function of its seed, so that a drill can be had again as far
 * as real processes allow. Pure.
 */
import { DRILL_PAUSE_MS, DRILL_QUIET_MS, DRILL_STOP_MS_MAX } from './core-limits.ts'

export interface Strike {
  /** After the workers began. */
  atMs: number
  what: 'kill' | 'stop'
  kind: 'worker' | 'agent' | 'aggregator'
  /** Of a worker. */
  rank: number
  /** Of a stop. */
  forMs: number
}

/** A drill that kills no worker tests no recovery, one that kills all has none left to log. */
const AT_LEAST: readonly Pick<Strike, 'what' | 'kind'>[] = [
  { what: 'kill', kind: 'aggregator' }, { what: 'kill', kind: 'agent' }, { what: 'kill', kind: 'worker' },
  { what: 'stop', kind: 'agent' }, { what: 'stop', kind: 'aggregator' },
]
const THEN = AT_LEAST.filter(({ kind }) => kind !== 'worker')

export function planOf(seed: number, runMs: number, workers: number): Strike[] {
  const random = generator(seed)
  const room = Math.max(0, runMs - DRILL_QUIET_MS)
  const count = Math.max(AT_LEAST.length, Math.floor(room / DRILL_PAUSE_MS))
  const any = (): (typeof THEN)[number] => THEN[Math.floor(random() * THEN.length)]!
  const more = Array.from({ length: count - AT_LEAST.length }, any)
  const order = [...AT_LEAST, ...more].map((one) => ({ one, by: random() })).sort((a, b) => a.by - b.by)
  return order.map(({ one }, at) => ({
    ...one,
    // One in each interval, anywhere in it.
    atMs: (at + random()) * room / order.length,
    rank: Math.floor(random() * workers),
    forMs: random() * Math.min(DRILL_STOP_MS_MAX, room / order.length),
  }))
}

/** mulberry32. */
export function generator(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
