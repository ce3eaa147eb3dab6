/**
 * The table of launchers: one row per launcher, in the order in which they are asked (DESIGN 4). Data only. A
 * row gives the variables of its whole tuple; the reader (index.ts) takes a tuple from one row or not at all.
 * Background for every name: shared/research/launchers.md §1 and launcher-lab.md §2.
 */

import type { Env, Facts } from './types.ts'

export interface Launcher {
  source: string
  /** Whether this launcher is here at all, beyond its rank variable. */
  when?: (env: Env) => boolean
  /** Why its variables, though there, must not be taken. */
  objection?: (env: Env, facts: Facts) => string | null
  /** Variable of the global rank; null: computed from `node`, `world` and `nodes` (Lightning). */
  rank: string | null
  world: string
  /** The first that is present decides; none present: the rank stands in (right on one node). */
  local: readonly string[]
  localWorld?: readonly string[]
  /** Where no variable has it as it is. */
  localWorldFrom?: (env: Env) => number | null
  node?: string
  /** Number of nodes, where the rank must be computed. */
  nodes?: readonly string[]
  /** Variables whose values together name one launch, on every node of it; see meeting.ts. */
  launch?: readonly string[]
}

/** Slurm's own pseudo steps (batch, extern, interactive) have ids from here on; a real step is below. */
const SLURM_STEP_REAL_BELOW = 4294967280

/** A whole number ≥ 0 written in digits, else NaN: '', '1.0', ' 1', '0x1' and '-1' are no ranks. */
export function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : NaN
}

export function isSlurmStep(env: Env): boolean {
  return wholeNumber(env.SLURM_STEP_ID) < SLURM_STEP_REAL_BELOW
}

/** Entry SLURM_NODEID of a run-length list such as `2(x3),1`. */
function slurmLocalWorld(env: Env): number | null {
  const counts: number[] = []
  for (const part of (env.SLURM_STEP_TASKS_PER_NODE ?? '').split(',')) {
    const match = /^(\d{1,9})(?:\(x(\d{1,6})\))?$/.exec(part)
    if (!match) return null
    for (let i = 0; i < Number(match[2] ?? 1); i++) counts.push(Number(match[1]))
  }
  return counts[wholeNumber(env.SLURM_NODEID)] ?? null
}

/**
 * Launchers by the command name that the kernel shows (cut to 15 bytes). One such process is one launch per
 * node.
 */
export const LAUNCHER_NAMES: ReadonlySet<string> = new Set([
  'pt_elastic', 'torchrun', 'accelerate', 'deepspeed', 'composer', 'horovodrun', 'mpirun', 'mpirun.openmpi',
  'mpirun.mpich', 'mpiexec', 'mpiexec.openmpi', 'mpiexec.mpich', 'mpiexec.hydra', 'orterun', 'prterun',
  'orted', 'prted', 'hydra_pmi_proxy', 'hydra_bstrap_pr', 'jsrun', 'jsmd', 'flux-shell', 'slurmstepd',
  'palsd',
])

/** Passed through on the way up: a wrapper says nothing about who launched the ranks. */
export const WRAPPERS: ReadonlySet<string> = new Set([
  'sh', 'bash', 'dash', 'zsh', 'fish', 'ksh', 'csh', 'tcsh', 'busybox', 'env', 'timeout', 'nohup', 'nice',
  'setsid', 'numactl', 'taskset', 'stdbuf', 'time', 'strace',
])

/**
 * Our supervisor recorded itself as the workers' parent and set the common names to the same numbers. What
 * came by another way leaked in; what a launcher between it and us gave anew is the inner one's to say.
 */
function notOurWorker(env: Env, { ancestors }: Facts): string | null {
  const parent = wholeNumber(env.RANKZERO_PARENT_PID)
  const height = ancestors.findIndex((process) => process.pid === parent)
  if (height < 0) return `RANKZERO_PARENT_PID=${env.RANKZERO_PARENT_PID ?? ''} is no ancestor of this process`
  const inner = ancestors.slice(0, height).find((process) => LAUNCHER_NAMES.has(process.name))
  if (inner !== undefined) return `${inner.name} (pid ${inner.pid}) started this process anew below it`
  const changed = (name: string): boolean => env[name] !== undefined && env[name] !== env[`RANKZERO_${name}`]
  if (!changed('RANK') && !changed('WORLD_SIZE')) return null
  return `RANK=${env.RANK ?? ''} WORLD_SIZE=${env.WORLD_SIZE ?? ''} were set anew below it`
}

/**
 * The bare triple: what Composer, DeepSpeed, Ray, AzureML and people by hand set. See `identify` for its
 * rule.
 */
export const TRIPLE = 'env'

