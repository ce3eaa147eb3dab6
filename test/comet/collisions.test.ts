/** One key: ranks by the dozen that all name it, and jobs that want the same one. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cometKey } from '../../lib/backend/comet/core-names.ts'
import { envOf, PYTHON } from '../python/kit.ts'
import { until, type Started } from '../scenario/harness.ts'
import { arrived, contentsOf, expectWhole, train, wantedOf } from './kit.ts'
import { begin, place, server } from './stage.ts'

const RANKS = 64
const SHARED = ['--key', 'shared', '--exit-timeout', '120']
const DROPIN = `import os
from rankzero.comet import Experiment

experiment = Experiment(experiment_key="shared", project_name="digits")
for step in range(3):
    experiment.log_metrics({"rank": int(os.environ["RANK"]), "same": step}, step=step)
experiment.end()
`

describe('one key', () => {
  it(`that ${RANKS} ranks name is one experiment with all of them`, async () => {
    await begin()
    const script = join(place.root, 'train.py')
    writeFileSync(script, DROPIN)
    const flags = ['--backend', 'comet', '--nproc', `${RANKS}`, '--exit-timeout', '120']
    const done = await place.run(['run', ...flags, '--', PYTHON, script], envOf(place))
    expect(done.code, done.stderr).toBe(0)
    const { view, twice } = await expectWhole(server.desk, place)
    expect([view.key, view.project, view.state, twice]).toEqual([cometKey('shared'), 'digits', 'ended', 0])
    expect(view.others).toMatchObject({ 'rankzero ranks': RANKS, 'rankzero status': 'finished' })
    expect(view.others).not.toHaveProperty('rankzero earlier runs')
    const of = (metric: string): unknown[] => place.rows('latest', '--metric', metric)
      .map(({ step, count, expected, min, max }) => ({ step, count, expected, min, max }))
    const all = { count: RANKS, expected: RANKS }
    expect(of('rank')).toEqual([0, 1, 2].map((step) => ({ step, ...all, min: 0, max: RANKS - 1 })))
    expect(of('same')).toEqual([0, 1, 2].map((step) => ({ step, ...all, min: step, max: step })))
    const calls = await server.desk.log()
    expect(calls.filter(({ path }) => path.endsWith('add/run'))).toHaveLength(1)
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  }, 300_000)

  async function holder(): Promise<Started> {
    await begin()
    const first = place.start(train(1, ...SHARED), { ...place.endless, T_RATE: '50' })
    await arrived(server.desk)
    return first
  }
  const second = (how: string): Started =>
    place.start(train(1, ...SHARED, '--on-collision', how), { T_STEPS: '20' })
  async function ended(first: Started): Promise<void> {
    place.stop()
    const done = await first.ended
    expect(done.code, done.stderr).toBe(0)
  }

  it('of a job that runs: another with `fail` exits 75, and Comet hears nothing of it', async () => {
    const first = await holder()
    const done = await second('fail').ended
    expect([done.code, done.stdout], done.stderr).toEqual([75, ''])
    await ended(first)
    const { view, twice } = await expectWhole(server.desk, place)
    expect([view.resumed, view.state, twice]).toEqual([0, 'ended', 0])
    expect(place.runs()).toHaveLength(1)
  }, 180_000)

  it('… with `rename` has an experiment of its own', async () => {
    const first = await holder()
    const done = await second('rename').ended
    expect(done.code, done.stderr).toBe(0)
    await ended(first)
    const [one, two] = place.runs()
    expect(await server.desk.experiments()).toHaveLength(2)
    for (const [key, run] of [['shared', one], ['shared-2', two]] as const) {
      expect(place.status(run)).toMatchObject({ key, state: 'ended', status: 'finished' })
      const view = await server.desk.experiment(cometKey(key))
      expect(view).toMatchObject({ state: 'ended', resumed: 0, others: { 'rankzero run': run } })
      const { values, twice } = contentsOf(await server.desk.series(cometKey(key)))
      expect([twice, values]).toEqual([0, wantedOf(place.rows(run))])
    }
  }, 180_000)

  it('… with `wait` goes on in the same experiment when it is over, and everybody is told', async () => {
    const first = await holder()
    const later = second('wait')
    await until('the wait', 60_000, () => later.stderr().includes('waiting for key shared'))
    expect((await server.desk.experiments())[0]).toMatchObject({ state: 'running', resumed: 0 })
    await ended(first)
    const done = await later.ended
    expect(done.code, done.stderr).toBe(0)
    const [one, two] = place.runs()
    const [view, ...more] = await server.desk.experiments()
    expect(more).toEqual([])
    expect(view).toMatchObject({
      state: 'ended', resumed: 1, afterEnd: 0,
      others: { 'rankzero run': two, 'rankzero earlier runs': one, 'rankzero status': 'finished' },
    })
    // Each point of each of them is there, and nothing else.
    const points = (run: string | undefined): string[] => [...wantedOf(place.rows(run))].map(String)
    const there = Object.entries(await server.desk.series(view!.key)).flatMap(([name, writes]) =>
      writes.map(({ step, value }) => String([`${name}@${step}`, value])))
    expect(there.sort()).toEqual([...points(one), ...points(two)].sort())
    const told = new RegExp(`experiment ${view!.key} has the points of run ${one} too`)
    expect(done.stderr).toMatch(told)
    expect(place.status().backends[1]!.warning).toMatch(told)
    expect(place.status(one).backends[1]).not.toHaveProperty('warning')
    for (const run of [one, two]) expect(place.audit(run)).toMatchObject({ balanced: true, complete: true })
  }, 180_000)
})
