/**
 * A set of steps as runs (start, stride, count): a training loop of a million steps is one run. Steps that
 * come out of order wait in a small hash set and are merged in bulk, so that a random order costs no
 * quadratic shifting.
 */
const RECENT_MAX = 512

export type Run = [start: number, stride: number, count: number]

export class StepSet {
  /** Triples start, stride, count: ascending, disjoint as intervals. */
  private runs: number[] = []
  private recent: Set<number> | null = null
  /** Highest step, -1 when empty. */
  top = -1

  /** False when it was in already. */
  add(step: number): boolean {
    if (step > this.top) {
      push(this.runs, step, 1, 1)
      this.top = step
      return true
    }
    if (this.has(step)) return false
    this.recent ??= new Set()
    this.recent.add(step)
    // The bound grows with the runs, so that merging stays linear in all.
    if (this.recent.size >= RECENT_MAX + this.runs.length / 12) this.settle()
    return true
  }

  has(step: number): boolean {
    if (step > this.top) return false
    const { runs } = this
    let low = 0
    let high = runs.length / 3
    while (low < high) {
      const middle = (low + high) >>> 1
      if (runs[3 * middle]! <= step) low = middle + 1
      else high = middle
    }
    if (low > 0) {
      const at = 3 * (low - 1)
      const beyond = step - runs[at]!
      const stride = runs[at + 1]!
      if (beyond <= stride * (runs[at + 2]! - 1) && beyond % stride === 0) return true
    }
    return this.recent !== null && this.recent.has(step)
  }

  toRuns(): Run[] {
    this.settle()
    const list: Run[] = []
    const { runs } = this
    for (let i = 0; i < runs.length; i += 3) list.push([runs[i]!, runs[i + 1]!, runs[i + 2]!])
    return list
  }

  copy(): StepSet {
    const other = new StepSet()
    this.settle()
    other.runs = this.runs.slice()
    other.top = this.top
    return other
  }

  private settle(): void {
    if (this.recent === null) return
    const fresh = Float64Array.from(this.recent).sort()
    const merged: number[] = []
    let next = 0
    for (let i = 0; i < this.runs.length; i += 3) {
      let start = this.runs[i]!
      const stride = this.runs[i + 1]!
      let count = this.runs[i + 2]!
      const last = start + stride * (count - 1)
      for (; next < fresh.length && fresh[next]! < last; next++) {
        const step = fresh[next]!
        if (step > start) {
          const before = Math.ceil((step - start) / stride)
          push(merged, start, stride, before)
          start += stride * before
          count -= before
        }
        push(merged, step, 1, 1)
      }
      push(merged, start, stride, count)
    }
    // Nothing is left over: a step above `top` never goes to `recent`.
    this.runs = merged
    this.recent = null
  }
}

/** Appends a run above all others, joined to the last one where the strides allow. */
function push(runs: number[], start: number, stride: number, count: number): void {
  const at = runs.length - 3
  if (at >= 0) {
    const lastStart = runs[at]!
    const lastCount = runs[at + 2]!
    const gap = start - (lastStart + runs[at + 1]! * (lastCount - 1))
    const joins = (lastCount === 1 || gap === runs[at + 1]) && (count === 1 || gap === stride)
    if (joins) {
      runs[at + 1] = gap
      runs[at + 2] = lastCount + count
      return
    }
  }
  runs.push(start, stride, count)
}

/** Any steps, sorted into runs. They mostly come in order. */
export function toRuns(steps: readonly number[]): Run[] {
  const set = new StepSet()
  for (const step of isAscending(steps) ? steps : Float64Array.from(steps).sort()) set.add(step)
  return set.toRuns()
}

function isAscending(steps: readonly number[]): boolean {
  for (let i = 1; i < steps.length; i++) if (steps[i]! < steps[i - 1]!) return false
  return true
}
