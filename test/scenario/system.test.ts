import { afterEach, describe, expect, it } from 'vitest'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { kill, Place, sleep, TRAINER, until } from './harness.ts'

let place: Place
afterEach(() => place?.dispose())

const NODE = process.execPath

describe('system metrics of real processes', () => {
  it('are there after a short run too, and in no book, row or count', async () => {
    place = new Place()
    const env = { T_STEPS: '100', T_RATE: '50' }
    const done = await place.run(['run', '--nproc', '2', '--', NODE, TRAINER], env)
    expect(done.code, done.stderr).toBe(0)
    expect(place.points().length).toBe(400)
    expect(place.rows().every(({ metric }) => !metric.startsWith('sys/'))).toBe(true)
    const points = place.points('latest', '--metric', 'sys/*')
    expect(new Set(points.map(({ metric }) => metric))).toEqual(new Set([
      'sys/cpu', 'sys/load', 'sys/memory', 'sys/memory/total', 'sys/network/rx', 'sys/network/tx',
      'sys/disk/read', 'sys/disk/write',
      ...[0, 1].flatMap((rank) => [`sys/rank/${rank}/cpu`, `sys/rank/${rank}/rss`]),
    ]))
    expect(points.every(({ step, rank }) => step % 10 === 0 && rank === 0)).toBe(true)
    expect(place.rows('latest', '--metric', 'sys/cpu')[0])
      .toMatchObject({ metric: 'sys/cpu', count: 1, expected: 1, sealed: true, amended: false })
    const audit = place.audit()
    expect(audit).toMatchObject({ balanced: true, complete: true, status: 'finished' })
    expect(audit.ranks.map(({ logged }) => logged)).toEqual([200, 200])
    const { books, members, metricCount, nodes } = place.status()
    expect(books).toMatchObject({ logged: 400, admitted: 400, merged: 400, rejected: 0, pending: 0 })
    expect([members.length, metricCount]).toEqual([2, 2])
    expect(nodes).toMatchObject([{ rank: 0, values: { cpu: expect.any(Number) } }])
    expect(place.shmFiles()).toEqual([])
    expect(existsSync(join(place.dir, '.pending'))).toBe(false)
  })

  it('go on under a new instance when the agent was killed, and nobody waits for the old one', async () => {
    place = new Place({ RANKZERO_SYSTEM_METRICS: '1s' })
    const run = place.start(['run', '--nproc', '2', '--', NODE, TRAINER], { T_RATE: '100', ...place.endless })
    await until('a sample', 60_000, () => place.runs().length > 0 && place.picture()?.nodes !== undefined)
    expect((await place.run(['status'])).stdout)
      .toMatch(/^nodes +\S+: cpu \d+ %, memory \d+\.\d of \d+\.\d GiB$/m)
    const first = await place.one('agent')
    kill(first)
    await until('another agent', 60_000, () => place.processes('agent').some((pid) => pid !== first))
    // One of its own samples.
    await sleep(3000)
    place.stop()
    const done = await run.ended
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr.trim().split('\n')).toHaveLength(1)
    const points = place.points('latest', '--metric', 'sys/cpu')
    expect(new Set(points.map(({ instance }) => instance)).size).toBe(2)
    expect([...new Set(points.map(({ attempt }) => attempt))].sort()).toEqual([1, 2])
    const rows = place.rows('latest', '--metric', 'sys/cpu')
    expect(rows.every(({ sealed, expected }) => sealed && expected === 1)).toBe(true)
    expect(place.points().length).toBe(2 * (place.steps(0) + place.steps(1)))
    expect(place.audit()).toMatchObject({ balanced: true, complete: true, status: 'finished' })
  })

  it('are left out when they are switched off, by flag and by variable', async () => {
    place = new Place()
    const ways = [[['--no-system-metrics'], {}], [[], { RANKZERO_SYSTEM_METRICS: '0' }]] as const
    for (const [flags, env] of ways) {
      const command = ['--nproc', '1', '--', NODE, TRAINER]
      const done = await place.run(['run', ...flags, ...command], { T_RATE: '100', ...env })
      expect(done.code, done.stderr).toBe(0)
      expect(place.points('latest', '--metric', 'sys/*')).toEqual([])
      expect(place.status().nodes).toBeUndefined()
    }
  })
})
