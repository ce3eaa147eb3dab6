import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Diagnosis } from '../../lib/cli/doctor/index.ts'
import { CLI, Place, until } from './harness.ts'
import { TwoHosts } from './two-hosts.ts'

let place: Place | null = null
let two: TwoHosts | null = null
afterEach(() => {
  place?.dispose()
  two?.dispose()
  place = two = null
})

describe('doctor while a job runs', () => {
  it('below rankzero run finds the head that serves the run', async () => {
    place = new Place()
    const done = await place.run(['run', '--', process.execPath, CLI, 'doctor', '--json'])
    const { head, findings } = JSON.parse(done.stdout) as Diagnosis
    expect(head).toMatchObject({ explicit: null, candidates: [] })
    expect(head.asked).toMatchObject([{ name: 'meeting file', address: '127.0.0.1', answer: 'head' }])
    expect(Math.abs(head.asked[0]!.offsetMs!)).toBeLessThan(500)
    expect(findings.filter(({ what }) => what.includes('head'))).toEqual([])
  })

  it('says that nobody can be asked without a secret, and that a candidate is no host', async () => {
    place = new Place()
    const secret = join(place.root, 'secret')
    writeFileSync(secret, randomBytes(32).toString('base64'), { mode: 0o600 })
    const env = {
      RANK: '2', WORLD_SIZE: '4', LOCAL_RANK: '0', LOCAL_WORLD_SIZE: '2', MASTER_PORT: '29512',
      MASTER_ADDR: 'no-such-host.invalid',
    }
    const doctor = async (more: NodeJS.ProcessEnv): Promise<Diagnosis> =>
      JSON.parse((await place!.run(['doctor', '--json'], { ...env, ...more })).stdout) as Diagnosis
    const { head, findings } = await doctor({})
    expect(head).toMatchObject({ candidates: ['no-such-host.invalid'], asked: [{ answer: 'nothing' }] })
    expect(findings.find(({ what }) => what.includes('none is asked'))?.remedy).toMatch(/SECRET_FILE/)
    const lost = await doctor({ RANKZERO_SECRET_FILE: secret })
    const whats = lost.findings.map(({ what }) => what).join('\n')
    expect(whats).toMatch(/no head answers now \(no-such-host.invalid: /)
  })

  it('on another node is led by the signpost to the head; the nodes\' metrics align', async () => {
    two = await TwoHosts.make({
      shared: false, metrics: 1, steps: 0, rate: 100, endless: true, env: { RANKZERO_SYSTEM_METRICS: '2s' },
    })
    two.start(0, 0)
    two.start(1, 2)
    const job = two
    const env = {
      ...job.envOf(1), RANK: '2', WORLD_SIZE: '4', LOCAL_RANK: '0', LOCAL_WORLD_SIZE: '2',
      MASTER_ADDR: job.net.name(0), MASTER_PORT: '29511',
    }
    // A run is live before the agent beside its head puts up its signpost: who came by it shows that it is.
    await until('ranks of the other node', 60_000, () => (
      job.place.picture()?.members.some(({ host }) => host === job.net.name(1))))
    const said = await job.net.start(1, [process.execPath, CLI, 'doctor', '--json'], env).ended
    const { head } = JSON.parse(said.stdout) as Diagnosis
    expect(head.candidates).toEqual([job.net.name(0)])
    const found = head.asked.find(({ answer }) => answer === 'signpost')!
    expect(found).toMatchObject({ name: job.net.name(0), head: expect.stringMatching(/:\d+$/) })
    expect(Math.abs(found.offsetMs!)).toBeLessThan(500)
    await until('metrics of both nodes', 60_000, () => (job.place.picture()?.nodes?.length ?? 0) === 2)
    job.place.stop()
    await job.finished()
    await job.expectWhole()
    const points = job.place.points('latest', '--metric', 'sys/cpu')
    expect(new Set(points.map(({ rank, node }) => `${rank} ${node}`))).toEqual(new Set(['0 h0', '2 h1']))
    expect(points.every(({ step }) => step % 2 === 0)).toBe(true)
    const rows = job.place.rows('latest', '--metric', 'sys/cpu')
    expect(rows.some(({ count, expected, sealed }) => count === 2 && expected === 2 && sealed)).toBe(true)
  })
})
