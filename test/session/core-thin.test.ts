import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cap, capMs, freeOf, thin, valuesOf, type Figures } from '../../lib/session/core-thin.ts'

interface Point { n: number; values: number; figures: Figures }

const points = fc.array(fc.record({
  metric: fc.constantFrom('a', 'b', 'c'), values: fc.integer({ min: 1, max: 5 }),
  value: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: -9, max: 9 }) }, { weight: 1, arbitrary: fc.constant(NaN) }),
  spread: fc.nat(3),
}), { maxLength: 400, size: 'max' }).map((all) => all.map(({ values, spread, ...rest }, n): Point => {
  const { value } = rest
  const odd = Number.isNaN(value)
  const place = { nth: n + 1, sinceMs: n }
  return { n, values, figures: { ...rest, min: value - spread, max: value + spread, odd, ...place } }
}))

const of = (list: readonly Point[], metric: string): Point[] =>
  list.filter(({ figures }) => figures.metric === metric)
const finite = (list: readonly Point[]): Point[] => list.filter(({ figures }) => !figures.odd)
const best = (list: readonly Point[], figure: (point: Point) => number): number =>
  Math.max(...finite(list).map(figure))

describe('thinning', () => {
  test('keeps first, last, lowest, highest of each metric, in order, as far as allowed', () => {
    fc.assert(fc.property(points, fc.integer({ min: 1, max: 600 }), (list, allowed) => {
      const kept = thin(list, allowed)
      expect(kept.map(({ n }) => n)).toEqual(kept.map(({ n }) => n).sort((a, b) => a - b))
      if (valuesOf(list) <= allowed) expect(kept).toEqual(list)
      const least = thin(list, 0)
      expect(valuesOf(kept)).toBeLessThanOrEqual(Math.max(allowed, valuesOf(least)))
      for (const metric of ['a', 'b', 'c']) {
        const [all, some] = [list, kept].map((each) => of(each, metric))
        expect(some![0]).toBe(all![0])
        expect(some!.at(-1)).toBe(all!.at(-1))
        const figures: ((point: Point) => number)[] = [
          ({ figures }) => figures.value, ({ figures }) => -figures.value, ({ figures }) => -figures.min,
          ({ figures }) => figures.max]
        for (const figure of figures) expect(best(some!, figure)).toBe(best(all!, figure))
      }
    }), { numRuns: 300 })
  })

  test('shows where values stop being finite, and where they are again', () => {
    const list = Array.from({ length: 1000 }, (_, n): Point => {
      const odd = n >= 300 && n < 700
      const value = odd ? NaN : 1
      const place = { nth: n + 1, sinceMs: n }
      return { n, values: 1, figures: { metric: 'a', value, min: value, max: value, odd, ...place } }
    })
    expect(thin(list, 4).map(({ n }) => n)).toEqual([0, 300, 699, 999])
  })

  test('may be done again and again, and still has the extremes of all', () => {
    fc.assert(fc.property(points, fc.integer({ min: 1, max: 400 }), (list, cut) => {
      const twice = thin([...thin(list.slice(0, cut), 0), ...list.slice(cut)], 0)
      for (const point of twice) expect(list).toContain(point)
      const valueOf = ({ figures }: Point): number => figures.value
      for (const metric of ['a', 'b', 'c']) {
        const [all, some] = [thin(list, 0), twice].map((each) => of(each, metric))
        expect(best(some!, valueOf)).toBe(best(all!, valueOf))
        expect(some!.at(-1)).toBe(all!.at(-1))
      }
    }), { numRuns: 300 })
  })
})

describe('a series that may have so many points', () => {
  const POINTS = 1500
  const SHAPES: Record<string, (n: number) => number> = {
    falls: (n) => -n, rises: (n) => n, waves: (n) => Math.sin(n / 77) * n, noise: (n) => (n * 7919) % 10_007,
    odd: (n) => n % 3 === 0 ? NaN : n % 101,
  }
  /** As the outbox asks: when rows have waited long enough, and at the end. */
  function walk(shape: (n: number) => number, rows: number, ms: number): { all: Point[]; kept: Point[] } {
    const all: Point[] = []
    const kept: Point[] = []
    let waiting: Point[] = []
    for (let n = 1; n <= rows; n++) {
      const value = shape(n)
      const sinceMs = (n - 1) * ms
      const place = { odd: Number.isNaN(value), nth: n, sinceMs }
      all.push({ n, values: 1, figures: { metric: 'a', value, min: value, max: value, ...place } })
      waiting.push(all.at(-1)!)
      const waits = sinceMs - waiting[0]!.figures.sinceMs
      // Of a window that is full, what cannot be kept goes at any time.
      if (waiting.length >= 5000) waiting = [...cap(waiting, POINTS)]
      if (waits < capMs(sinceMs, POINTS) && n < rows) continue
      kept.push(...cap(waiting, POINTS))
      waiting = []
    }
    return { all, kept }
  }

  test.each(Object.keys(SHAPES))('has first, last, lowest, highest, and no more: %s', (name) => {
    for (const everyMs of [0, 1, 100, 60_000]) {
      const { all, kept } = walk(SHAPES[name]!, 200_000, everyMs)
      expect(kept.length).toBeLessThanOrEqual(POINTS)
      expect(kept.slice(0, freeOf(POINTS))).toEqual(all.slice(0, freeOf(POINTS)))
      expect(kept.at(-1)).toBe(all.at(-1))
      for (const sign of [1, -1]) {
        const figure = ({ figures }: Point): number => sign * figures.value
        const top = (list: readonly Point[]): number =>
          finite(list).reduce((most, point) => Math.max(most, figure(point)), -Infinity)
        expect(top(kept)).toBe(top(all))
      }
    }
  })
})
