/**
 * Meeting id: what the processes of one job know before they know the run id (DESIGN 4). It finds a run, it
 * never names one. 32 hex digits of sha256 over kind, launcher, value and uid, so that two users never meet.
 */
import { isSlurmStep, LAUNCHER_NAMES, LAUNCHERS, WRAPPERS } from './launchers.ts'
import { parseOwner } from './owner.ts'
import { sha256 } from './sha256.ts'
import type { Env, Facts, Identity, ProcessFact } from './types.ts'

export type MeetingSource =
  | 'meeting' | 'run' | 'owner' | 'slurm' | 'torchelastic' | 'launch' | 'launcher' | 'master' | 'parent'
  | 'alone'

export interface Meeting {
  meeting: string
  /** What decided. */
  from: MeetingSource
}

/** Never a launch of ours: they start unrelated jobs side by side. */
const STRANGERS = new Set([
  'init', 'systemd', 'cron', 'crond', 'atd', 'sshd', 'sshd-session', 'login', 'su', 'sudo', 'tmux', 'screen',
  'tini', 'docker-init', 'dumb-init', 'catatonit', 'conmon', 'containerd-shim', 'supervisord', 'make',
  'xargs', 'parallel', 'npm',
])

/** The meeting of everything under one `rankzero run`. */
export function meetingOfRun(run: string, uid: number): string {
  return sha256(`run\0${run}\0${uid}`).slice(0, 32)
}

/** The meeting that a supervisor named for its children; null when the variable is none. */
export function namedMeeting(env: Env): string | null {
  const named = env.RANKZERO_MEETING ?? ''
  return /^[0-9a-f]{32}$/.test(named) ? named : null
}

export function meetingId(env: Env, facts: Facts, identity: Identity): Meeting {
  const named = namedMeeting(env)
  if (named !== null) return { meeting: named, from: 'meeting' }
  if (env.RANKZERO_RUN) return { meeting: meetingOfRun(env.RANKZERO_RUN, facts.uid), from: 'run' }
  const owner = parseOwner(env, facts)
  if (owner?.worldSize === identity.worldSize) return { meeting: owner.meeting, from: 'owner' }
  const [from, value] = meetingValue(env, facts, identity)
  return { meeting: meetingAt(from, identity.launcher, value, facts.uid), from }
}

/** The meeting id of one kind of value; a supervisor asks for that of workers that are not there yet. */
export function meetingAt(from: MeetingSource, launcher: string, value: string, uid: number): string {
  return sha256(`${from}\0${launcher}\0${value}\0${uid}`).slice(0, 32)
}

/**
 * Ranks of a larger world that nothing ties together: worth a warning, since each will be a run of its own.
 */
export function isAlone(meeting: Meeting, identity: Identity): boolean {
  return meeting.from === 'alone' && identity.worldSize > 1
}

function meetingValue(env: Env, facts: Facts, identity: Identity): [MeetingSource, string] {
  const alone = `${facts.bootId} ${facts.pid} ${facts.procStart}`
  if (identity.launcher === 'single' && identity.worldSize === 1) return ['alone', alone]
  // Before Slurm: of mpirun in an allocation, only the daemons on the other nodes run in a step.
  const launch = launchOf(identity.launcher, env)
  if (launch !== null) return ['launch', launch]
  if (env.SLURM_JOB_ID && isSlurmStep(env)) return ['slurm', `${env.SLURM_JOB_ID}.${env.SLURM_STEP_ID}`]
  if (identity.launcher === 'torchelastic' && env.TORCHELASTIC_RUN_ID !== 'none') {
    return ['torchelastic', env.TORCHELASTIC_RUN_ID ?? '']
  }
  if (identity.worldSize === 1) return ['alone', alone]

  const master = env.MASTER_ADDR && env.MASTER_PORT ? `${env.MASTER_ADDR}:${env.MASTER_PORT}` : null
  const oneNode = identity.localWorldSize === identity.worldSize
    || (identity.localWorldSize === null && master === null)
  const launcher = oneNode ? launcherAbove(facts) : null
  if (launcher !== null) return ['launcher', spelled(launcher, facts)]
  if (master !== null) return ['master', master]
  // Ranks that a program of the user's started, with nothing in the environment: their parent ties them
  // together.
  const parent = facts.ancestors[0]
  return parent && isProgram(parent) ? ['parent', spelled(parent, facts)] : ['alone', alone]
}

/**
 * The launcher process of a meeting whose id a next job may use again (a job name, a port): with it, an
 * aggregator tells the two jobs apart. `<pid>:<start time>:<boot id>`, null where nothing is to be told.
 */
export function launchedBy({ from }: Meeting, facts: Facts): string | null {
  const launcher = from === 'torchelastic' || from === 'master' ? launcherAbove(facts) : null
  return launcher === null ? null : `${launcher.pid}:${launcher.start}:${facts.bootId}`
}

function launchOf(source: string, env: Env): string | null {
  const names = LAUNCHERS.find((launcher) => launcher.source === source)?.launch
  const values = (names ?? []).map((name) => env[name]).filter((value) => value !== undefined && value !== '')
  return values.length > 0 ? values.join(' ') : null
}

/** The nearest launcher above, looking through shells and other wrappers only. */
function launcherAbove(facts: Facts): ProcessFact | null {
  for (const process of facts.ancestors) {
    if (LAUNCHER_NAMES.has(process.name)) return process
    if (!WRAPPERS.has(process.name)) return null
  }
  return null
}

/** Whether a process may be one that starts ranks; names such as `tmux: server` count by their first word. */
function isProgram({ pid, name }: ProcessFact): boolean {
  return pid > 1 && !WRAPPERS.has(name) && !STRANGERS.has(name.split(/[ :]/)[0] ?? '')
}

const spelled = ({ pid, start }: ProcessFact, { bootId }: Facts): string => `${bootId} ${pid} ${start}`
