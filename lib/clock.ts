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

/** `act`, but not more often than every `restMs`, nor while it would take more than this part of all time. */
export function atMost(restMs: number, part: number, act: () => void): () => void {
  let restsUntil = -Infinity
  return () => {
    const begun = monotonicMs()
    if (begun < restsUntil) return
    act()
    const took = monotonicMs() - begun
    restsUntil = begun + Math.max(restMs, took / part)
  }
}

/** Calls `act` every `idleMs`, and at once after a kick, but not more often than every `restMs`. */
export class Pulse {
  readonly #act: () => void
  readonly #restMs: number
  readonly #idleMs: number
  #last = monotonicMs()
  #due = Infinity
  #timer: NodeJS.Timeout | undefined

  constructor(restMs: number, idleMs: number, act: () => void) {
    this.#act = act
    this.#restMs = restMs
    this.#idleMs = idleMs
    this.#in(idleMs)
  }

  kick(): void {
    this.#in(Math.max(0, this.#last + this.#restMs - monotonicMs()))
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#due = -Infinity
  }

  #in(ms: number): void {
    const due = monotonicMs() + ms
    if (due >= this.#due) return
    clearTimeout(this.#timer)
    this.#due = due
    this.#timer = setTimeout(() => this.#beat(), ms)
  }

  #beat(): void {
    this.#last = monotonicMs()
    this.#due = Infinity
    this.#in(this.#idleMs)
    this.#act()
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
