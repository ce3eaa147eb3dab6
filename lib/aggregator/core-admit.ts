/**
 * Admission: exactly once with one integer per instance. Pure.
 *
 * In: the last seq that is durable (or queued for the next commit) and the range of a BATCH or SKIP. Out:
 * what to do.
 * A range that overlaps what is in is a gap too: the sender goes back to the next seq and cuts anew, so that
 * a blob is stored as it came or not at all.
 */
import type { Verdict } from './core-types.ts'

export function admit(acked: number, firstSeq: number, lastSeq: number): Verdict {
  if (lastSeq <= acked) return 'duplicate'
  return firstSeq === acked + 1 ? 'take' : { gap: acked + 1 }
}
