/** The only place that reads the clock for the edges; pure cores take `now` as an argument. */

/** Wall clock, ms since the epoch (integer). */
export const wallMs = (): number => Date.now()

/** Monotonic clock, ms with fraction; for intervals and time-outs only. */
export const monotonicMs = (): number => performance.now()

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
