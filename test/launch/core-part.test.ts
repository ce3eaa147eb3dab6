import { describe, expect, test } from 'vitest'
import { launcherOf, remoteHint, torchNodes } from '../../lib/launch/core-command.ts'
import { partOf, type Part } from '../../lib/launch/core-part.ts'
import { identify, meetingAt, meetingId, meetingOfRun, type Env, type Facts } from '../../lib/rank/index.ts'

const words = (line: string): string[] => line.split(' ')
const facts: Facts = {
  pid: 100, procStart: 7, bootId: 'boot', uid: 1000, ancestors: [{ pid: 40, start: 4, name: 'bash' }],
}
interface More { nproc?: number | null; supervised?: boolean }
const part = (line: string, env: Env = {}, { nproc = null, supervised = false }: More = {}): Part =>
  partOf({ env, facts, identity: identify(env, facts), command: words(line), nproc, supervised })
const ompi = (rank: number, world: number, local = world): Env => ({
  OMPI_COMM_WORLD_RANK: `${rank}`, OMPI_COMM_WORLD_SIZE: `${world}`, OMPI_COMM_WORLD_LOCAL_RANK: '0',
  OMPI_COMM_WORLD_LOCAL_SIZE: `${local}`, OMPI_MCA_orte_hnp_uri: 'u',
})
const torchId = (id: string): string => meetingAt('torchelastic', 'torchelastic', id, 1000)
const torchAt = (place: string): string => meetingAt('master', 'torchelastic', place, 1000)

describe('which launcher COMMAND calls', () => {
  test.each([
    ['torchrun x.py', 'torchrun', 'x.py'],
    ['/opt/bin/torchrun --nnodes 2 x.py', 'torchrun', '--nnodes 2 x.py'],
    ['python3.11 -u -m torch.distributed.run --nnodes=2 x.py', 'torchrun', '--nnodes=2 x.py'],
    ['python -m torch.distributed.launch x.py', 'torchrun', 'x.py'],
    ['python /venv/bin/torchrun x.py', 'torchrun', 'x.py'],
    ['env OMP_NUM_THREADS=1 torchrun x.py', 'torchrun', 'x.py'],
    ['nice -n 5 python -m torch.distributed.run x.py', 'torchrun', 'x.py'],
    ['mpirun.openmpi -n 2 python x.py', 'mpirun', '-n 2 python x.py'],
    ['srun -n4 torchrun x.py', 'srun', '-n4 torchrun x.py'],
    ['python -m mpi4py x.py', null, ''],
    ['python train.py torchrun', null, ''],
    ['bash torchrun.sh', null, ''],
    ['env', null, ''],
  ])('%s', (line, name, args) => {
    const call = launcherOf(words(line))
    expect(call?.name ?? null).toBe(name)
    expect(call?.args.join(' ') ?? '').toBe(args)
  })
})

describe('torchrun on several nodes', () => {
  test.each([
    ['x.py', {}], ['--nnodes=1 x.py', {}], ['--nnodes 1:1 x.py', {}], ['--standalone --nnodes=2 x.py', {}],
    ['x.py --nnodes=2', {}], ['--nproc-per-node 4 x.py', {}], ['-m --nnodes=1 pkg --nnodes=2', {}],
    ['--nnodes=1 x.py', { PET_NNODES: '2' }], ['--nnodes=two x.py', {}], ['x.py', { PET_NNODES: '' }],
  ] as [string, Env][])('not: %s %j', (line, env) => expect(torchNodes(words(line), env)).toBeNull())

  const static_ = { nodes: 2, runId: null, endpoint: { host: '127.0.0.1', port: '29500' }, nodeRank: null }
  test.each([
    ['--nnodes=2 x.py', {}, static_],
    ['--nnodes 1:4 x.py', {}, { ...static_, nodes: 1 }],
    ['--nnodes 2 --node_rank=1 --master-addr h0 --master_port 2950 x.py', {}, {
      ...static_, endpoint: { host: 'h0', port: '2950' }, nodeRank: 1,
    }],
    ['--nnodes=2 --rdzv_backend=c10d --rdzv-id J --rdzv-endpoint=h0:1 --node-rank 0 x.py', {}, {
      nodes: 2, runId: 'J', endpoint: { host: 'h0', port: '1' }, nodeRank: null,
    }],
    ['--nnodes=2 --rdzv-backend c10d --rdzv-endpoint h0 --rdzv-conf is_host=1,timeout=9 x.py', {}, {
      nodes: 2, runId: null, endpoint: { host: 'h0', port: '29400' }, nodeRank: 0,
    }],
    ['--nnodes=2 --rdzv-backend c10d --rdzv-endpoint [fe80::1]:29 x.py', {}, {
      nodes: 2, runId: null, endpoint: { host: 'fe80::1', port: '29' }, nodeRank: null,
    }],
    ['--nnodes=2 --rdzv-backend etcd-v2 --rdzv-endpoint e:2379 --rdzv-id J x.py', {}, {
      nodes: 2, runId: 'J', endpoint: null, nodeRank: null,
    }],
    ['x.py', { PET_NNODES: '2', PET_NODE_RANK: '1', PET_MASTER_ADDR: 'h0', PET_MASTER_PORT: '7' }, {
      ...static_, endpoint: { host: 'h0', port: '7' }, nodeRank: 1,
    }],
    ['--nnodes=1 --nnodes=3 x.py', {}, { ...static_, nodes: 3 }],
  ] as [string, Env, object][])('%s %j', (line, env, expected) => {
    expect(torchNodes(words(line), env)).toEqual(expected)
  })
})

