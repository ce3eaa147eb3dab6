/**
 * How long the agent waits between two rounds. Pure.
 *
 * In: ranks of the job, what the last round sent, how long after the one before. Out: ms.
 * Invariants: a round is due after DRAIN_BUSY_MS at the least; while little comes, after the interval of the
 * job, which bounds how many batches a second one head gets from all its agents together.
 */
import {
  DRAIN_BUSY_MS, DRAIN_INTERVAL_MS, DRAIN_INTERVAL_MS_MAX, DRAIN_ROUND_BYTES, HEAD_BATCHES_PER_S,
} from '../limits.ts'
import type { Origin } from '../record/index.ts'

/** Ranks of the job, as the largest of its instances here knows it; an elastic one may have grown. */
export function worldSizeOf(feeds: Iterable<{ origin: Pick<Origin, 'worldSize'> }>): number {
  let most = 0
  for (const { origin } of feeds) most = Math.max(most, origin.worldSize)
  return most
}

/** Each rank's records are one batch of each round: the more ranks, the rarer the rounds. */
export function drainIntervalMs(worldSize: number): number {
  return Math.min(DRAIN_INTERVAL_MS_MAX, Math.max(DRAIN_INTERVAL_MS, 1000 * worldSize / HEAD_BATCHES_PER_S))
}

/** So that the next round finds about DRAIN_ROUND_BYTES, if as much comes as came in the last one. */
export function pauseMs(bytes: number, sinceMs: number, worldSize: number): number {
  const most = drainIntervalMs(worldSize)
  return bytes <= 0 ? most : Math.min(most, Math.max(DRAIN_BUSY_MS, sinceMs * DRAIN_ROUND_BYTES / bytes))
}
