/** Backend comet against the stand-in, with real processes: what arrives, whatever died or was ill. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cometKey } from '../../lib/backend/comet/core-names.ts'
import { TRAINER, until } from '../scenario/harness.ts'
import { arrived, contentsOf, expectWhole, script, train, wantedOf } from './kit.ts'
import { begin, place, server } from './stage.ts'

const LIFE = `run.params({ lr: 0.1, opt: { name: 'adam', betas: [0.9, 0.99] }, seed: run.rank })
  for (let step = 0; step < 40; step++) {
    const odd = step === 7 ? NaN : step
    run.log({ same: step, loss: 1 / (step + 1 + run.rank), odd, 'loss/min': 3 }, { step })
    if (step % 20 === 0) run.text('step ' + step)
    await sleep(20)
  }`

describe('backend comet', () => {
  it('makes one experiment with rows, texts, parameters, tags, name and end', async () => {
    await begin()
    const done = await place.run(script(2, '--name', 'one of two', '--tags', 'a,b', '--project', 'digits'),
      { T_CODE: LIFE })
    expect(done.code, done.stderr).toBe(0)
    const { desk } = server
    const [view] = await desk.experiments()
    expect(view).toMatchObject({
      name: 'one of two', workspace: 'ws', project: 'digits', state: 'ended', tags: ['a', 'b'], errors: [],
      afterEnd: 0, parameters: { 'lr': 0.1, 'opt/name': 'adam', 'opt/betas': [0.9, 0.99], 'seed': 0 },
      others: { 'rankzero run': place.runs()[0], 'rankzero status': 'finished', 'rankzero ranks': 2,
        'seed, by rank': '0: 0; 1: 1' },
    })
    expect(view!.output.map(({ output }) => output).sort()).toEqual(
      [0, 1].flatMap((rank) => [0, 20].map((step) => `rank ${rank}: step ${step}\n`)))
    const series = await desk.series(view!.key)
    expect(Object.keys(series).sort()).toEqual([
      'loss', 'loss/coverage', 'loss/max', 'loss/min', 'loss/std', 'odd', 'same'])
    // A metric of that name is logged, so nothing is derived under it.
    expect(series['loss/min']!.every(({ value }) => value === 3)).toBe(true)
    expect(series['odd']!.map(({ value }) => value)[7]).toBe('NaN')
    expect(series['loss']!.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, step) => step))
    for (const entry of await desk.log()) expect(entry.odd, entry.path).toEqual([])
    expect((await desk.log()).filter(({ status }) => status !== 200)).toEqual([])
    expect(place.status().backends).toMatchObject([{}, { name: 'comet', state: 'ended', pending: 0 }])
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  })

  it('holds its key against a job of another project, since the server knows one of it', async () => {
    await begin()
    const one = train(1, '--key', 'shared', '--project', 'one')
    const first = place.start(one, { ...place.endless, T_RATE: '50' })
    await arrived(server.desk)
    const second = await place.run(train(1, '--key', 'shared', '--project', 'two'))
    expect(second.code, second.stderr).toBe(75)
    const local = await place.run(['run', '--key', 'shared', '--project', 'two', '--', 'true'])
    expect(local.code, local.stderr).toBe(0)
    place.stop()
    const done = await first.ended
    expect(done.code, done.stderr).toBe(0)
    expect(await server.desk.experiments()).toHaveLength(1)
  })

  it('keeps out of an experiment that a run is in whose locks it does not see', async () => {
    await begin()
    const flags = ['--key', 'shared', '--exit-timeout', '5']
    const first = place.start(train(1, ...flags), { ...place.endless, T_RATE: '50' })
    await arrived(server.desk)
    const [locks, runs] = [join(place.root, 'other'), join(place.root, 'there')]
    const elsewhere = { RANKZERO_LOCK_DIR: locks, RANKZERO_DIR: runs }
    const second = await place.run(train(1, ...flags), { ...elsewhere, T_STEPS: '7' })
    expect(second.code, second.stderr).toBe(0)
    expect(second.stderr).toMatch(/14 to comet/)
    place.stop()
    expect((await first.ended).code).toBe(0)
    const { view } = await expectWhole(server.desk, place)
    expect(view.others['rankzero run']).toBe(place.runs()[0])
    expect(view.resumed).toBe(0)
  })

  it('sends value by value where the server has no batches', async () => {
    await begin({ missing: ['clientlib/batch/'] })
    // A call for each value takes its time on a busy machine.
    const job = script(2, '--exit-timeout', '120')
    const done = await place.run(job, { T_CODE: `run.params({ lr: 0.1, list: [1, 2], none: null })
      for (let step = 0; step < 20; step++) run.log({ a: step + run.rank, same: 1 }, { step })` })
    expect(done.code, done.stderr).toBe(0)
    const { view, twice } = await expectWhole(server.desk, place)
    expect(twice).toBe(0)
    expect(view).toMatchObject({ state: 'ended', parameters: { lr: 0.1, list: '[1,2]', none: 'null' } })
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  })

  it('tells how a job failed', async () => {
    await begin()
    const done = await place.run(train(2), { T_STEPS: '20', T_LEAVE: 'exit3' })
    expect(done.code).toBe(3)
    const { view } = await expectWhole(server.desk, place)
    expect(view).toMatchObject({ state: 'ended', others: { 'rankzero status': 'failed' } })
    expect(view.errors).toMatchObject([{ hasCrashed: true, isAlive: true }])
    expect(String(view.errors[0]!.error)).toMatch(/^failed: rank [01] on .*: exit 3, last step 19/)
  })

  it('delivers what a refused key has held back under another, with books', async () => {
    await begin()
    const stop = join(place.root, 'stop')
    const env = { RANKZERO_BACKEND: 'comet', T_INIT_KEY: 'mine' }
    const job = [process.execPath, TRAINER]
    const holder = place.start(job, { ...env, T_STEPS: '100000', T_RATE: '50', T_STOP: stop })
    const first = await until('the holder', 60_000, () =>
      place.runs().length === 1 && place.status().key === 'mine' ? place.runs()[0] : undefined)
    const second = await place.run(job, { ...env, T_STEPS: '20' })
    expect(second.code, second.stderr).toBe(0)
    const refused = await until('the second run', 60_000, () => place.runs()[1])
    await until('its end', 60_000, () => place.picture(refused)?.state === 'ended')
    const points = place.points(refused).length
    expect(place.audit(refused)).toMatchObject({ balanced: true, complete: false })
    expect(place.audit(refused).backends[1]).toMatchObject({ name: 'comet', delivered: 0, pending: points })
    const synced = await place.run(['sync', refused, '--key', 'other'])
    expect(synced.code, synced.stdout + synced.stderr).toBe(0)
    expect(place.audit(refused)).toMatchObject({ balanced: true, complete: true })
    expect(place.audit(refused).backends[1]).toMatchObject({ delivered: points, pending: 0, resent: 0 })
    writeFileSync(stop, '')
    expect((await holder.ended).code).toBe(0)
    await until('the end of the first', 60_000, () => place.picture(first)?.state === 'ended')
    const { desk } = server
    for (const [run, key] of [[first, 'mine'], [refused, 'other']] as const) {
      const view = await desk.experiment(cometKey(key))
      expect(view).toMatchObject({ state: 'ended', others: { 'rankzero run': run } })
      const { values, twice } = contentsOf(await desk.series(cometKey(key)))
      expect([twice, values]).toEqual([0, wantedOf(place.rows(run))])
    }
    expect(await desk.experiments()).toHaveLength(2)
  })
})
