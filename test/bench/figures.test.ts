/**
 * The arithmetic of the benchmarks' figures: a wrong median or ratio would mislead everybody who reads them.
 */
import { describe, expect, test } from 'vitest'
import {
  compare, format, interval, judge, median, quantile, ratioOf, ratios, spread,
} from '../../bench/figures.js'
import { costOf, costText, leastSquares } from '../../bench/fit.js'
import { comparisonOf, readmeWords, textOf } from '../../bench/report.js'

const row = (peer: string, samples: (number | null)[], more = {}) => (
  { trial: 't', peer, measure: 'm', unit: 's', better: 'lower', samples, ...more })

const resultOf = (rows: object[]) => ({
  date: '2026-01-02', commit: 'abc', options: { rounds: 3 }, versions: {}, machine: { cores: 2 },
  trials: [{ name: 't', title: 'a trial', measures: { m: {} }, budgets: { m: { rankzero: '≤ 9' } } }],
  failures: ['x of y: no'], leftOut: ['z'],
  rows,
})

describe('samples', () => {
  test('the median is the middle one, or the mean of the middle two, whatever their order', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([10, 9, 1, 2])).toBe(5.5)
    expect(median([])).toBe(null)
  })
  test('what a round could not take stays out', () => {
    expect(median([null, 3, 1])).toBe(2)
    expect(spread([null, 3, 1])).toEqual([1, 3])
    expect(spread([null])).toBe(null)
  })
  test('a quantile is a sample: the share q of them lies below it', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
    expect([0.5, 0.99, 0.999, 1].map((q) => quantile(hundred, q))).toEqual([51, 100, 100, 100])
    expect(quantile([], 0.5)).toBe(null)
  })
  test('numbers are sorted as numbers', () => { expect(spread([10, 9, 100])).toEqual([9, 100]) })
})

describe('the guard', () => {
  const rows = [row('a', [2, 30, 4]), row('b', [1, 10, 2]), row('c', [null, 0, 1])]
  const held = (peer: string, of: string) => ({ trial: 't', measure: 'm', peer, of })
  test('holds the median of the ratios of the rounds', () => {
    expect(ratioOf(rows, held('a', 'b'))).toBe(2)
    expect(ratioOf(rows, held('a', 'c'))).toBe(4)
    expect(ratioOf(rows, held('a', 'nobody'))).toBe(null)
    expect(ratioOf(rows, held('nobody', 'a'))).toBe(null)
  })
  test('fails beyond the bound, and when there is no figure', () => {
    const verdicts = [2, 2.1, null, NaN].map((now) => judge(now, { bound: 2 }))
    expect(verdicts).toEqual(['within', 'worse', 'worse', 'worse'])
  })
})

describe('ratios', () => {
  test('are taken round by round, so that a slow round of all changes none', () => {
    const times = ratios([row('rankzero', [1, 10, 2]), row('wandb', [5, 50, 10])])
    expect(times.get('t · wandb · m')).toEqual({ median: 5, interval: [5, 5] })
    expect(times.get('t · rankzero · m')!.median).toBe(1)
  })
  test('leave out rounds that one of the two lacks, and are nothing against zero', () => {
    expect(ratios([row('rankzero', [1, null, 2]), row('a', [3, 9, null])]).get('t · a · m')!.median).toBe(3)
    expect(ratios([row('rankzero', [0]), row('a', [3])]).get('t · a · m')!.median).toBe(null)
    expect(ratios([row('a', [3])]).get('t · a · m')).toEqual({ median: null, interval: null })
  })
  test('hold a peer in Node against rankzero in Node', () => {
    const rows = [row('rankzero', [1]), row('node-rankzero', [2]), row('node-pino', [8])]
    expect(ratios(rows).get('t · node-pino · m')!.median).toBe(4)
  })
  test('are of another reference where a trial has one', () => {
    const rows = [row('none', [2]), row('rankzero', [3])]
    expect(ratios(rows, { t: 'none' }).get('t · rankzero · m')!.median).toBe(1.5)
  })
  test('have an interval for their mean: 4, 6, 8 is 6 ± 4.303 · 2 / √3', () => {
    const [from, to] = interval([4, 6, 8])!
    expect([from, to].map((edge) => edge!.toFixed(3))).toEqual(['1.031', '10.969'])
    expect(interval([4])).toBe(null)
    const many = Array.from({ length: 40 }, (_, i) => i % 2)
    expect(interval(many)![0]).toBeCloseTo(0.5 - 2.16 * 0.50637 / Math.sqrt(40), 3)
  })
})

