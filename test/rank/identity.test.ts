import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { identify, type Env, type Facts } from '../../lib/rank/index.ts'

interface Recording {
  launcher: string
  processes: { expect: { rank: number; world: number }; pid: number; ppid: number; env: Env }[]
}

const here = new URL('./env/', import.meta.url)
const recordings = readdirSync(here)
  .map((name) => JSON.parse(readFileSync(new URL(name, here), 'utf8')) as Recording)

export const factsOf = (pid: number, ...above: number[]): Facts => ({
  pid, procStart: 7, bootId: 'boot', uid: 0,
  ancestors: above.map((ancestor) => ({ pid: ancestor, start: 1, name: 'launcher' })),
})
const alone = factsOf(100, 1)
const triple = (rank: number, world: number, local = rank): Env =>
  ({ RANK: `${rank}`, WORLD_SIZE: `${world}`, LOCAL_RANK: `${local}` })
const ours = (rank: number, world: number, parent: number): Env => ({
  RANKZERO_RANK: `${rank}`, RANKZERO_WORLD_SIZE: `${world}`, RANKZERO_LOCAL_RANK: `${rank}`,
  RANKZERO_LOCAL_WORLD_SIZE: `${world}`, RANKZERO_PARENT_PID: `${parent}`,
})
const ompi = (rank: number, world: number): Env => ({
  OMPI_COMM_WORLD_RANK: `${rank}`, OMPI_COMM_WORLD_SIZE: `${world}`, OMPI_COMM_WORLD_LOCAL_RANK: `${rank}`,
})
const slurm = (rank: number, world: number, step = '0'): Env => ({
  SLURM_JOB_ID: '9', SLURM_STEP_ID: step, SLURM_PROCID: `${rank}`, SLURM_STEP_NUM_TASKS: `${world}`,
  SLURM_LOCALID: `${rank}`, SLURM_NTASKS: '64',
})

describe('recorded environments of real launchers', () => {
  it('has all six recordings', () => expect(recordings).toHaveLength(6))

  for (const { launcher, processes } of recordings) {
    it(`${launcher}: the ranks are what the framework itself said`, () => {
      for (const { env, expect: said, pid, ppid } of processes) {
        const me = identify(env, factsOf(pid, ppid))
        expect({ rank: me.rank, world: me.worldSize }).toEqual({ rank: said.rank, world: said.world })
        expect(me.conflicts).toEqual([])
      }
    })
  }

  it('names the launcher and gives local ranks and sizes', () => {
    const of = (name: string, index: number) => {
      const one = recordings.find((recording) => recording.launcher === name)!.processes[index]!
      const me = identify(one.env, factsOf(one.pid, one.ppid))
      return [me.source, me.localRank, me.localWorldSize, me.nodeRank]
    }
    expect(of('torchrun', 3)).toEqual(['torchelastic', 3, 4, 0])
    expect(of('torchrun-2nodes', 3)).toEqual(['torchelastic', 1, 2, 1])
    expect(of('horovod-gloo', 2)).toEqual(['horovod', 2, 4, 0])
    expect(of('openmpi', 1)).toEqual(['openmpi', 1, 4, null])
    expect(of('mpich', 2)).toEqual(['pmi', 2, 4, null])
    expect(of('slurm-srun-plain', 2)).toEqual(['slurm', 2, 3, 0])
    expect(of('slurm-srun-plain', 3)).toEqual(['slurm', 0, 1, 1])
  })
})

