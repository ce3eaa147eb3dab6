import { resolve } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { Place, type Ended } from './harness.ts'

let place: Place
afterEach(() => place?.dispose())

const SCRIPT = resolve(import.meta.dirname, 'script.js')
const train = (nproc: number, code: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> => {
  place = new Place(env)
  return place.run(
    ['run', '--nproc', String(nproc), '--exit-timeout', '30', '--', process.execPath, SCRIPT],
    { T_CODE: code },
  )
}
const sound = (): void =>
  expect(place.audit()).toMatchObject({ balanced: true, complete: true, status: 'finished' })

describe('odd steps', () => {
  it('are rows all the same: out of order, twice, sparse, by some ranks only, without a step', async () => {
    const done = await train(
      3,
      `
      for (const step of [5, 3, 9, 1]) run.log({ disorder: step * 10 + run.rank }, { step })
      run.log({ twice: 1 }, { step: 7 }); run.log({ twice: 2 + run.rank }, { step: 7 })
      for (let step = 0; step < 1e6; step += 250_000) run.log({ sparse: step }, { step })
      if (run.rank !== 1) run.log({ some: run.rank }, { step: 4 })
      for (let step = 0; step < 3 && run.rank === 0; step++) run.log({ 'val/acc': step / 10 }, { step })
      for (let step = 0; step < 10 + 5 * run.rank; step++) run.log({ uneven: step }, { step })`,
    )
    expect(done.code, done.stderr).toBe(0)
    sound()
    const rows = place.rows()
    const of = (metric: string): typeof rows => rows.filter((row) => row.metric === metric)
    expect(of('disorder').map((row) => [row.step, row.count, row.min])).toEqual([
      [1, 3, 10],
      [3, 3, 30],
      [5, 3, 50],
      [9, 3, 90],
    ])
    expect(of('twice')).toMatchObject([{ step: 7, count: 3, min: 2, max: 4 }])
    expect(of('sparse').map((row) => row.step)).toEqual([0, 250000, 500000, 750000])
    expect(of('some')).toMatchObject([{ count: 2, expected: 2, min: 0, max: 2 }])
    expect(of('val/acc').map((row) => [row.step, row.count, row.value])).toEqual([
      [0, 1, 0],
      [1, 1, 0.1],
      [2, 1, 0.2],
    ])
    expect(of('uneven').map((row) => row.count)).toEqual([
      ...Array(10).fill(3),
      ...Array(5).fill(2),
      ...Array(5).fill(1),
    ])
    const superseded = place.points().filter((point) => point.superseded)
    expect(superseded.map((point) => [point.metric, point.value])).toEqual(Array(3).fill(['twice', 1]))
  })

  it('without a step count from 0, then stay at the last step given', async () => {
    const done = await train(
      1,
      'run.log({ a: 1 }); run.log({ a: 2 }); run.log({ a: 3 }, { step: 10 }); run.log({ a: 4 })',
    )
    expect(done.code, done.stderr).toBe(0)
    expect(place.rows().map((row) => [row.step, row.value])).toEqual([
      [0, 1],
      [1, 2],
      [10, 4],
    ])
  })
})

describe('odd numbers', () => {
  it('keep their bits or are named', async () => {
    const done = await train(
      2,
      `
      const odd = run.rank ? { nan: NaN, inf: Infinity } : { nan: 1, inf: -Infinity }
      run.log({ ...odd, zero: -0, big: 2 ** 53, none: NaN }, { step: 0 })`,
    )
    expect(done.code, done.stderr).toBe(0)
    const row = Object.fromEntries(place.rows().map((row) => [row.metric, row]))
    expect(row['nan']).toMatchObject({ count: 1, nan: 1, inf: 0, mean: 1, value: 1 })
    expect(row['inf']).toMatchObject({ count: 0, inf: 2, mean: null, min: null })
    expect(typeof row['inf']!.value).toBe('string')
    expect(row['none']).toMatchObject({ count: 0, nan: 2, mean: null, value: 'NaN' })
    expect(Object.is(row['zero']!.mean, -0)).toBe(true)
    expect(row['big']!.max).toBe(2 ** 53)
    expect(
      place
        .points()
        .filter((point) => point.metric === 'inf')
        .map((point) => point.value),
    ).toEqual(['-Infinity', 'Infinity'])
  })
})

describe('values that are no numbers', () => {
  it('are refused, counted and reported once; log() never throws', async () => {
    const done = await train(
      1,
      `
      let thrown = 0
      const nested = { nested: { deep: 1 } }
      const values = ['text', null, undefined, 10n ** 20n, nested, [1, 2], () => 1, Symbol('x')]
      for (let round = 0; round < 3; round++) for (const bad of values) {
        try { run.log({ bad, good: 1 }, { step: round }) } catch { thrown++ }
      }
      for (const step of [-1, 1.5, NaN, 2 ** 53, 'x', 5n]) {
        try { run.log({ good: 1 }, { step }) } catch { thrown++ }
      }
      const no = () => { throw new Error('no') }
      const hostile = [new Proxy({}, { ownKeys: no }), { get a() { return no() } }]
      for (const odd of [null, undefined, 5, 'x', [], ...hostile]) {
        try { run.log(odd) } catch { thrown++ }
      }
      try { run.text('x'.repeat(10 * 1024 * 1024)) } catch { thrown++ }
      return { thrown }`,
    )
    expect(done.code, done.stderr).toBe(0)
    expect(done.stdout).toContain('{"thrown":0}')
    expect(place.rows().map((row) => [row.metric, row.step, row.value])).toEqual([
      ['good', 0, 1],
      ['good', 1, 1],
      ['good', 2, 1],
    ])
    const audit = place.audit()
    expect(audit).toMatchObject({ balanced: true, complete: true })
    expect(audit.ranks[0]!.refused).toBeGreaterThanOrEqual(30)
    expect(done.stderr.split('\n').filter((line) => /bad/.test(line)).length).toBeGreaterThan(0)
    expect(done.stderr.split('\n').length).toBeLessThan(40)
  })
})

describe('odd names', () => {
  it('are 10,000 metrics, unicode, spaces and 1,000 characters', async () => {
    const done = await train(
      2,
      `
      const values = {}
      for (let i = 0; i < 10_000; i++) values['layer/' + i + '/norm'] = i
      for (let step = 0; step < 3; step++) run.log(values, { step })
      const odd = { 'Verlust µ 损失 🔥': 1, 'with space': 2, ['x'.repeat(1000)]: 3, ['y'.repeat(1025)]: 4 }
      run.log({ ...odd, '': 5 }, { step: 0 })`,
    )
    expect(done.code, done.stderr).toBe(0)
    sound()
    const rows = place.rows()
    expect(rows.filter((row) => row.metric.startsWith('layer/')).length).toBe(30_000)
    const names = new Set(rows.map((row) => row.metric))
    for (const name of ['Verlust µ 损失 🔥', 'with space', 'x'.repeat(1000)])
      expect(names.has(name)).toBe(true)
    expect(names.has('y'.repeat(1025))).toBe(false)
  })
})

describe('seals', () => {
  it('do not come by progress while a live rank that takes part has not passed the step', async () => {
    const done = await train(
      2,
      `
      run.log({ a: run.rank }, { step: 0 })
      run.log({ a: run.rank }, { step: 1 })
      if (run.rank === 1) await sleep(3000)
      run.log({ a: run.rank }, { step: 2 })`,
    )
    expect(done.code, done.stderr).toBe(0)
    expect(place.rows()).toMatchObject(
      [0, 1, 2].map((step) => ({ step, count: 2, sealed: true, amended: false })),
    )
  })

  it('by deadline are partial, and the late points amend', async () => {
    const done = await train(
      2,
      `
      run.log({ a: run.rank }, { step: 0 })
      if (run.rank === 1) await sleep(4000)
      run.log({ a: run.rank }, { step: 1 })
      if (run.rank === 0) await sleep(5000)`,
      { RANKZERO_SEAL_AFTER: '1' },
    )
    expect(done.code, done.stderr).toBe(0)
    expect(place.rows()).toMatchObject([
      { step: 0, amended: false, count: 2 },
      { step: 1, amended: true, count: 2, mean: 0.5 },
    ])
    sound()
  })
})
