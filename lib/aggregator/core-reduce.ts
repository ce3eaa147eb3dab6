/**
 * Statistics of one row, exact and in rank order, so that a replay gives identical bits (DESIGN 7, 13).
 *
 * In: the values of one (metric, step), one per rank, ascending by rank. Out: its statistics and its declared
 * view.
 * Only finite values enter the statistics; NaN and infinities are counted.
 */
import type { Reduce } from '../record/index.ts'

/** One value per rank, ascending by rank; reused from row to row, `n` entries are valid. */
export interface Sample {
  n: number
  ranks: Float64Array
  values: Float64Array
  /** NaN where none was given. */
  weights: Float64Array
  /** Scratch of `reduce`: the finite values and their weights, in rank order until `quantiles` sorts them. */
  finite: Float64Array
  factor: Float64Array
}

export interface Stats {
  count: number
  nan: number
  inf: number
  mean: number
  sum: number
  min: number
  max: number
  minRank: number
  maxRank: number
  std: number
  last: number
  /** Rank 0's value, finite or not; null without rank 0. */
  rank0: number | null
  /** What the row is when nothing is finite: NaN, or the one infinity. */
  odd: number
}

export function newSample(size: number): Sample {
  const column = (): Float64Array => new Float64Array(size)
  return { n: 0, ranks: column(), values: column(), weights: column(), finite: column(), factor: column() }
}

/** Room for `size` ranks; the contents are lost. */
export function reserve(sample: Sample, size: number): Sample {
  return sample.ranks.length >= size ? sample : newSample(Math.max(size, 2 * sample.ranks.length))
}

/** A weight that cannot be used counts as 1 (and is reported by its instance). */
export const goodWeight = (weight: number): boolean => weight > 0 && weight < Infinity

export function reduce(sample: Sample): Stats {
  const { n, ranks, values, weights, finite, factor } = sample
  const stats: Stats = {
    count: 0, nan: 0, inf: 0, mean: NaN, sum: -0, min: Infinity, max: -Infinity, minRank: -1, maxRank: -1,
    std: 0, last: NaN, rank0: null, odd: NaN,
  }
  let count = 0
  let weighted = false
  for (let i = 0; i < n; i++) {
    const value = values[i]!
    const rank = ranks[i]!
    if (rank === 0) stats.rank0 = value
    if (value - value !== 0) {
      countOdd(stats, value)
      continue
    }
    const weight = weights[i]!
    const usable = goodWeight(weight)
    if (usable && weight !== 1) weighted = true
    factor[count] = usable ? weight : 1
    finite[count++] = value
    if (value < stats.min) {
      stats.min = value
      stats.minRank = rank
    }
    if (value > stats.max) {
      stats.max = value
      stats.maxRank = rank
    }
    // Starts at -0, the neutral element: a sum of -0 stays -0.
    stats.sum += value
    stats.last = value
  }
  stats.count = count
  if (count > 0) moments(sample, stats, weighted)
  return stats
}

function countOdd(stats: Stats, value: number): void {
  const first = stats.nan + stats.inf === 0
  if (value !== value) stats.nan++
  else stats.inf++
  stats.odd = first || Object.is(stats.odd, value) ? value : NaN
}

function moments(sample: Sample, stats: Stats, weighted: boolean): void {
  const { finite, factor } = sample
  const { count, min, max, sum } = stats
  if (min === max) {
    // All equal: that value exactly. Of 0 and -0 the sum decides, which is -0 only if all are.
    stats.mean = min === 0 ? sum : min
    return
  }
  const plain = sum - sum === 0 ? sum / count : scaledMean(sample, count, false)
  stats.mean = plain
  if (weighted) {
    let top = -0
    let bottom = 0
    for (let i = 0; i < count; i++) {
      top += factor[i]! * finite[i]!
      bottom += factor[i]!
    }
    const mean = top / bottom
    // Weights near the ends of the range overflow, or vanish, in their products.
    const safe = mean - mean === 0 && bottom > 1e-250 && bottom < 1e250
    stats.mean = safe ? mean : scaledMean(sample, count, true)
  }
  stats.std = deviation(finite, count, plain, Math.max(Math.abs(min), Math.abs(max)))
}

/** A mean whose terms cannot overflow. */
function scaledMean(sample: Sample, count: number, weighted: boolean): number {
  const { finite, factor } = sample
  let heaviest = 1
  if (weighted) {
    heaviest = 0
    for (let i = 0; i < count; i++) heaviest = Math.max(heaviest, factor[i]!)
  }
  let bottom = 0
  for (let i = 0; i < count; i++) bottom += weighted ? factor[i]! / heaviest : 1
  let mean = -0
  for (let i = 0; i < count; i++) mean += finite[i]! * ((weighted ? factor[i]! / heaviest : 1) / bottom)
  return mean
}

/**
 * Population deviation, in two passes with the rounding of the mean corrected; scaled when squares would not
 * fit.
 */
function deviation(finite: Float64Array, count: number, mean: number, largest: number): number {
  const fits = largest < 1e150 && largest > 1e-130
  const scale = fits ? 1 : 2 ** Math.min(1000, -Math.floor(Math.log2(largest)))
  const centre = mean * scale
  let squares = 0
  let rest = 0
  for (let i = 0; i < count; i++) {
    const off = finite[i]! * scale - centre
    squares += off * off
    rest += off
  }
  return Math.sqrt(Math.max(0, squares - (rest * rest) / count) / count) / scale
}

/**
 * Of a sample that `reduce` just had; apart from it, because sorting costs most and status does not need it.
 */
export function quantiles(sample: Sample, stats: Stats): { median: number; p95: number } {
  const { count } = stats
  if (count === 0) return { median: NaN, p95: NaN }
  const sorted = sample.finite.subarray(0, count).sort()
  const middle = count >> 1
  const high = sorted[middle]!
  return { median: count % 2 === 1 ? high : halfway(sorted[middle - 1]!, high), p95: linear(sorted, 0.95) }
}

function halfway(low: number, high: number): number {
  const sum = low + high
  return sum - sum === 0 ? sum / 2 : low / 2 + high / 2
}

/** NumPy's default: linear between the neighbours, from the nearer one. */
function linear(sorted: Float64Array, q: number): number {
  const place = q * (sorted.length - 1)
  const below = Math.floor(place)
  const low = sorted[below]!
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!
  const part = place - below
  if (part === 0 || low === high) return low
  const span = high - low
  if (span === Infinity) return low * (1 - part) + high * part
  return part < 0.5 ? low + span * part : high - span * (1 - part)
}

/** The declared view of a row: null when it has none, the odd value when nothing is finite. */
export function viewOf(stats: Stats, view: Reduce): number | null {
  if (view === 'rank0') return stats.rank0
  if (stats.count === 0) return stats.nan + stats.inf === 0 ? null : stats.odd
  return stats[view]
}
