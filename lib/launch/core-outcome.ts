/** What COMMAND's exit means, and whether a signal is passed on. Pure. */
import { SRUN_END_MS, SRUN_SURE_MS } from '../limits.ts'
import { isSlurmStep } from '../rank/launchers.ts'
import type { Env } from '../rank/index.ts'
import type { Failure } from '../record/run-status.ts'

/** How one worker (or COMMAND as a whole) left. */
export interface Exit {
  /** -1: COMMAND itself, without --nproc. */
  rank: number
  /** 0: it never started. */
  pid: number
  exit: number | null
  signal: string | null
  /** It left after a signal of ours, so its status is our doing. */
  stopped: boolean
}

export interface Outcome {
  exit: number | null
  signal: string | null
}

export const isFailure = (exit: Outcome): boolean => exit.signal !== null || exit.exit !== 0

/** `exits` in time order. The first failure decides; one that we caused only when there is no other. */
export function outcomeOf(exits: readonly Exit[]): Outcome {
  const first = exits.find((one) => isFailure(one) && !one.stopped) ?? exits.find(isFailure)
  return first === undefined ? { exit: 0, signal: null } : { exit: first.exit, signal: first.signal }
}

/** A shell's view of an outcome: 128+n for signal n. */
export function statusOf(outcome: Outcome, numbers: Readonly<Record<string, number>>): number {
  if (outcome.signal !== null) return 128 + (numbers[outcome.signal] ?? 0)
  return outcome.exit ?? 1
}

export type Failed = Pick<Failure, 'rank' | 'host' | 'pid' | 'exit' | 'signal' | 'lastStep' | 'error' | 'log'>
  & { cause?: string }

/** One line: who, where, how, and how far it had come. */
export function howItFailed(failed: Failed): string {
  const who = failed.rank < 0 ? 'COMMAND' : `rank ${failed.rank}`
  const step = failed.lastStep === null ? 'no step logged' : `last step ${failed.lastStep}`
  const how = `${who} on ${failed.host} (pid ${failed.pid}) ${howItLeft(failed)}`
  const log = failed.log === undefined ? '' : `; its output: ${failed.log}`
  return failed.rank < 0 ? how : `${how}, ${step}${log}`
}

function howItLeft({ exit, signal, error, cause }: Failed): string {
  if (cause === 'node-lost') return 'was lost with its node'
  if (signal !== null) return `was killed by ${signal}`
  const thrown = error === undefined ? '' : ` (${error.type}: ${firstLine(error.message)})`
  return exit === null ? `left with no known status${thrown}` : `exited with status ${exit}${thrown}`
}

const firstLine = (text: string): string => text.split('\n', 1)[0]!.slice(0, 200)

export interface SignalFacts {
  signal: string
  mode: 'auto' | 'always' | 'never'
  /** We are in the foreground process group of a terminal: it sends INT and QUIT to COMMAND as well. */
  foreground: boolean
  /** We have, or had, a controlling terminal: its end sends HUP to COMMAND as well. */
  terminal: boolean
  /** A batch system or MPI launcher signals every process of the step by itself. */
  managed: boolean
}

/** A signal twice is worse than none: torchrun turns the second into a kill, mpirun leaves orphans. */
export function passesOn({ signal, mode, foreground, terminal, managed }: SignalFacts): boolean {
  if (mode !== 'auto') return mode === 'always'
  if (managed) return false
  if (signal === 'SIGHUP') return !terminal
  return signal === 'SIGTERM' || !foreground
}

/**
 * Whether an INT of the terminal means nothing yet: srun takes one as a question, and two within a second as
 * the end. `lastAt`: that of the one before, -Infinity without one.
 */
export function isSrunsQuestion(
  signal: string, launcher: string | null, now: number, lastAt: number,
): boolean {
  return signal === 'SIGINT' && launcher === 'srun' && now - lastAt > SRUN_SURE_MS
}

/** Two signals may reach a busy process as one, or late: that srun ends then says that it was told. */
export const wasSrunsAnswer = (outcome: Outcome, now: number, askedAt: number): boolean =>
  isFailure(outcome) && now - askedAt <= SRUN_END_MS

/** Inside a batch system's step or under mpirun, where everyone is signalled by the one above. */
export function isManaged(env: Env): boolean {
  return isSlurmStep(env) || env.OMPI_COMM_WORLD_RANK !== undefined || env.PMI_RANK !== undefined
}
