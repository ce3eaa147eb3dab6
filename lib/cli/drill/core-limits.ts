/** Numbers of `rankzero drill`, as lib/limits.ts has those of everything else. */
import { BEAT_STALE_MS } from '../../limits.ts'

/** `drill`: its workers log for so long (s), at least for one blow of each kind; and there are so many. */
export const [DRILL_SECONDS, DRILL_SECONDS_MIN, DRILL_WORKERS] = [15, 5, 4] as const
/** Per worker: 1,000 points a second, far below what a core can do, so that small machines keep up. */
export const [DRILL_STEPS_PER_SECOND, DRILL_METRICS] = [200, 5] as const
/** A blow every so often (ms), and none in the last part (ms): a restart of the head takes as long. */
export const [DRILL_PAUSE_MS, DRILL_QUIET_MS] = [2000, 2500] as const
/** A process stands still for at most this long (ms): longer than the beat that tells of its death. */
export const DRILL_STOP_MS_MAX = BEAT_STALE_MS + 1000
/** Workers start within this (ms) on any machine that can train, and the run ends within that (ms). */
export const [DRILL_START_MS, DRILL_END_MS] = [60_000, 120_000] as const
/** How often a drill looks at its processes (ms), and how often a worker saves its times (ms). */
export const [DRILL_POLL_MS, DRILL_TIMES_MS] = [20, 1000] as const
/** Steps that say more when a ring is to overflow: of 200 kB each, they fill one and a half. */
export const DRILL_LOUD_STEPS = 30
/** Calls in which V8 still compiles log(): they count for the longest, but not for a quantile. */
export const DRILL_FIRST_CALLS = 50
