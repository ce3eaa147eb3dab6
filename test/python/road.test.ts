import { afterEach, describe, expect, it } from 'vitest'
import { Place, until } from '../scenario/harness.ts'
import { envOf, otherPythons, PYTHON, script } from './kit.ts'

let place: Place
afterEach(() => place?.dispose())

const TRAINER = `
import os, rankzero
run = rankzero.init(project='digits', config={'lr': 0.1})
for step in range(500):
    run.log({'loss': 1 / (step + 1) + run.rank, 'step2': step * step, 'even': step % 2 == 0}, step=step,
            weight=None if step % 3 else run.rank + 1)
run.params({'world': run.world_size})
run.text('rank %d is done' % run.rank)
if os.environ.get('T_END') == '1':
    run.end()
`

async function expectAll(ranks: number): Promise<void> {
  await until('the run has ended', 60_000, () => place.picture()?.state === 'ended')
  const points = place.points()
  expect(points).toHaveLength(3 * 500 * ranks)
  for (const { metric, step, rank, value, weight } of points) {
    const right = metric === 'loss' ? 1 / (step + 1) + rank
      : metric === 'even' ? Number(step % 2 === 0) : step * step
    const weighted = step % 3 > 0 ? null : rank + 1
    expect([metric, step, rank, value, weight]).toEqual([metric, step, rank, right, weighted])
  }
  const audit = place.audit()
  expect(audit.balanced && audit.complete).toBe(true)
  expect(place.status()).toMatchObject({ status: 'finished', ranks })
}

describe('a Python trainer, end to end', () => {
  const closers = [['end()', '1'], ['its exit hook', '0']]
  it.each(closers)('alone: python train.py, closed by %s', async (_, end) => {
    place = new Place()
    const done = await place.run([PYTHON, script(place, TRAINER)], { ...envOf(place), T_END: end })
    expect([done.code, done.stderr]).toEqual([0, ''])
    await expectAll(1)
  })

  it('four workers under rankzero run --nproc 4', async () => {
    place = new Place()
    const path = script(place, TRAINER)
    const done = await place.run(['run', '--nproc', '4', '--', PYTHON, path], envOf(place))
    expect([done.code, done.stderr.split('\n').slice(1)]).toEqual([0, ['']])
    await expectAll(4)
  })

  it.each(otherPythons())('with %s', async (program) => {
    place = new Place()
    const done = await place.run([program, script(place, TRAINER)], envOf(place))
    expect([done.code, done.stderr]).toEqual([0, ''])
    await expectAll(1)
  })
})
