/** What is one job: supervisors as tasks, workers without one, their children, jobs beside each other. */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CLI, kill, sleep, until, type Place } from '../scenario/harness.ts'
import { hosts, type Hosts } from '../setup/netns.ts'
import { PROVIDED_MS_MAX, provided } from '../setup/provided.ts'
import { alone, Job, launcherPlace, LAUNCHERS, PYTHON, type Launcher, WORKER } from './kit.ts'
import { slurm, type Slurm } from './slurm.ts'

/** Of a cgroup's end: everything gets SIGTERM, and what is there after this (ms) SIGKILL. */
const CLEANUP_MS = 3000
const RUN = [process.execPath, CLI, 'run', '--exit-timeout', '30', '--']

let cluster: Slurm
let place: Place
let net: Hosts | null = null
beforeAll(() => provided('complete'), PROVIDED_MS_MAX)
beforeAll(async () => {
  cluster = await slurm()
})
afterAll(() => cluster?.dispose())
afterEach(() => {
  net?.dispose()
  net = null
  place?.dispose()
})

const begin = (launcher: Launcher, argv: string[], env: NodeJS.ProcessEnv = {}): Job => {
  place ??= launcherPlace(cluster.env)
  return new Job(place, launcher, { T_STEPS: '100', ...env }, argv)
}

describe('rankzero run as the task of the launcher', () => {
  it.each([
    ['srun', ['srun', '--nodes=2', '--ntasks-per-node=2'], 4],
    ['srun', ['srun', '--ntasks=8'], 8],
    ['Open MPI', ['mpirun.openmpi', '-n', '4'], 4],
  ] as const)('%s, %j: one run', async (name, command, ranks) => {
    place = launcherPlace(cluster.env)
    const job = begin(LAUNCHERS[name]!, [...command, ...RUN, PYTHON, WORKER])
    const { code, screen } = await job.ended
    expect(code, screen).toBe(0)
    job.expectWhole(ranks)
    expect(place.status()).toMatchObject({ status: 'finished', failed: [] })
  })
})

describe('without rankzero run', () => {
  it.each(Object.entries(LAUNCHERS))('%s: the workers make one run', async (_, launcher) => {
    place = launcherPlace({ ...cluster.env, ...alone })
    const job = begin(launcher, launcher.argv)
    const { code, screen } = await job.ended
    expect(code, screen).toBe(0)
    await job.over()
    job.expectWhole()
    expect(place.status()).toMatchObject({ status: 'finished', failed: [] })
  })

  it('jobs one after the other with the same name and port are a run each', async () => {
    place = launcherPlace(alone)
    const torchrun = { ...LAUNCHERS['torchrun']!, argv: ['torchrun', '--rdzv-id=job', '--master-port=29733',
      '--nproc-per-node=2', WORKER] }
    for (const job of [1, 2]) {
      const { code, screen } = await begin(torchrun, torchrun.argv, { T_TRUTH: `truth-${job}` }).ended
      expect(code, screen).toBe(0)
      expect(place.runs()).toHaveLength(job)
    }
    for (const run of place.runs()) {
      expect(place.points(run)).toHaveLength(2 * 100)
      expect(place.audit(run)).toMatchObject({ balanced: true, complete: true })
    }
  })

  it('two jobs side by side are two runs', async () => {
    place = launcherPlace(alone)
    const openMpi = LAUNCHERS['Open MPI']!
    const jobs = ['a', 'b'].map((name) =>
      begin(openMpi, openMpi.argv, { T_TRUTH: `truth-${name}`, RANKZERO_NAME: name }))
    for (const job of jobs) expect((await job.ended).code).toBe(0)
    expect(place.runs()).toHaveLength(2)
    expect(place.runs().map((run) => place.status(run).name).sort()).toEqual(['a', 'b'])
    for (const run of place.runs()) {
      expect(place.points(run)).toHaveLength(4 * 100)
      expect(place.audit(run)).toMatchObject({ balanced: true, complete: true })
    }
  })
})

describe('a trainer with pools', () => {
  it('Open MPI: spawned and forked children take no part', async () => {
    place = launcherPlace()
    const { argv } = LAUNCHERS['Open MPI']!
    const pool = join(import.meta.dirname, 'pool.py')
    const { code, stderr } = await place.run([...RUN, ...argv.slice(0, -1), pool])
    expect(code, stderr).toBe(0)
    expect(place.points()).toHaveLength(4 * 21)
    expect(place.audit().ranks).toHaveLength(4)
    expect(place.status()).toMatchObject({ status: 'finished', ranks: 4, failed: [] })
  })
})

describe('a step that is cleaned up like a cgroup, its aggregator unable to answer', () => {
  it.each(['here', 'on another node'])('sync %s completes the run', async (where) => {
    place = launcherPlace(cluster.env)
    const job = begin(LAUNCHERS['srun']!, [...RUN, ...LAUNCHERS['srun']!.argv], { T_STEPS: '1000000' })
    await job.reached(30)
    kill(await place.one('aggregator'), 'SIGSTOP')
    const sure = job.logged(0)
    await until('more that nobody has acknowledged', 60_000, () => job.logged(0) > sure + 50)
    for (const pid of place.processes()) kill(pid, 'SIGTERM')
    await sleep(CLEANUP_MS)
    for (const pid of place.processes()) kill(pid)
    await job.ended

    const sync = ['sync', '--all', '--dir', place.dir]
    if (where === 'here') expect((await place.run(sync)).code).toBe(0)
    else {
      net = await hosts(1)
      const done = await net.start(0, [process.execPath, CLI, ...sync], place.env).ended
      expect(done.code, done.stderr).toBe(0)
    }
    job.expectWhole()
    expect(['killed', 'failed']).toContain(place.status().status)
  })
})
