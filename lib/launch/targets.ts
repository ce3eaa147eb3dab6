import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { promisify } from 'node:util'
import { SLURM_ANSWER_MS } from '../limits.ts'
import { messageOf } from '../errors.ts'
import { stepOf, targetsOf, type ProcessNode, type Target } from './core-targets.ts'
import { say } from './progress.ts'

const run = promisify(execFile)

/** Sends TERM once to what COMMAND's process stands for; a process that is gone meanwhile is none. */
export function stop(pid: number, env: NodeJS.ProcessEnv): void {
  for (const target of targetsOf(treeOf(pid))) {
    if (target.srun) void stopStep(target, env)
    else term(target.pid)
  }
}

/** The tasks of its step get TERM, and time as Slurm gives it; srun itself would kill them. */
async function stopStep({ pid }: Target, env: NodeJS.ProcessEnv): Promise<void> {
  const options = { env, timeout: SLURM_ANSWER_MS }
  try {
    const { stdout } = await run('scontrol', ['show', 'step'], options)
    const step = stepOf(stdout, hostname(), pid)
    if (step === null) return term(pid)
    await run('scancel', ['--signal=TERM', step], options)
  } catch (error) {
    say(`Slurm did not take the signal for the step of srun (${messageOf(error).split('\n')[0]}): `
      + 'srun gets it, and kills its tasks')
    term(pid)
  }
}

function term(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM')
  } catch {
    // It has just gone.
  }
}

/** What lives below a process now; without /proc, the process alone. */
function treeOf(root: number): ProcessNode {
  const children = new Map<number, number[]>()
  const names = new Map<number, string>()
  for (const entry of list('/proc')) {
    const pid = Number(entry)
    if (!Number.isSafeInteger(pid)) continue
    const stat = text(`/proc/${pid}/stat`)
    const close = stat.lastIndexOf(')')
    if (close < 0) continue
    const [state = '', parent = ''] = stat.slice(close + 2).split(' ')
    if (state === 'Z') continue
    names.set(pid, stat.slice(stat.indexOf('(') + 1, close))
    children.set(Number(parent), [...children.get(Number(parent)) ?? [], pid])
  }
  const node = (pid: number): ProcessNode => ({
    pid, name: names.get(pid) ?? '', args: text(`/proc/${pid}/cmdline`).split('\0').slice(1, -1),
    children: (children.get(pid) ?? []).map(node),
  })
  return node(root)
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
