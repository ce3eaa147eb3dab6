import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openSqlite } from '../../lib/ledger/sqlite.ts'
import { kill, Place, sleep, TRAINER, until, type Ended } from './harness.ts'

let place: Place
afterEach(() => place?.dispose())

const [metrics, steps] = [3, 300]
const env = { T_METRICS: String(metrics), T_STEPS: String(steps), T_RATE: '600' }
const train = (...options: string[]): string[] =>
  [process.execPath, place.cli, 'run', '--nproc', '2', ...options, '--', process.execPath, TRAINER]

/** A private mount namespace: what is mounted there is seen by nobody else and goes with its processes. */
const inMounts = (mounts: string, command: string[]): string[] => [
  '/usr/bin/unshare',
  '-m',
  '--propagation',
  'private',
  '/bin/sh',
  '-c',
  `${mounts} && exec "$@"`,
  'sh',
  ...command,
]

function expectWhole(done: Ended): void {
  expect(done.code, done.stderr).toBe(0)
  expect(place.points().length).toBe(2 * metrics * steps)
  expect(place.audit()).toMatchObject({ balanced: true, complete: true, status: 'finished' })
}

describe('shared memory', () => {
  it('that is too small is left alone: segments serve instead', async () => {
    place = new Place()
    expectWhole(await place.run(inMounts('mount -t tmpfs -o size=64k tmpfs /dev/shm', train()), env))
  })

  it('that is absent is not needed', async () => {
    place = new Place({ RANKZERO_SHM_DIR: '/proc/no-such-place' })
    expectWhole(await place.run(train(), env))
  })

  it('is used without the addon too', async () => {
    place = new Place({ RANKZERO_NATIVE: '0' })
    expectWhole(await place.run(train(), env))
  })
})

describe('the run directory', () => {
  it('on a disk that fills up harms no trainer, and the message says where the data waits', async () => {
    place = new Place()
    mkdirSync(place.dir)
    const done = await place.run(
      inMounts(`mount -t tmpfs -o size=700k tmpfs ${place.dir}`, train('--exit-timeout', '3')),
      { ...env, T_METRICS: '40', T_STEPS: '3000', T_RATE: '1500' },
    )
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toMatch(/pending|lost|waits/)
    expect(done.stderr).toMatch(/rankzero sync/)
  })

  it('that is read-only harms no trainer, and sync delivers later', async () => {
    place = new Place()
    mkdirSync(place.dir)
    const done = await place.run(
      inMounts(`mount -t tmpfs -o size=10m,ro tmpfs ${place.dir}`, train('--exit-timeout', '3')),
      env,
    )
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toMatch(/read-only|EROFS|cannot/i)
    expect(done.stderr).toMatch(/rankzero sync/)
    const run = /rankzero: run (\S+) /.exec(done.stderr)![1]!
    const synced = await place.run(['sync', run])
    expect(synced.code, synced.stderr + synced.stdout).toBe(0)
    expect(place.points(run).length).toBe(2 * metrics * steps)
    expect(place.audit(run)).toMatchObject({ balanced: true, complete: true })
  })
})

