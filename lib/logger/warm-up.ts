/**
 * Has log() compiled before training calls it: a trainer that logs some times a second would run it in the
 * interpreter for minutes, at twice the time, and with garbage of its own that is then collected within.
 *
 * Best of 24 processes each: init() 49 ms (19 without), 50 calls 0.5 ms (1.8), p99.9 of the next 44 µs (254).
 *
 * In and out: nothing; records go to memory that is dropped. Bounded by WARM_UP_MS_MAX, once per process.
 */
import { monotonicMs } from '../clock.ts'
import { scratchJournal } from '../journal/index.ts'
import { WARM_UP_CALLS, WARM_UP_MS_MAX } from '../limits.ts'
import { Recorder } from './recorder.ts'
import type { Values } from './types.ts'

/** As real call sites have them, of several sizes: code that knew one only would be thrown away by others. */
const SHAPES: readonly Values[] = [
  { a: 0.5 }, { a: 0.5, b: 1 }, { c: 1, d: 0.5, e: true }, { a: 1, b: 2, c: 3, d: 4, e: 0.5, f: 6 },
]
/** Calls between two looks at the clock, all of one shape, as training calls it. */
const TURN = 32
const RECORD_BYTES = 96

let done = false

export function warmUp(): void {
  if (done) return
  done = true
  const recorder = new Recorder(scratchJournal(WARM_UP_CALLS * RECORD_BYTES), () => {})
  const until = monotonicMs() + WARM_UP_MS_MAX
  for (let step = 0; step < WARM_UP_CALLS && monotonicMs() < until;) {
    const values = SHAPES[step / TURN % SHAPES.length]!
    for (const end = step + TURN; step < end; step++) recorder.log(values, { step })
  }
}
