import { afterEach, describe, expect, it } from 'vitest'
import { resolve } from 'node:path'
import type { HealthStatus, RunStatus } from '../../lib/record/run-status.ts'
import { kill, Place, until } from './harness.ts'

const UNWELL = resolve(import.meta.dirname, 'unwell.js')
let place: Place
afterEach(() => place?.dispose())

const start = (ranks: number, env: NodeJS.ProcessEnv): ReturnType<Place['start']> =>
  place.start(['run', '--nproc', String(ranks), '--', process.execPath, UNWELL], env)

/** The status of the run once `check` holds. */
const seen = (what: string, check: (health: HealthStatus) => unknown, ms = 30_000): Promise<RunStatus> =>
  until(what, ms, () => {
    const picture = place.picture()
    return picture !== null && check(picture.health) ? picture : null
  })

describe('health from the stream', () => {
  it('names a rank that is slow, and params that differ', async () => {
    place = new Place()
    const run = start(4, { T_STEPS: '400', T_SLOW: '2:70' })
    const { health, params } = await seen('the straggler', ({ stragglers }) => stragglers.length > 0)
    expect(health.stragglers.map(({ rank }) => rank)).toEqual([2])
    expect(health.stragglers[0]!.ratio).toBeGreaterThan(2)
    expect(health.stragglers[0]!.stepMs).toBeGreaterThan(60)
    expect(params.find(({ key }) => key === 'lr')).toEqual({
      key: 'lr', value: 0.1, divergence: [{ value: 0.1, ranks: '0-2' }, { value: 0.2, ranks: '3' }],
    })
    const text = (await place.run(['status'])).stdout
    expect(text).toMatch(/^health +rank 2 is slow: \d+\.\d × the usual step \(\d+ ms a step\)$/m)
    expect(text).toMatch(/^lr +0\.1 \(ranks 0-2\), 0\.2 \(rank 3\)$/m)
    expect(text).toMatch(/^batch +32$/m)
    kill(run.child.pid, 'SIGTERM')
    await run.ended
  })

  it('names a rank that stopped while others went on, and forgets it when it goes on', async () => {
    place = new Place()
    const run = start(3, { T_STEPS: '3000' })
    const all = await seen('all ranks', ({ lag }) => lag !== null && place.status().members.length === 3)
    const { pid } = all.members.find(({ rank }) => rank === 1)!
    await until('steps', 60_000, () => (place.picture()?.members[0]!.lastStep ?? 0) > 30)
    kill(pid, 'SIGSTOP')
    const { health } = await seen('the hang', ({ hang }) => hang !== null)
    expect(health.hang!.ranks).toBe('1')
    expect(health.hang!.forMs).toBeGreaterThan(10_000)
    expect(health.hang!.others!).toBeGreaterThan(health.hang!.sinceStep + 100)
    expect((await place.run(['status'])).stdout).toMatch(/^health +rank 1 stopped: no record for /m)
    kill(pid, 'SIGCONT')
    await seen('no hang', ({ hang }) => hang === null)
    kill(run.child.pid, 'SIGTERM')
    await run.ended
  })

  it('names the first NaN and ranks that never came, also when the run is over', async () => {
    place = new Place({ RANKZERO_JOIN_TIMEOUT: '1' })
    const run = start(4, { T_STEPS: '150', T_NAN: '2:17', T_ABSENT: '1' })
    await seen('the missing rank', ({ missing }) => missing === '1')
    expect((await run.ended).code).toBe(0)
    const status = place.status()
    expect(status).toMatchObject({ state: 'ended', status: 'partial' })
    expect(status.health).toEqual({
      lag: null, stragglers: [], hang: null, missing: '1',
      firstNaN: [{ metric: 'loss', rank: 2, step: 17, kind: 'NaN' }],
    })
    const text = (await place.run(['status'])).stdout
    expect(text).toMatch(/^health +rank 1 missing: never came\n +first NaN of loss: rank 2, step 17$/m)
  })
})