describe('the aggregator stopped with SIGSTOP while 4 workers log at full speed', () => {
  const pause = Number(process.env['RANKZERO_TEST_PAUSE'] ?? 15) * 1000

  async function stopped(
    caps: NodeJS.ProcessEnv,
    size: NodeJS.ProcessEnv,
  ): Promise<{ done: Ended; longest: number }> {
    place = new Place(caps)
    const longest = join(place.root, 'longest')
    const begun = place.start(
      ['run', '--nproc', '4', '--exit-timeout', '60', '--', process.execPath, TRAINER],
      { ...size, T_LONGEST: longest },
    )
    await until('four trainers', 60_000, () => place.processes('trainer').length === 4)
    const aggregator = await place.one('aggregator')
    kill(aggregator, 'SIGSTOP')
    await sleep(pause)
    kill(aggregator, 'SIGCONT')
    const done = await begun.ended
    return { done, longest: Math.max(...readFileSync(longest, 'utf8').trim().split('\n').map(Number)) }
  }

  it('delivers everything afterwards below the caps, and log() never waited', async () => {
    const { done, longest } = await stopped({}, { T_METRICS: '4', T_STEPS: '60000' })
    expect(done.code, done.stderr).toBe(0)
    expect(longest).toBeLessThan(pause / 2)
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
    expect(place.audit().ranks.map(({ logged, admitted, lost }) => [logged, admitted, lost])).toEqual(
      Array(4).fill([240_000, 240_000, 0]),
    )
  }, 180_000)

  it('counts exactly what was lost above the caps, per metric', async () => {
    const { done, longest } = await stopped(
      { RANKZERO_OVERFLOW_CAP: '256KiB', RANKZERO_SPOOL_CAP: '64KiB' },
      { T_METRICS: '1', T_STEPS: '200000' },
    )
    expect(done.code, done.stderr).toBe(0)
    expect(longest).toBeLessThan(pause / 2)
    const audit = place.audit()
    expect(audit).toMatchObject({ balanced: true, complete: true })
    const points = place.points()
    for (const rank of audit.ranks) {
      expect(rank.logged).toBe(200_000)
      expect(points.filter((point) => point.rank === rank.rank).length).toBe(200_000 - rank.lost)
    }
    expect(audit.ranks.reduce((sum, rank) => sum + rank.lost, 0)).toBeGreaterThan(0)
  }, 180_000)
})

describe('the aggregator killed after partial rows were sealed by deadline and read by an exporter', () => {
  it('keeps the seals after the replay, and the late points are amendments', async () => {
    place = new Place({ RANKZERO_SEAL_AFTER: '1' })
    const code = `
      run.log({ a: run.rank }, { step: 0 }); run.log({ a: run.rank }, { step: 1 })
      if (run.rank === 1) await sleep(8000)
      run.log({ a: run.rank }, { step: 2 })
      if (run.rank === 0) await sleep(10000)`
    const script = join(import.meta.dirname, 'script.js')
    const begun = place.start(['run', '--nproc', '2', '--', process.execPath, script], { T_CODE: code })
    const sealed = await until(
      'the partial seal of step 2',
      60_000,
      () => place.runs().length === 1 && place.rows().find((row) => row.step === 2 && row.sealed),
    )
    expect(sealed).toMatchObject({ count: 1, expected: 2, amended: false, mean: 0 })
    kill(await place.one('aggregator'))
    const done = await begun.ended
    expect(done.code, done.stderr).toBe(0)
    expect(place.rows()).toMatchObject([
      { step: 0, amended: false, sealed: true },
      { step: 1, amended: false, sealed: true },
      { step: 2, amended: true, sealed: true, count: 2, mean: 0.5 },
    ])
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  })
})

describe('a ledger with one row of batches removed by hand', () => {
  it('does not balance: audit names the rank and the points, exit status 1', async () => {
    place = new Place()
    const done = await place.run(train(), env)
    expect(done.code, done.stderr).toBe(0)
    const victim = place.audit().ranks.find((rank) => rank.rank === 1)!
    const db = openSqlite(join(place.dir, place.runs()[0]!, 'ledger.sqlite'), {
      readonly: false,
      busyMs: 1000,
    })
    db.prepare(
      `DELETE FROM batches WHERE pos =
        (SELECT max(pos) FROM batches WHERE instance = ? AND last_seq - first_seq > 9)`,
    ).run(victim.instance)
    db.close()
    const points = victim.admitted - place.points().filter((point) => point.rank === 1).length
    expect(points).toBeGreaterThan(0)
    const audited = await place.run(['audit'])
    expect(audited.code).toBe(1)
    expect(audited.stdout + audited.stderr).toMatch(new RegExp(`rank 1.*${points}`))
    const json = await place.run(['audit', '--json'])
    expect(json.code).toBe(1)
    expect(JSON.parse(json.stdout)).toMatchObject({ balanced: false })
  })
})