export const LAUNCHERS: readonly Launcher[] = [
  {
    source: 'rankzero', objection: notOurWorker,
    rank: 'RANKZERO_RANK', world: 'RANKZERO_WORLD_SIZE',
    local: ['RANKZERO_LOCAL_RANK'], localWorld: ['RANKZERO_LOCAL_WORLD_SIZE'], node: 'RANKZERO_NODE_RANK',
  },
  {
    source: 'torchelastic',
    when: (env) => env.TORCHELASTIC_RUN_ID !== undefined && env.LOCAL_RANK !== undefined,
    rank: 'RANK', world: 'WORLD_SIZE',
    local: ['LOCAL_RANK'], localWorld: ['LOCAL_WORLD_SIZE'], node: 'GROUP_RANK',
  },
  {
    source: 'horovod',
    rank: 'HOROVOD_RANK', world: 'HOROVOD_SIZE',
    local: ['HOROVOD_LOCAL_RANK'], localWorld: ['HOROVOD_LOCAL_SIZE'], node: 'HOROVOD_CROSS_RANK',
    launch: ['HOROVOD_GLOO_RENDEZVOUS_ADDR', 'HOROVOD_GLOO_RENDEZVOUS_PORT'],
  },
  {
    source: TRIPLE,
    objection: (env) =>
      env.LOCAL_RANK === undefined ? 'RANK without LOCAL_RANK numbers a node or a pod' : null,
    rank: 'RANK', world: 'WORLD_SIZE', local: ['LOCAL_RANK'],
    localWorld: ['LOCAL_WORLD_SIZE', 'LOCAL_SIZE'], node: 'NODE_RANK',
  },
  {
    // Lightning's own children have no RANK; it fills each node equally.
    source: 'lightning',
    when: (env) => env.LOCAL_RANK !== undefined && env.NODE_RANK !== undefined && env.RANK === undefined,
    rank: null, world: 'WORLD_SIZE', local: ['LOCAL_RANK'], node: 'NODE_RANK',
    nodes: ['NUM_NODES', 'GROUP_WORLD_SIZE', 'SLURM_NNODES'],
  },
  {
    // OMPI_COMM_WORLD_NODE_RANK is not the number of the node, and PMIX_RANK alone has no size.
    source: 'openmpi',
    rank: 'OMPI_COMM_WORLD_RANK', world: 'OMPI_COMM_WORLD_SIZE',
    local: ['OMPI_COMM_WORLD_LOCAL_RANK'], localWorld: ['OMPI_COMM_WORLD_LOCAL_SIZE'],
    launch: ['OMPI_MCA_orte_hnp_uri', 'PMIX_NAMESPACE'],
  },
  {
    source: 'jsm',
    rank: 'JSM_NAMESPACE_RANK', world: 'JSM_NAMESPACE_SIZE',
    local: ['JSM_NAMESPACE_LOCAL_RANK'], localWorld: ['JSM_NAMESPACE_LOCAL_SIZE'],
  },
  {
    source: 'pals', when: (env) => env.PALS_APID !== undefined,
    rank: 'PALS_RANKID', world: 'PMI_SIZE',
    local: ['PALS_LOCAL_RANKID', 'PMI_LOCAL_RANK'], localWorld: ['PMI_LOCAL_SIZE'], node: 'PALS_NODEID',
    launch: ['PALS_APID'],
  },
  {
    source: 'mvapich2',
    rank: 'MV2_COMM_WORLD_RANK', world: 'MV2_COMM_WORLD_SIZE',
    local: ['MV2_COMM_WORLD_LOCAL_RANK'], localWorld: ['MV2_COMM_WORLD_LOCAL_SIZE'],
  },
  {
    // srun --mpi=pmi2: one launcher in two vocabularies, told by PMI_JOBID; only Slurm's has the local rank.
    source: 'slurm-pmi2',
    when: (env) => env.PMI_JOBID !== undefined && isSlurmStep(env) && env.PMI_RANK === env.SLURM_PROCID
      && env.PMI_SIZE === env.SLURM_STEP_NUM_TASKS,
    rank: 'PMI_RANK', world: 'PMI_SIZE', local: ['SLURM_LOCALID'],
    localWorldFrom: slurmLocalWorld, node: 'SLURM_NODEID',
  },
  {
    source: 'pmi',
    rank: 'PMI_RANK', world: 'PMI_SIZE',
    local: ['MPI_LOCALRANKID', 'PMI_LOCAL_RANK'], localWorld: ['MPI_LOCALNRANKS', 'PMI_LOCAL_SIZE'],
  },
  {
    source: 'flux',
    rank: 'FLUX_TASK_RANK', world: 'FLUX_JOB_SIZE', local: ['FLUX_TASK_LOCAL_ID'], launch: ['FLUX_JOB_ID'],
  },
  {
    // Never SLURM_NTASKS: in batch and interactive shells it is what was asked for, not what runs.
    source: 'slurm',
    objection: (env) =>
      isSlurmStep(env) ? null : 'SLURM_STEP_ID names no real step (a batch or interactive shell)',
    rank: 'SLURM_PROCID', world: 'SLURM_STEP_NUM_TASKS', local: ['SLURM_LOCALID'],
    localWorldFrom: slurmLocalWorld, node: 'SLURM_NODEID',
  },
]

/** Say something about the node or the pod, never about the process; `doctor` shows them as such. */
export const NODE_LEVEL: readonly string[] = [
  'PET_NODE_RANK', 'JOB_COMPLETION_INDEX', 'TF_CONFIG', 'CLUSTER_SPEC', 'JAX_PROCESS_ID', 'SM_CURRENT_HOST',
  'LWS_WORKER_INDEX',
]