describe('against a baseline', () => {
  const verdict = (now: number[], before: number[], better = 'lower') => (
    compare([row('a', now, { better })], [row('a', before, { better })])[0]!.verdict)

  test('a change counts where the spreads do not touch, in the direction that is worse', () => {
    expect(verdict([5, 6], [1, 2])).toBe('worse')
    expect(verdict([1, 2], [5, 6])).toBe('better')
    expect(verdict([1, 5], [5, 6])).toBe('same')
    expect(verdict([5, 6], [1, 2], 'higher')).toBe('better')
  })
  test('tells now over before, and what was not there before', () => {
    expect(compare([row('a', [6])], [row('a', [3])])[0]).toMatchObject({ now: 6, then: 3, change: 2 })
    const fresh = { now: 6, then: null, change: null, verdict: 'new' }
    expect(compare([row('a', [6])], [])[0]).toMatchObject(fresh)
  })
})

describe('as text', () => {
  const result = resultOf([row('rankzero', [1, 2, 3]), row('wandb', [20_000, 40_000, 60_000])])

  test('three digits', () => {
    expect([0.001234, 5.678, 1234, 56_789, 2_345_678, 0, null].map((value) => format(value)))
      .toEqual(['0.00123', '5.68', '1230', '56.8 k', '2.35 M', '0', '–'])
  })
  test('a table has median, spread, ratio and budget, what failed, and what was left out', () => {
    const text = textOf(result)
    expect(text).toMatch(/rankzero +\| s +\| 2 +\| 1 – 3 +\| 1 +\| 1 – 1 +\| ≤ 9/)
    expect(text).toMatch(/wandb +\| s +\| 40.0 k +\| 20.0 k – 60.0 k +\| 20.0 k/)
    expect(text).toContain('- x of y: no')
    expect(text).toMatch(/left out.*: z/)
  })
  test('a comparison names both medians and the verdict', () => {
    const before = resultOf([row('rankzero', [8])])
    expect(comparisonOf(result, before)).toMatch(/rankzero +\| m +\| 8 +\| 2 +\| 0.25 +\| better/)
  })
  test("the README's line is made of the result, and must be there", () => {
    const cpu = resultOf([row('wandb', [60], { trial: 'tree', measure: 'CPU' }), row('rankzero', [1], {
      trial: 'tree', measure: 'CPU',
    })])
    const text = 'a\n![old](bench/results/cpu.svg)\nb'
    expect(readmeWords(text, cpu))
      .toMatch(/^a\n!\[.*: rankzero 1, wandb 60\]\(bench\/results\/cpu\.svg\)\nb$/)
    expect(() => readmeWords('a\nb', cpu)).toThrow('no line')
  })
})

describe('the cost of an aggregator', () => {
  const loads = {
    'scale-64': [64, 32e3, 320], 'scale-512': [512, 256e3, 2560], 'scale-fast': [64, 640e3, 320],
    'scale-2048': [2048, 1e6, 4096], 'scale-few-metrics': [4096, 2e5, 4000], 'scale-gone': [1, 1, 1],
  }
  const rows = Object.entries(loads).flatMap(([trial, [ranks, offered, frames]]) => {
    const cost = 10 + 12 * offered! / 1e6 + 9 * frames! / 1e3 + 4 * ranks! / 1e3
    const measures = { ranks, offered, frames, 'aggregator, CPU': trial === 'scale-gone' ? 99 : cost }
    return Object.entries(measures).map(([measure, value]) => ({ trial, measure, samples: [value] }))
  })
  test('is found again in trials that follow it; those with trouble do not count', () => {
    const { terms, trials } = costOf(rows)!
    const found = Object.values(terms).map((value) => Math.round(1000 * (value as number)) / 1000)
    expect(found).toEqual([10, 12, 9, 4])
    expect(trials).toHaveLength(5)
    expect(costText({ terms, trials })).toContain('12 for a million points/s')
  })
  test('is not told from too few trials', () => {
    expect(costOf(rows.filter(({ trial }) => trial !== 'scale-fast'))).toBe(null)
  })
  test('least squares halve what cannot be met', () => {
    expect(leastSquares([[1], [1]], [1, 3])).toEqual([2])
    const [a, b] = leastSquares([[1, 0], [1, 1], [1, 2]], [1, 2, 3.3])
    expect([a!.toFixed(3), b!.toFixed(3)]).toEqual(['0.950', '1.150'])
  })
})