describe('the part of a supervisor', () => {
  test.each([
    ['a plain command', 'python x.py', {}, {}],
    ['torchrun on this node', 'torchrun --nproc-per-node 4 x.py', {}, {}],
    ['a single process below a live supervisor', 'python x.py', { RANKZERO_RUN: 'r' }, { supervised: true }],
    ['--nproc, also as a task', 'python x.py', ompi(1, 4), { nproc: 2 }],
    ['a batch script', 'bash x.sh', { SLURM_PROCID: '0', SLURM_NTASKS: '4' }, {}],
    ['a task of one', 'python x.py', ompi(0, 1), {}],
  ] as [string, string, Env, More][])('new: %s', (_, line, env, more) => {
    expect(part(line, env, more)).toEqual({ kind: 'new', wide: false })
  })

  test.each([
    ['srun, whatever it starts', 'srun -N2 torchrun --nnodes 2 x.py', {}],
    ['mpirun with hosts', 'mpirun -H h0,h1 python x.py', {}],
    ['horovodrun with hosts', 'horovodrun -np 4 -H h0:2,h1:2 python x.py', {}],
    ['a script in an allocation of two nodes', 'bash x.sh', { SLURM_JOB_NUM_NODES: '2' }],
  ] as [string, string, Env][])('new and wide: %s', (_, line, env) => {
    expect(part(line, env)).toEqual({ kind: 'new', wide: true })
  })

  test('tasks of a launcher meet where their ranks would, and rank 0 is the head', () => {
    const env = ompi(0, 4)
    const meeting = meetingId(env, facts, identify(env, facts)).meeting
    const all = [0, 1, 2, 3].map((rank) => part('python x.py', ompi(rank, 4)))
    expect(all[0]).toEqual({
      kind: 'join', meeting, head: 'here', wide: false, reusable: false, supervisors: 4,
    })
    expect(all.slice(1)).toEqual(all.slice(1).map(() => ({ ...all[0], head: 'away' })))
    expect(part('python x.py', ompi(0, 4, 2))).toMatchObject({ wide: true })
  })

  test('tasks below a supervisor take part in its run, and open none', () => {
    const env = { ...ompi(0, 4), RANKZERO_MEETING: 'ab'.repeat(16), RANKZERO_RUN: 'r' }
    expect(part('python x.py', env, { supervised: true }))
      .toMatchObject({ kind: 'join', meeting: env.RANKZERO_MEETING, head: 'away' })
    const run = { ...ompi(0, 4), RANKZERO_RUN: 'r' }
    expect(part('python x.py', run)).toMatchObject({ meeting: meetingOfRun('r', 1000), head: 'away' })
  })

  test('a run that a supervisor of another host opened is taken part in', () => {
    expect(part('python x.py', { RANKZERO_RUN: 'r' })).toEqual({
      kind: 'join', meeting: meetingOfRun('r', 1000), head: 'away', wide: true, reusable: false,
      supervisors: 1,
    })
  })

  test.each([
    ['--rdzv-id J --rdzv-backend c10d --rdzv-endpoint h0:29400', torchId('J'), { host: 'h0' }],
    ['--rdzv-id none --rdzv-backend c10d --rdzv-endpoint h0:29400', torchAt('h0:29400'), { host: 'h0' }],
    ['--node-rank 0 --master-addr h0 --master-port 7', torchAt('h0:7'), 'here'],
    ['--node-rank 1 --master-addr h0 --master-port 7', torchAt('h0:7'), { host: 'h0' }],
    ['--rdzv-id J --rdzv-backend etcd --rdzv-endpoint e:1', torchId('J'), 'away'],
  ])('torchrun --nnodes 2 %s', (options, meeting, head) => {
    expect(part(`torchrun --nnodes 2 ${options} x.py`))
      .toEqual({ kind: 'join', meeting, head, wide: true, reusable: true, supervisors: 2 })
  })

  test('RANKZERO_HEAD says where the head is', () => {
    const line = 'torchrun --nnodes 2 --node-rank 0 --master-addr h0 x.py'
    expect(part(line, { RANKZERO_HEAD: 'h1:99' })).toMatchObject({ head: { host: 'h1' } })
    const env = { ...ompi(0, 4), RANKZERO_HEAD: 'h1' }
    expect(part('python x.py', env)).toMatchObject({ head: { host: 'h1' } })
  })

  test('torchrun as the task of each node meets by the step of those tasks', () => {
    const env = {
      SLURM_JOB_ID: '9', SLURM_STEP_ID: '0', SLURM_PROCID: '1', SLURM_STEP_NUM_TASKS: '2', SLURM_LOCALID: '0',
    }
    expect(part('torchrun --nnodes 2 --rdzv-id J x.py', env)).toEqual({
      kind: 'join', meeting: meetingId(env, facts, identify(env, facts)).meeting, head: 'away', wide: true,
      reusable: false, supervisors: 2,
    })
  })
})

describe('a launcher that leaves our variables behind is hinted at', () => {
  test.each([
    ['mpirun -n 2 python x.py', false, false], ['mpirun -H localhost:2 python x.py', false, false],
    ['mpirun -H h0,h1 python x.py', false, true], ['mpirun --host=h1 python x.py', false, true],
    ['mpirun --hostfile f python x.py', false, true], ['mpirun --hostfile f python x.py', true, false],
    ['mpirun --hostfile f -x RANKZERO_RUN python x.py', false, false],
    ['deepspeed --hostfile f x.py', false, true], ['deepspeed x.py', false, false],
    ['srun --export=A=1 python x.py', true, true], ['srun --export=ALL,A=1 python x.py', true, false],
    ['python x.py -H h1', false, false], ['horovodrun -H h1:2 python x.py', false, false],
  ])('%s (in an allocation: %s): %s', (line, inAllocation, hinted) => {
    expect(remoteHint(launcherOf(words(line)), inAllocation) !== null).toBe(hinted)
  })
})
