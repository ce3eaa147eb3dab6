/**
 * Whom a TERM is for, seen from COMMAND's process: the launchers, not the shells in front of them. Pure.
 *
 * `horovodrun --mpi` is `/bin/sh -c mpirun …`: a TERM to the shell leaves mpirun and all ranks running. srun
 * answers TERM by killing every task at once, so its step is told instead (targets.ts).
 */
import { LAUNCHER_NAMES, WRAPPERS } from '../rank/index.ts'

export interface ProcessNode {
  pid: number
  /** Command name as the kernel shows it (≤ 15 bytes). */
  name: string
  args: readonly string[]
  children: readonly ProcessNode[]
}

export interface Target {
  pid: number
  /** Its step is to be told, by Slurm. */
  srun: boolean
}

export function targetsOf(process: ProcessNode): Target[] {
  const below = launchersBelow(process)
  if (below.length === 0) return [{ pid: process.pid, srun: false }]
  if (below.some(({ pid }) => pid === process.pid)) return below
  // A script may have a trap for it; a shell that only has this one line would leave its launcher behind.
  const isScript = WRAPPERS.has(process.name) && !process.args.includes('-c')
  return isScript ? [...below, { pid: process.pid, srun: false }] : below
}

/** Through shells and wrappers only: what a launcher or a program starts is its own to end. */
function launchersBelow({ pid, name, children }: ProcessNode): Target[] {
  if (name === 'srun') return [{ pid, srun: true }]
  if (LAUNCHER_NAMES.has(name)) return [{ pid, srun: false }]
  return WRAPPERS.has(name) ? children.flatMap(launchersBelow) : []
}

/** `job.step` of the srun with this pid, from `scontrol show step`; null when it has none. */
export function stepOf(shown: string, host: string, pid: number): string | null {
  const short = host.split('.')[0]
  for (const step of shown.split(/\n(?=StepId=)/)) {
    const id = /^StepId=(\S+)/.exec(step)?.[1]
    const at = /SrunHost:Pid=([^\s:]+):(\d+)/.exec(step)
    if (id !== undefined && at !== null && at[1]!.split('.')[0] === short && Number(at[2]) === pid) return id
  }
  return null
}
