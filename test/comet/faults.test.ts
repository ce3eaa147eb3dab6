/** Backend comet and a server that is ill, away, or lies. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { until } from '../scenario/harness.ts'
import { arrived, expectWhole, script, train } from './kit.ts'
import { begin, place, server } from './stage.ts'

describe('backend comet, a server that is not well', () => {
  it('lives through 429, 5xx, resets before and after, and what hangs', async () => {
    await begin({ faults: [
      { match: 'batch/', kind: 'answer', status: 429, headers: { 'Retry-After-Custom': '0.4' }, rate: 0.2 },
      { match: 'batch/', kind: 'answer', status: 503, rate: 0.1 },
      { match: 'batch/', kind: 'reset', rate: 0.1 },
      { match: 'batch/', kind: 'reset', rate: 0.1, after: true },
      { match: 'status-report', kind: 'answer', status: 500, rate: 0.3 },
      { match: 'log-other', kind: 'answer', status: 502, rate: 0.2 },
      { match: 'batch/logger/experiment/metric', kind: 'hang', times: 1, ms: 3000 },
    ] })
    const done = await place.run(train(2, '--exit-timeout', '120'),
      { T_METRICS: '4', T_STEPS: '300', T_RATE: '30' })
    expect(done.code, done.stderr).toBe(0)
    const { view, twice } = await expectWhole(server.desk, place)
    expect(view).toMatchObject({ state: 'ended', afterEnd: 0 })
    const { backends } = place.audit()
    expect(backends[1]).toMatchObject({ delivered: 2400, pending: 0, rejected: 0 })
    if (twice > 0) expect(backends[1]!.resent).toBeGreaterThan(0)
  })

  const TIMES = ['start', 'middle', 'end']

  it.each(TIMES)('goes on without a server at the %s, and `sync` completes', async (when) => {
    await begin({ readLagMs: 1500 })
    if (when === 'start') await server.desk.set({ down: true })
    const job = place.start(train(2, '--exit-timeout', '4'), { ...place.endless, T_RATE: '40' })
    const goesOn = async (): Promise<void> => {
      const before = place.steps(1)
      await until('more steps', 60_000, () => place.steps(1) > before + 40)
    }
    if (when !== 'start') {
      await arrived(server.desk)
      await server.desk.set({ down: true })
    }
    await goesOn()
    if (when === 'middle') {
      await server.desk.set({ down: false })
      await goesOn()
    }
    place.stop()
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    await until('the end', 60_000, () => place.picture()?.state === 'ended')
    if (when !== 'middle') {
      expect(place.audit()).toMatchObject({ balanced: true, complete: false })
      expect(place.status().backends[1]!.fault).toContain('ECONNREFUSED')
    }
    await server.desk.set({ down: false })
    const synced = await place.run(['sync', 'latest'])
    expect(synced.code, synced.stderr + synced.stdout).toBe(0)
    const { view } = await expectWhole(server.desk, place)
    expect(view.state).toBe('ended')
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  })

  it('is told by `sync` alone what is in the ledger: no agent is started and waited for', async () => {
    await begin()
    const done = await place.run(script(1, '--offline'), { T_CODE: 'run.log({ a: 1 }, { step: 0 })' })
    expect(done.code, done.stderr).toBe(0)
    await until('the end of the agent', 60_000, () => place.processes('agent').length === 0)
    const started = join(place.root, 'started')
    const note = `echo "$1" >>${started}; exec ${process.execPath} ${place.cli} "$@"`
    const noted = ['/bin/sh', '-c', note, 'sh']
    const synced = await place.run(['sync', 'latest'], { RANKZERO_CLI: JSON.stringify(noted) })
    expect(synced.code, synced.stderr + synced.stdout).toBe(0)
    expect(readFileSync(started, 'utf8')).toBe('aggregator\n')
    await expectWhole(server.desk, place)
  })

  it('is read back by `sync`, which does not believe a server that took all and kept nothing', async () => {
    const lie = { kind: 'answer', status: 200, body: '{"msg":"saved"}' } as const
    await begin({ faults: [{ match: 'batch/logger/experiment/metric', times: 1, ...lie }] })
    const done = await place.run(script(2, '--offline'), { T_CODE: `
      for (let step = 0; step < 30; step++) run.log({ a: step + run.rank }, { step })` })
    expect(done.code, done.stderr).toBe(0)
    const synced = await place.run(['sync', 'latest'])
    expect(synced.code, synced.stdout + synced.stderr).toBe(4)
    expect(synced.stdout).toMatch(/read back, 5 series lack points: a has \d+ of 30 steps/)
  })
})