describe('the order of sources', () => {
  it('says single process when nothing is set', () => {
    expect(identify({}, alone)).toEqual({
      source: 'single', launcher: 'single', variables: [], rank: 0, worldSize: 1, localRank: 0,
      localWorldSize: 1, nodeRank: null, conflicts: [], rejected: [],
    })
  })

  it('puts an argument first and still knows the launcher', () => {
    const me = identify({ ...triple(1, 4), TORCHELASTIC_RUN_ID: 'x' }, alone, { rank: 2, worldSize: 8 })
    expect(me).toMatchObject({ source: 'argument', launcher: 'torchelastic', rank: 2, worldSize: 8 })
    expect(me.localRank).toBe(2)
    expect(me.conflicts).toMatchObject([{ rank: 1, worldSize: 4 }, { rank: 1, worldSize: 4 }])
  })

  it('takes the local rank of the same tuple when the argument has none', () => {
    expect(identify(triple(5, 8, 1), alone, { rank: 5, worldSize: 8 }).localRank).toBe(1)
  })

  it.each([
    [{ rank: 1 }], [{ worldSize: 2 }], [{ localRank: 0 }], [{ rank: 2, worldSize: 2 }], [
    { rank: -1, worldSize: 2 }], [{ rank: 0.5, worldSize: 2 }], [{ rank: 0, worldSize: 2, localRank: NaN }],
  ])('refuses the argument %j with value, place and remedy', (explicit) => {
    expect(() => identify({}, alone, explicit)).toThrow(expect.objectContaining({
      code: 'USAGE', message: expect.stringContaining('init({'), remedy: expect.stringContaining('together'),
    }))
  })

  it('takes our own variables when the recorded parent is an ancestor', () => {
    const me = identify({ ...ours(2, 4, 50), ...triple(2, 4) }, factsOf(100, 60, 50, 1))
    expect(me).toMatchObject({ source: 'rankzero', rank: 2, worldSize: 4, localRank: 2, localWorldSize: 4 })
    expect(me.conflicts).toEqual([])
  })

  it('ignores our own variables when the recorded parent is none of our ancestors, and says so', () => {
    const me = identify(ours(2, 4, 51), factsOf(100, 60, 50, 1))
    expect(me).toMatchObject({ source: 'single', rank: 0, worldSize: 1 })
    expect(me.rejected).toMatchObject([{
      source: 'rankzero', why: expect.stringContaining('RANKZERO_PARENT_PID=51'),
    }])
  })

  it('takes the launcher that one of our own workers started', () => {
    const torchrun = { ...triple(1, 2), TORCHELASTIC_RUN_ID: 'none' }
    const me = identify({ ...ours(0, 1, 50), ...torchrun }, factsOf(100, 60, 50, 1))
    expect(me).toMatchObject({ source: 'torchelastic', rank: 1, worldSize: 2 })
    expect(me.rejected).toMatchObject([{ source: 'rankzero', why: expect.stringContaining('set anew') }])
    // Nothing changed the common names, but mpirun stands between us and the recorded parent.
    const below = { ...factsOf(100, 60, 50, 1), ancestors: [
      { pid: 60, start: 1, name: 'mpirun' }, { pid: 50, start: 1, name: 'node' },
    ] }
    expect(identify({ ...ours(0, 2, 50), ...triple(0, 2), ...ompi(3, 4) }, below))
      .toMatchObject({ source: 'openmpi', rank: 3, worldSize: 4 })
    expect(identify({ ...ours(0, 2, 50), ...triple(0, 2), ...ompi(3, 4) }, factsOf(100, 50, 1)))
      .toMatchObject({ source: 'rankzero', rank: 0, worldSize: 2 })
  })

  it('takes torchrun inside an srun step, and names the step as the one that disagrees', () => {
    const me = identify({ ...slurm(0, 2), ...triple(3, 4, 1), TORCHELASTIC_RUN_ID: 'none' }, alone)
    expect(me).toMatchObject({ source: 'torchelastic', rank: 3, worldSize: 4, localRank: 1 })
    expect(me.conflicts).toMatchObject([{ source: 'slurm', rank: 0, worldSize: 2 }])
  })

  it('lets a launcher win over a bare triple of the same or a smaller world: that one leaked in', () => {
    expect(identify({ ...triple(0, 1), ...ompi(2, 4) }, alone)).toMatchObject({ source: 'openmpi', rank: 2 })
    expect(identify({ ...triple(0, 4), ...ompi(2, 4) }, alone)).toMatchObject({ source: 'openmpi', rank: 2 })
  })

  it('lets a bare triple of a larger world win over the launcher around it', () => {
    const me = identify({ ...triple(5, 8, 1), ...slurm(1, 2) }, alone)
    expect(me).toMatchObject({ source: 'env', rank: 5, worldSize: 8, localRank: 1 })
  })

  it('takes Open MPI, not the Slurm step of its daemon', () => {
    expect(identify({ ...slurm(0, 2), ...ompi(1, 4) }, alone)).toMatchObject({ source: 'openmpi', rank: 1 })
  })

  it('takes the local rank from Slurm when srun speaks PMI2', () => {
    const env = { ...slurm(3, 4), PMI_RANK: '3', PMI_SIZE: '4', PMI_JOBID: '9.0', SLURM_LOCALID: '1' }
    expect(identify(env, alone)).toMatchObject({ source: 'slurm-pmi2', rank: 3, localRank: 1, conflicts: [] })
  })

  it.each([
    ['node 1', { LOCAL_RANK: '1', NODE_RANK: '1', WORLD_SIZE: '4', NUM_NODES: '2' }, 'lightning', 3],
    ['node 0', { LOCAL_RANK: '1', NODE_RANK: '0', WORLD_SIZE: '4' }, 'lightning', 1],
    ['jsrun', { JSM_NAMESPACE_RANK: '2', JSM_NAMESPACE_SIZE: '4', JSM_NAMESPACE_LOCAL_RANK: '0' }, 'jsm', 2],
    ['PALS', { PALS_APID: 'a', PALS_RANKID: '2', PMI_SIZE: '4', PALS_LOCAL_RANKID: '0' }, 'pals', 2],
    ['MVAPICH2', { MV2_COMM_WORLD_RANK: '2', MV2_COMM_WORLD_SIZE: '4' }, 'mvapich2', 2],
    ['Flux', { FLUX_TASK_RANK: '2', FLUX_JOB_SIZE: '4', FLUX_TASK_LOCAL_ID: '0' }, 'flux', 2],
  ])('%s', (_, env, source, rank) => {
    expect(identify(env, alone)).toMatchObject({ source, rank, worldSize: 4 })
  })
})

