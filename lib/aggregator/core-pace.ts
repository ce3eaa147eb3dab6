import { PACE_MIN, PACE_STEPS } from '../limits.ts'

/** When one life of a rank first logged each of its newest steps. */
export class Pace {
  /** Highest step since the last declared rewind. */
  top = -1
  private began = -1
  private count = 0
  private readonly steps = new Float64Array(PACE_STEPS)
  private readonly times = new Float64Array(PACE_STEPS)

  /** At this step, unless it is under way; the steps after it may come without being looked at. */
  begin(step: number): void {
    if (this.began < 0) this.began = step
  }

  reached(step: number, time: number): void {
    if (step <= this.top) return
    const at = this.count++ % PACE_STEPS
    this.steps[at] = step
    this.times[at] = time
    this.top = step
  }

  rewind(step: number): void {
    this.top = step - 1
    this.began = -1
    this.count = 0
  }

  /** From its first step to the newest. */
  get length(): number {
    return this.top - this.began
  }

  /** Enough steps to judge by. */
  get known(): boolean {
    return this.count >= PACE_MIN
  }

  /** Usual time of one step, and between two records, ms. */
  usual(): { stepMs: number; pauseMs: number } {
    const steps: number[] = []
    const pauses: number[] = []
    for (let i = this.count - this.size + 1; i < this.count; i++) {
      const at = i % PACE_STEPS
      const before = (i - 1) % PACE_STEPS
      const pause = this.times[at]! - this.times[before]!
      pauses.push(pause)
      steps.push(pause / (this.steps[at]! - this.steps[before]!))
    }
    return { stepMs: lower(steps), pauseMs: lower(pauses) }
  }

  /** The PACE_MIN steps before the newest one, which others may not have reached. */
  newest(): number[] {
    const size = Math.min(PACE_MIN, this.size - 1)
    return Array.from({ length: size }, (_, i) => this.steps[(this.count - 2 - i) % PACE_STEPS]!)
  }

  /** NaN when it is not among the newest. */
  timeOf(step: number): number {
    const { steps, size } = this
    for (let at = 0; at < size; at++) if (steps[at] === step) return this.times[at]!
    return NaN
  }

  private get size(): number {
    return Math.min(this.count, PACE_STEPS)
  }
}

/** The lower middle: of two ranks, one slow, the other one is the measure. */
export function lower(values: readonly number[]): number {
  const sorted = values.length > 2 * PACE_STEPS ? Float64Array.from(values).sort() : inserted(values)
  return sorted[(sorted.length - 1) >> 1]!
}

/** For few values much faster than the runtime's own sort. */
function inserted(values: readonly number[]): number[] {
  const sorted = [...values]
  for (let i = 1; i < sorted.length; i++) {
    const value = sorted[i]!
    let at = i
    for (; at > 0 && sorted[at - 1]! > value; at--) sorted[at] = sorted[at - 1]!
    sorted[at] = value
  }
  return sorted
}
