import { afterEach, describe, expect, it } from 'vitest'
import type { Row } from '../../lib/aggregator/core-types.ts'
import { Place, TRAINER } from './harness.ts'
import { nameOf, valueOf, weightOf } from './value.js'

let place: Place
afterEach(() => place?.dispose())

/** Statistics written down again from their definitions, over the ranks' values in rank order. */
function expected(values: number[], weights: number[]): Partial<Row> {
  const sum = values.reduce((a, b) => a + b, 0)
  const sorted = [...values].sort((a, b) => a - b)
  const at = (q: number): number => {
    const h = (sorted.length - 1) * q
    const low = Math.floor(h)
    return sorted[low]! + (h - low) * ((sorted[low + 1] ?? sorted[low]!) - sorted[low]!)
  }
  const mean = sum / values.length
  const weightSum = weights.reduce((a, b) => a + b, 0)
  return {
    count: values.length,
    sum,
    min: sorted[0]!,
    max: sorted.at(-1)!,
    minRank: values.indexOf(sorted[0]!),
    maxRank: values.indexOf(sorted.at(-1)!),
    mean: values.reduce((a, v, i) => a + v * weights[i]!, 0) / weightSum,
    std: Math.sqrt(values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length),
    median: at(0.5),
    p95: at(0.95),
    last: values.at(-1)!,
  }
}

const close = (got: unknown, want: number): boolean =>
  typeof got === 'number' && Math.abs(got - want) <= 1e-12 * Math.max(1, Math.abs(want))

describe('the road from log() to export', () => {
  it('brings 800,000 points of 8 ranks exactly once, bit for bit, and merges them right', async () => {
    place = new Place()
    const [ranks, metrics, steps] = [8, 50, 2000]
    const env = { T_METRICS: String(metrics), T_STEPS: String(steps), T_WEIGHTS: '1' }
    const done = await place.run(
      ['run', '--nproc', String(ranks), '--exit-timeout', '60', '--', process.execPath, TRAINER],
      env,
    )
    expect(done.stderr.split('\n')[0]).toMatch(/^rankzero: run \S+ \/.+/)
    expect(done.code, done.stderr).toBe(0)

    const points = place.points()
    expect(points.length).toBe(ranks * metrics * steps)
    let wrong = 0
    for (const [index, point] of points.entries()) {
      const rank = index % ranks
      const step = Math.floor(index / ranks) % steps
      const metric = Math.floor(index / ranks / steps)
      const right =
        point.metric === nameOf(metric) &&
        point.step === step &&
        point.rank === rank &&
        Object.is(point.value, valueOf(rank, step, metric)) &&
        point.weight === weightOf(rank)
      if (!right) wrong++
    }
    expect(wrong).toBe(0)

    const rows = place.rows()
    expect(rows.length).toBe(metrics * steps)
    const weights = Array.from({ length: ranks }, (_, rank) => weightOf(rank))
    const bad: unknown[] = []
    for (const [index, row] of rows.entries()) {
      const [metric, step] = [Math.floor(index / steps), index % steps]
      const values = weights.map((_, rank) => valueOf(rank, step, metric))
      const want = expected(values, weights)
      const exact = ['count', 'min', 'max', 'minRank', 'maxRank', 'last'] as const
      const near = ['mean', 'sum', 'std', 'median', 'p95'] as const
      const right =
        row.metric === nameOf(metric) &&
        row.step === step &&
        row.sealed &&
        !row.amended &&
        row.expected === ranks &&
        row.nan === 0 &&
        row.inf === 0 &&
        Object.is(row.value, row.mean) &&
        exact.every((name) => row[name] === want[name]) &&
        near.every((name) => close(row[name], want[name] as number))
      if (!right) bad.push({ row, want })
    }
    expect(bad.slice(0, 2)).toEqual([])

    const audit = place.audit()
    expect(audit).toMatchObject({ balanced: true, complete: true, status: 'finished' })
    expect(audit.ranks.map((rank) => rank.logged)).toEqual(Array(ranks).fill(metrics * steps))
    expect(place.status()).toMatchObject({ state: 'ended', status: 'finished', ranks })
  }, 180_000)
})
