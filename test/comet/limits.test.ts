/** Backend comet within the budgets of its server. */
import { describe, expect, it } from 'vitest'
import type { View } from './desk.ts'
import { contentsOf, extremesOf, train, wantedOf } from './kit.ts'
import { begin, place, server } from './stage.ts'

describe('backend comet, more than its server takes', () => {
  it('stays within its budgets, and keeps first, last, lowest and highest of each metric', async () => {
    const budgets = { metric: { max: 400, windowMs: 10_000 }, calls: { max: 60, windowMs: 10_000 } }
    await begin({ budgets }, { RANKZERO_COMET_METRICS: '400/10', RANKZERO_COMET_CALLS: '60/10' })
    const done = await place.run(train(4, '--exit-timeout', '120'),
      { T_METRICS: '5', T_STEPS: '1500', T_RATE: '150' })
    expect(done.code, done.stderr).toBe(0)
    const [view] = await server.desk.experiments() as [View]
    const { values } = contentsOf(await server.desk.series(view.key))
    const rows = place.rows()
    const wanted = wantedOf(rows)
    for (const [name, value] of values) expect(value, name).toBe(wanted.get(name))
    for (const name of extremesOf(rows)) expect(values.has(name), name).toBe(true)
    expect(view.state).toBe('ended')
    const { backends, ...books } = place.audit()
    const { delivered, thinned } = backends[1]!
    expect(books).toMatchObject({ balanced: true, complete: true, problems: [] })
    expect(delivered + thinned).toBe(4 * 5 * 1500)
    expect(thinned).toBeGreaterThan(0)
    expect(view.others['rankzero points not sent']).toBe(thinned)
    const calls = await server.desk.calls(10_000)
    expect(calls.worst).toBeLessThanOrEqual(60)
    expect((await server.desk.calls(10_000, { kind: 'metric' })).worstItems).toBeLessThanOrEqual(400)
    expect((await server.desk.log()).filter(({ status }) => status === 429)).toEqual([])
  })

  it('keeps a series below the points that it may have', async () => {
    await begin({ pointsMax: 150 }, { RANKZERO_COMET_POINTS: '150' })
    const done = await place.run(train(2, '--exit-timeout', '120'),
      { T_METRICS: '3', T_STEPS: '4000', T_RATE: '2000' })
    expect(done.code, done.stderr).toBe(0)
    const [view] = await server.desk.experiments() as [View]
    const { values, twice } = contentsOf(await server.desk.series(view.key))
    const rows = place.rows()
    const wanted = wantedOf(rows)
    for (const [name, value] of values) expect(value, name).toBe(wanted.get(name))
    for (const name of extremesOf(rows)) expect(values.has(name), name).toBe(true)
    expect([twice, Math.max(...Object.values(view.metrics)) <= 150]).toEqual([0, true])
    const { backends, ...books } = place.audit()
    const { delivered, thinned } = backends[1]!
    expect(books).toMatchObject({ balanced: true, complete: true, problems: [] })
    expect([delivered + thinned, thinned > 0]).toEqual([2 * 3 * 4000, true])
    expect(view.others['rankzero points not sent']).toBe(thinned)
  })

  it('has what agents sample of their nodes', async () => {
    await begin({}, { RANKZERO_SYSTEM_METRICS: '1s' })
    const done = await place.run(train(2, '--offline'), { T_STEPS: '100', T_RATE: '40' })
    expect(done.code, done.stderr).toBe(0)
    expect((await place.run(['sync', 'latest'])).code).toBe(0)
    const [view] = await server.desk.experiments() as [View]
    const { values, twice } = contentsOf(await server.desk.series(view.key))
    const host = place.status().nodes![0]!.host
    const names = [...values.keys()].filter((name) => name.startsWith('sys/'))
    expect(names.map((name) => name.split('@')[0])).toContain(`sys/${host}/memory/total`)
    expect(names.filter((name) => name.startsWith('sys/rank'))).toEqual([])
    const known = place.points(undefined, '--metric', 'sys/*')
    for (const name of names) {
      const [metric, step] = name.replace(`/${host}/`, '/').split('@')
      const point = known.find((one) => one.metric === metric && one.step === Number(step))
      expect(values.get(name), name).toBe(point?.value)
    }
    expect(twice).toBe(0)
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  })
})
