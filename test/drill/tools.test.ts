/** What judges a drill can complain, and its parts are what they say. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { nameOf, Oracle, valueOf, type Compared } from '../../lib/cli/drill/core-oracle.ts'
import { planOf } from '../../lib/cli/drill/core-plan.ts'
import { Times } from '../../lib/cli/drill/core-times.ts'
import { DRILL_QUIET_MS } from '../../lib/cli/drill/core-limits.ts'
import { DRILLS, GROUPS } from './drills.ts'
import { checkRows } from './rows.ts'
import { flatnessOf, type Sample } from './samples.ts'

const place = mkdtempSync(join(tmpdir(), 'rz-drill-'))
afterAll(() => rmSync(place, { recursive: true }))

type Point = [metric: string, step: number, rank: number, value: number]
const METRICS = 2
const pointsOf = (rank: number, step: number): Point[] =>
  [0, 1].map((metric) => [nameOf(metric), step, rank, valueOf(rank, step, metric)])

function compared(points: Point[], kills: [number, number][] = []): Compared {
  const oracle = new Oracle(METRICS)
  oracle.told(0, [0, 1, 2])
  oracle.told(1, [0, 1])
  for (const point of points) oracle.point(...point)
  return oracle.compare(new Map(kills))
}

const WHOLE = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]].flatMap(([rank, step]) => pointsOf(rank!, step!))

describe('the oracle', () => {
  test('finds nothing wrong when all is there', () => {
    expect(compared(WHOLE)).toEqual({
      logged: 10, found: 10, lost: 0, doubled: 0, unwritten: 0, wrong: 0, examples: [], missing: [],
    })
  })

  test.each<[string, Point[], Partial<Compared>]>([
    ['a lost point', WHOLE.slice(1), { lost: 1, found: 9 }],
    ['a point that is there twice', [...WHOLE, WHOLE[3]!], { doubled: 1 }],
    ['another value', [['drill/0', 0, 0, 0.5], ...WHOLE.slice(1)], { wrong: 1, lost: 1 }],
    ['-0 for 0', [['drill/0', 0, 0, -0], ...WHOLE.slice(1)], { wrong: 1 }],
    ['another metric', [...WHOLE, ['loss', 0, 0, 1]], { wrong: 1 }],
    ['a step that nobody logged', [...WHOLE, ...pointsOf(1, 2)], { wrong: 1, unwritten: 2 }],
  ])('complains about %s', (_, points, what) => {
    const found = compared(points)
    expect(found).toMatchObject(what)
    expect([...found.examples, ...found.missing].length).toBeGreaterThan(0)
  })

  test('allows a killed worker one step more', () => {
    expect(compared([...WHOLE, ...pointsOf(1, 2)], [[1, 1]])).toMatchObject({ wrong: 0, unwritten: 2 })
    const two = [...WHOLE, ...pointsOf(1, 2), ...pointsOf(1, 3)]
    expect(compared(two, [[1, 1]]).wrong).toBe(1)
  })
})

describe('rows', () => {
  const HEAD = 'metric,step,value,count,expected,mean,min,max,minRank,maxRank,std,sum,median,p95,last,'
    + 'nan,inf,sealed,amended'
  const [a, b] = [valueOf(0, 0, 0), valueOf(1, 0, 0)]
  const [min, max, low, high] = a < b ? [a, b, 0, 1] : [b, a, 1, 0]
  const right = [
    'drill/0', 0, (a + b) / 2, 2, 2, (a + b) / 2, min, max, low, high, Math.abs(a - b) / 2, a + b,
    (a + b) / 2, min + 0.95 * (max - min), b, 0, 0, true, false,
  ]

  test.each([
    ['are right', right, 0],
    ['of another count', right.with(3, 1), 1],
    ['of another mean', right.with(5, (a + b) / 2 + 1e-9), 1],
    ['with another rank at the minimum', right.with(8, 1 - low), 1],
    ['not sealed', right.with(17, false), 1],
  ])('%s', async (_, row, complaints) => {
    const oracle = new Oracle(1)
    for (const rank of [0, 1]) oracle.point('drill/0', 0, rank, valueOf(rank, 0, 0))
    const path = join(place, 'rows.csv')
    writeFileSync(path, `${HEAD}\n${row.join(',')}\n`)
    const { problems } = await checkRows(path, oracle, 1)
    expect(problems).toHaveLength(complaints)
  })

  test('are all there', async () => {
    const oracle = new Oracle(1)
    oracle.point('drill/0', 7, 0, valueOf(0, 7, 0))
    const path = join(place, 'none.csv')
    writeFileSync(path, `${HEAD}\n`)
    expect((await checkRows(path, oracle, 1)).problems).toEqual(['0 rows instead of 1'])
  })
})

test('times: quantiles to 2 %, the longest exactly, also after they were written down', () => {
  const times = new Times()
  for (let ns = 1; ns <= 10_000; ns++) times.add(ns * 10)
  times.add(5e6)
  const again = new Times()
  again.merge(JSON.parse(JSON.stringify(times)))
  expect(again.count).toBe(10_001)
  expect(again.longestNs).toBe(5e6)
  expect(again.quantileNs(0.5) / 50_000).toBeCloseTo(1, 1)
  expect(new Times().quantileNs(0.999)).toBe(0)
})

test('a plan is its seed, has every blow, and ends in time', () => {
  for (let seed = 0; seed < 200; seed++) {
    const plan = planOf(seed, 15_000, 4)
    expect(plan).toEqual(planOf(seed, 15_000, 4))
    const blows = new Set(plan.map(({ what, kind }) => `${what} ${kind}`))
    expect(blows.size).toBe(5)
    expect(plan.filter(({ kind }) => kind === 'worker')).toHaveLength(1)
    expect(Math.max(...plan.map(({ atMs }) => atMs))).toBeLessThan(15_000 - DRILL_QUIET_MS)
    expect(plan.map(({ atMs }) => atMs)).toEqual(plan.map(({ atMs }) => atMs).sort((x, y) => x - y))
  }
})

describe('memory over a soak', () => {
  const life = (pssOf: (at: number) => number, fds = 20, from = 0) => ({
    kind: 'agent' as const, pid: 1, samples: Array.from({ length: 100 - from }, (_, i): Sample =>
      ({ at: from + i, pss: pssOf(from + i), fds: from + i < 50 ? 20 : fds })),
  })

  test.each([
    ['flat', life(() => 40), true],
    ['up by a tenth and 3 MB', life((at) => at < 75 ? 40 : 47), true],
    ['growing', life((at) => 40 + at / 5), false],
    ['ever more files', life(() => 40, 40), false],
  ])('%s', (_, one, flat) => { expect(flatnessOf(one, 100)?.flat).toBe(flat) })

  test('whoever was born late does not count', () => {
    expect(flatnessOf(life(() => 40, 20, 30), 100)).toBeNull()
  })
})

test('every drill has a name of its own', () => {
  const names = [...DRILLS, ...GROUPS].map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
})
