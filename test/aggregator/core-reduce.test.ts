import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { newSample, quantiles, reduce, viewOf, type Stats } from '../../lib/aggregator/core-reduce.ts'
import { originOf, Sender } from './sender.ts'
import { statistics, type Told } from './oracle.ts'

type Figures = Stats & { median: number; p95: number }

type Numbers = readonly number[]

function figures(values: Numbers, weights: Numbers = [], ranks?: Numbers): Figures {
  const sample = newSample(Math.max(1, values.length))
  sample.n = values.length
  values.forEach((value, i) => {
    sample.ranks[i] = ranks?.[i] ?? i
    sample.values[i] = value
    sample.weights[i] = weights[i] ?? NaN
  })
  const stats = reduce(sample)
  return { ...stats, ...quantiles(sample, stats) }
}

const close = (got: number, want: number, scale: number): void =>
  expect(Math.abs(got - want)).toBeLessThanOrEqual(1e-12 * scale)

describe('the statistics of a row', () => {
  test('agree with an independent computation', () => {
    // Below 1e-100 the naive squares underflow, not ours: see 'do not overflow'.
    const value = fc.oneof(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((x) => (Math.abs(x) < 1e-100 ? 0 : x)),
      fc.integer({ min: -5, max: 5 }), fc.constantFrom(NaN, Infinity, -Infinity, -0, 0),
    )
    const weights = fc.oneof(fc.constantFrom(NaN, 0, -1, Infinity), fc.integer({ min: 1, max: 64 }))
    const entry = fc.tuple(value, weights)
    fc.assert(fc.property(fc.array(entry, { minLength: 1, maxLength: 40 }), (entries) => {
      const got = figures(entries.map(([v]) => v), entries.map(([, w]) => w))
      const told = entries.map(([v, weight], rank): Told => ({
        metric: 'm', step: 0, seq: 1, time: 0, value: v, weight,
        sender: new Sender(originOf('0'.repeat(32), rank)),
      }))
      const want = statistics(told, 'mean')
      expect([got.count, got.nan, got.inf]).toEqual([want.count, want.nan, want.inf])
      if (want.count === 0) return
      const scale = want.count * Math.max(...[want.min, want.max].map((x) => Math.abs(Number(x))))
      expect([got.min, got.max].map((x) => x + 0)).toEqual([want.min, want.max].map((x) => Number(x) + 0))
      expect([got.minRank, got.maxRank]).toEqual([want.minRank, want.maxRank])
      expect(got.last).toBe(want.last)
      expect(got.median + 0).toBe(Number(want.median) + 0)
      for (const key of ['mean', 'sum', 'std', 'p95'] as const) close(got[key], Number(want[key]), scale)
    }))
  })

  // Printed by NumPy 2.4.6: percentile(x, 95), std, median, average with weights 1, 2, 3 …, sum.
  test.each([
    [
      [3.5, -1.25, 8, 0.1, 2.75, 100, 7],
      72.39999999999993, 33.961768721517984, 3.5, 24.576785714285712, 120.1,
    ],
    [[0, 1, 2, 3], 2.8499999999999996, 1.118033988749895, 1.5, 2, 6],
    [[0.1, 0.2, 0.3, 0.7, 1e9], 800000000.1399999, 399999999.87, 0.3, 333333333.61333334, 1000000001.3],
    [
      [1e-3, 2e-3, 5e-3, 7e-3, 11e-3, 13e-3, 17e-3, 19e-3, 23e-3, 29e-3],
      0.026299999999999994, 0.008809653795694811, 0.012, 0.017254545454545456, 0.127,
    ],
  ])('of %j are those of NumPy', (x, p95, std, median, mean, sum) => {
    const got = figures(x, x.map((_, i) => i + 1))
    expect([got.p95, got.median]).toEqual([p95, median])
    close(got.std, std, std)
    close(got.mean, mean, mean)
    close(got.sum, sum, sum)
  })

  test('of equal values give that value exactly, and no deviation', () => {
    for (const value of [0.1, 1 / 3, 1e308, 5e-324, -7.7]) {
      const { mean, std, median, p95, min, max } = figures([value, value, value], [3, 0.1, 7])
      expect([mean, std, median, p95, min, max]).toEqual([value, 0, value, value, value, value])
    }
  })

  test('keep -0', () => {
    const { mean, sum, min, max, median, p95, last } = figures([-0, -0, -0])
    for (const result of [mean, sum, min, max, median, p95, last]) expect(result).toBe(-0)
    expect(figures([-0, 0]).mean).toBe(0)
  })

  test('weight the mean, and nothing else', () => {
    const { mean, sum, std } = figures([1, 3], [3, 1])
    expect([mean, sum, std]).toEqual([1.5, 4, 1])
  })

  test('count a weight of 0, below 0 or not finite as 1', () => {
    for (const bad of [0, -2, NaN, Infinity]) expect(figures([1, 4], [bad, 2]).mean).toBe(3)
  })

  test('name the lowest rank on a tie', () => {
    const { minRank, maxRank } = figures([5, 1, 5, 1], [], [2, 3, 8, 9])
    expect([minRank, maxRank]).toEqual([3, 2])
  })

  test('are over the finite values when some are not', () => {
    const { count, nan, inf, mean, min, last } = figures([NaN, 2, -Infinity, 4, Infinity])
    expect([count, nan, inf, mean, min, last]).toEqual([2, 1, 2, 3, 2, 4])
  })

  test('do not overflow where the result does not', () => {
    const huge = figures([1.7e308, 1.6e308, 1.5e308])
    close(huge.mean / 1.6e308, 1, 1)
    expect(huge.std / 1e307).toBeCloseTo(0.816496580927726, 12)
    expect(figures([1.7e308, 1.6e308]).median).toBeCloseTo(1.65e308, -298)
    expect(figures([1.7e308, -1.7e308]).p95 / 1.53e308).toBeCloseTo(1, 12)
    expect(figures([1, 3], [1e308, 1e308]).mean).toBe(2)
    expect(figures([1e300, 3e300], [1e300, 1e300]).mean / 2e300).toBeCloseTo(1, 14)
    expect(figures([1e-200, 3e-200]).std / 1e-200).toBeCloseTo(1, 12)
    expect(figures([5e-324, 0]).std).toBeGreaterThanOrEqual(0)
  })

  test('keep the deviation of close values', () => {
    const values = [1e9, 1e9 + 1, 1e9 + 2]
    close(figures(values).std, Math.sqrt(2 / 3), 1)
  })
})

describe('the declared view of a row', () => {
  test('is the odd value when nothing is finite', () => {
    expect(viewOf(figures([Infinity, Infinity]), 'mean')).toBe(Infinity)
    expect(viewOf(figures([-Infinity]), 'max')).toBe(-Infinity)
    expect(viewOf(figures([Infinity, -Infinity]), 'sum')).toBe(NaN)
    expect(viewOf(figures([NaN, Infinity]), 'last')).toBe(NaN)
  })

  test('of rank0 is null without rank 0, and its own value with it', () => {
    expect(viewOf(figures([1, 2], [], [1, 2]), 'rank0')).toBe(null)
    expect(viewOf(figures([7, 2], [], [0, 2]), 'rank0')).toBe(7)
    expect(viewOf(figures([NaN, 2], [], [0, 2]), 'rank0')).toBe(NaN)
  })

  test('is one of the statistics otherwise', () => {
    const stats = figures([1, 2, 6])
    const views = ['mean', 'sum', 'min', 'max', 'last'] as const
    expect(views.map((view) => viewOf(stats, view))).toEqual([3, 9, 1, 6, 6])
  })
})
