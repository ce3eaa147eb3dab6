/**
 * Room launch: the supervisor behind `rankzero run`: one COMMAND, or N workers of it, under one session.
 *
 * In: COMMAND and settings. Out: COMMAND's exit status; journal events (`started`, `worker-exit`, `signal`,
 * `command-exit`, end) that go the road of every rank's values; first failure and what is pending on stderr.
 * Invariants: it never leaves before COMMAND; nothing that happens to us changes COMMAND's status; a run that
 * cannot be opened stops COMMAND only when what was asked for cannot be had (a held key, a wrong option).
 * Nobody needs the supervisor to live: agent and aggregator finish without it.
 * It touches no disk by itself but the program's own: what is there is read aside (aside.ts), so that a disk
 * that hangs delays neither signals nor output nor, beyond BOUNDS.md, the exit.
 * It does not decide how the run ended (session/core-status.ts) and moves no point.
 */
import { constants } from 'node:os'
import { isSupervised, readFacts, withoutEndedRun } from '../logger/facts.ts'
import { identify } from '../rank/index.ts'
import { whyNotRunnable } from './command.ts'
import { launcherOf } from './core-command.ts'
import { statusOf } from './core-outcome.ts'
import { partOf, type Part } from './core-part.ts'
import type { DaemonPlace } from './daemons.ts'
import { leftBefore } from './finish.ts'
import { namesThisHost } from './hosts.ts'
import { Job, type JobPlace, type SuperviseOptions } from './job.ts'
import { openAs } from './open.ts'
import { say } from './progress.ts'
import { listen, type Heard } from './signals.ts'

export type { SuperviseOptions } from './job.ts'
export { isAlive, processAlive } from './processes.ts'
export { count, plural, progress, say } from './progress.ts'

/** Runs COMMAND under a session; its exit status. @throws RankzeroError only before COMMAND starts. */
export async function supervise(given: SuperviseOptions): Promise<number> {
  const missing = whyNotRunnable(given.command[0] ?? '', given.env)
  if (missing !== null) throw missing
  const options = { ...given, env: withoutEndedRun(given.env, given.dir, say) }
  const { cli, dir, lockDir, env } = options
  const place: DaemonPlace = { cli, dir, lockDir, env }
  const abort = new AbortController()
  let early: Heard | null = null
  let heard = (one: Heard): void => {
    early ??= one
    abort.abort()
  }
  const unlisten = listen(options.forwardSignals, env, (one) => heard(one))
  // A terminal that went away must not take COMMAND's supervisor with it.
  process.stderr.on('error', () => {})
  try {
    const { part, among } = await placeOf(options)
    const run = await openAs(part, place, options, abort.signal)
    if (run === null) return statusOf({ exit: null, signal: early!.signal }, constants.signals)
    const before = run.guest ? await leftBefore({ env, dir, meeting: run.meeting }) : new Set<string>()
    const job = new Job(part.kind === 'new' ? withoutOwner(options) : options, run, place, among, before)
    heard = (one) => job.heard(one)
    await job.start()
    if (early !== null) job.heard(early)
    return await job.finish()
  } finally {
    unlisten()
  }
}

/** A trainer may start a run of its own: that one's ranks are not the trainer's silent children. */
const withoutOwner = (options: SuperviseOptions): SuperviseOptions =>
  ({ ...options, env: { ...options.env, RANKZERO_OWNER: undefined } })

/** Where this supervisor stands: alone, the head of several, or a guest. */
async function placeOf(options: SuperviseOptions): Promise<{ part: Part; among: JobPlace }> {
  const { env, command, nproc, resume } = options
  const facts = readFacts()
  const identity = identify(env, facts)
  const part = partOf({ env, facts, identity, command, nproc, supervised: isSupervised(env) })
  const requeued = Number(env['SLURM_RESTART_COUNT'] ?? 0) > 0
  const again = part.kind === 'new' || !part.reusable || resume !== null || requeued
  // What we start ourselves is on this node.
  const alone = { worldSize: 1, localWorldSize: 1 }
  if (part.kind === 'new') return { part, among: { task: null, supervisors: 1, again, sizes: alone } }
  const { head, supervisors } = part
  const here = typeof head === 'object' && await namesThisHost(head.host)
  const isTask = identity.worldSize > 1 && launcherOf(command) === null
  return {
    part: here ? { ...part, head: 'here' } : part,
    among: { task: isTask ? identity.rank : null, supervisors, again, sizes: identity },
  }
}