describe('what must not be taken for a rank', () => {
  it.each([
    ['RANK without LOCAL_RANK (a node or a pod)', { RANK: '1', WORLD_SIZE: '2' }],
    ['a Slurm batch shell', { SLURM_PROCID: '0', SLURM_NTASKS: '4', SLURM_STEP_NUM_TASKS: '1' }],
    ['an interactive Slurm step', slurm(0, 1, '4294967290')],
    ['PMIX_RANK without a size', { PMIX_RANK: '3' }],
    ['a completion index', { JOB_COMPLETION_INDEX: '3', PET_NODE_RANK: '1' }],
    ['half a tuple', { OMPI_COMM_WORLD_RANK: '1' }],
    ['a rank outside of its world', triple(4, 4)],
    ['numbers that are none', { RANK: 'one', WORLD_SIZE: '4', LOCAL_RANK: '0' }],
    ['an empty variable', { RANK: '', WORLD_SIZE: '4', LOCAL_RANK: '0' }],
    ['Lightning on node 1 of an unknown number', { LOCAL_RANK: '0', NODE_RANK: '1', WORLD_SIZE: '4' }],
  ] satisfies [string, Env][])('%s', (_, env) => {
    expect(identify(env, alone)).toMatchObject({ source: 'single', rank: 0, worldSize: 1 })
  })

  it('says which variables of a broken tuple it rejected', () => {
    expect(identify(triple(4, 4), alone).rejected).toEqual([{
      source: 'env', variables: ['RANK', 'WORLD_SIZE', 'LOCAL_RANK'],
      why: 'no rank below a size: RANK=4 WORLD_SIZE=4 LOCAL_RANK=4',
    }])
  })
})

describe('a world of more than 1,048,576 ranks', () => {
  it('is refused as an argument, with value and remedy', () => {
    expect(identify({}, alone, { rank: 0, worldSize: 2 ** 20 }).worldSize).toBe(2 ** 20)
    expect(() => identify({}, alone, { rank: 0, worldSize: 2 ** 20 + 1 })).toThrow(
      expect.objectContaining({
        code: 'USAGE', message: 'init({ worldSize }) is 1048577: more than 1048576 ranks',
        remedy: expect.stringContaining('Pass rank and worldSize together'),
      }))
  })

  it('is no claim of a launcher: the next one decides, and doctor says why', () => {
    const variables = ['OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK']
    const why = 'more than 1048576 ranks: '
      + 'OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=1048577 OMPI_COMM_WORLD_LOCAL_RANK=3'
    const rejected = [{ source: 'openmpi', variables, why }]
    const env = { ...ompi(3, 2 ** 20 + 1), ...slurm(1, 2) }
    expect(identify(env, alone)).toMatchObject({ source: 'slurm', rank: 1, worldSize: 2, rejected })
    expect(identify(ompi(3, 2 ** 20 + 1), alone)).toMatchObject({ source: 'single', worldSize: 1, rejected })
    expect(identify(ompi(3, 2 ** 20), alone)).toMatchObject({ source: 'openmpi', worldSize: 2 ** 20 })
  })
})
