/** The only place that reads the clock for the edges; pure cores take `now` as an argument. */

/** Wall clock, ms since the epoch (integer). */
export const wallMs = (): number => Date.now()

/** Monotonic clock, ms with fraction; for intervals and time-outs only. */
export const monotonicMs = (): number => performance.now()

/**
 * The wall clock for what must not wait an hour because somebody set it back: it never falls below `floor`
 * nor below what it said, and goes on at least as fast as the monotonic one.
 */
export function forwardClock(floor: number): () => number {
  let said = Math.max(floor, wallMs())
  let at = monotonicMs()
  return () => {
    const now = monotonicMs()
    const passed = Math.floor(now - at)
    at += passed
    said = Math.max(said + passed, wallMs())
    return said
  }
}

/** `act`, but not while it would take more than this part of all time. */
export function atMostPart(part: number, act: () => void): () => void {
  let restsUntil = -Infinity
  return () => {
    const begun = monotonicMs()
    if (begun < restsUntil) return
    act()
    const took = monotonicMs() - begun
    restsUntil = begun + took / part
  }
}

/** Resolves after `ms`; never keeps the process alive by itself when `unref` is set. */
export function sleep(ms: number, unref = false): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    if (unref) timer.unref()
  })
}

const cell = new Int32Array(new SharedArrayBuffer(4))

/** Blocks the thread for `ms`. Only for exit hooks, where no event loop runs any more. */
export function sleepSync(ms: number): void {
  Atomics.wait(cell, 0, 0, ms)
}
