import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Row } from '../../lib/aggregator/core-types.ts'
import { kill, Place, random, ROUNDS, SEED, sleep, TRAINER, until } from './harness.ts'
import { nameOf, valueOf } from './value.js'

let place: Place
afterEach(() => place?.dispose())

const rounds = Array.from({ length: ROUNDS }, (_, round) => SEED + round)
const train = (nproc: number, ...more: string[]): string[] => [
  'run',
  '--nproc',
  String(nproc),
  '--exit-timeout',
  '30',
  ...more,
  '--',
  process.execPath,
  TRAINER,
]

const truthOf = (base: string, rank: number): number =>
  readFileSync(`${base}.${rank}`, 'utf8').split('\n').filter(Boolean).length

/** Every point of `steps` steps of every rank, once, bit for bit. */
function expectWhole(ranks: number, metrics: number, steps: number): void {
  const points = place.points()
  const seen = new Set<string>()
  let wrong = 0
  for (const point of points) {
    const metric = Number(point.metric.slice(1))
    if (!Object.is(point.value, valueOf(point.rank, point.step, metric))) wrong++
    seen.add(`${point.metric} ${point.step} ${point.rank}`)
  }
  expect({ points: points.length, distinct: seen.size, wrong }).toEqual({
    points: ranks * metrics * steps,
    distinct: ranks * metrics * steps,
    wrong: 0,
  })
}

describe('a worker killed with SIGKILL', () => {
  it.each(rounds)(
    'leaves everything that log() returned from, and is named (seed %i)',
    async (seed) => {
      const next = random(seed)
      place = new Place()
      const truth = join(place.root, 'truth')
      const env = { T_METRICS: '3', T_STEPS: '1000000', T_RATE: '500', T_TRUTH: truth }
      const started = place.start(train(3), env)
      const pids = await until('three trainers', 60_000, () => {
        const found = place.processes('trainer')
        return found.length === 3 ? found : null
      })
      await until('a first log() of each rank', 60_000, () =>
        [0, 1, 2].every((rank) => existsSync(`${truth}.${rank}`)),
      )
      await sleep(next() * 1500)
      kill(pids[Math.floor(next() * 3)])
      const done = await started.ended
      expect(done.code, done.stderr).toBe(137)

      const { status, failed } = place.status()
      expect(status).toBe('failed')
      expect(failed.length).toBe(1)
      const { rank } = failed[0]!
      const logged = truthOf(truth, rank)
      expect(failed[0]).toMatchObject({ host: hostname(), exit: null, signal: 'SIGKILL', recovered: false })
      // One more log() may have returned in the instant before the trainer could write its truth.
      expect([logged - 1, logged]).toContain(failed[0]!.lastStep)
      expect(done.stderr).toMatch(new RegExp(`rank ${rank}.*SIGKILL`))
      const points = place.points()
      for (let r = 0; r < 3; r++) {
        const sure = truthOf(truth, r)
        const got = points.filter((point) => point.rank === r)
        expect([sure * 3, sure * 3 + 3]).toContain(got.length)
        expect(
          got.every((point) => Object.is(point.value, valueOf(r, point.step, Number(point.metric.slice(1))))),
        ).toBe(true)
      }
      expect(place.audit()).toMatchObject({ balanced: true, complete: true })
    },
  )
})

describe('our own processes killed with SIGKILL while 4 workers log', () => {
  const [ranks, metrics, steps] = [4, 5, 1500]
  const env = { T_METRICS: String(metrics), T_STEPS: String(steps), T_RATE: '200' }
  let undisturbed: Row[] | null = null

  it.each(
    rounds.flatMap((seed) =>
      (['aggregator', 'agent', 'both'] as const).map((victim) => [victim, seed] as const),
    ),
  )(
    'loses and doubles nothing: %s (seed %i)',
    async (victim, seed) => {
      const next = random(seed)
      if (undisturbed === null) {
        place = new Place()
        await place.run(train(ranks), { ...env, T_RATE: '0' })
        undisturbed = place.rows()
        place.dispose()
      }
      place = new Place()
      // It lives until the rivals have been refused, however long that takes.
      const rivalsAreDone = join(place.root, 'rivals-are-done')
      const started = place.start(train(ranks, '--key', 'the-key'), { ...env, T_UNTIL: rivalsAreDone })
      await until('four trainers', 60_000, () => place.processes('trainer').length === 4)
      for (let kills = 0; kills < 2; kills++) {
        await sleep(100 + next() * 900)
        if (victim !== 'agent') kill(await place.one('aggregator'))
        if (victim !== 'aggregator') kill(await place.one('agent'))
        const rival = await place.run(['run', '--key', 'the-key', '--', '/bin/true'])
        expect(rival.code, "the key stays the run's own").toBe(75)
      }
      writeFileSync(rivalsAreDone, '')
      const done = await started.ended
      expect(done.code, done.stderr).toBe(0)
      expectWhole(ranks, metrics, steps)
      expect(place.rows().map((row) => ({ ...row, sealed: 0, amended: 0 }))).toEqual(
        undisturbed.map((row) => ({ ...row, sealed: 0, amended: 0 })),
      )
      expect(place.audit()).toMatchObject({ balanced: true, complete: true, status: 'finished' })
    },
  )
})

describe('the supervisor killed with SIGKILL', () => {
  it.each([
    ['that log', 0],
    ['that are still to start', 4],
  ])('leaves workers %s to go on, and the session ends truthfully', async (_, late) => {
    place = new Place()
    const [ranks, metrics, steps] = [3, 2, 1000]
    const started = join(place.root, 'started')
    const slow = `echo >> ${started}; sleep ${late}; exec "$@"`
    const command = ['/bin/sh', '-c', slow, 'sh', process.execPath, TRAINER]
    const env = { T_METRICS: String(metrics), T_STEPS: String(steps), T_RATE: '400' }
    const run = place.start(['run', '--nproc', String(ranks), '--', ...command], env)
    await until('its beginning', 60_000, () => (late > 0
      ? existsSync(started) && readFileSync(started, 'utf8').length === ranks
      : place.picture()?.members.length === ranks))
    run.child.kill('SIGKILL')
    await until('the end of the session', 60_000, () => place.picture()?.state === 'ended')
    expect(place.status().status).toBe('finished')
    expectWhole(ranks, metrics, steps)
    expect(nameOf(0)).toBe('m00')
  })
})
