import { jsonAside } from '../aside.ts'
import { readStatus, statusPath } from '../backend/local.ts'
import { monotonicMs, sleep } from '../clock.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { openRun, startAgent, type DaemonPlace } from '../launch/daemons.ts'
import { isAlive, progress, say } from '../launch/index.ts'
import { plural } from '../launch/progress.ts'
import { END_POLL_MS, FOREIGN_HEAD_MS, SYNC_STALL_MS } from '../limits.ts'
import { OUTBOX_SYNC_MS } from '../limits-outbox.ts'
import { readMeeting } from '../lock/meeting.ts'
import { meetingOfRun } from '../rank/index.ts'
import type { RunStatus } from '../record/run-status.ts'
import { isSpooled, type Leftover } from './leftovers.ts'
import { lookAt, type ShownStatus } from './look.ts'

export interface Target {
  /** Parent of the run directories. */
  parent: string
  run: string | null
  /** Null: it never got one. */
  runDir: string | null
  meeting: string | null
  left: Leftover | null
  /** For a run whose own key was refused: the key to deliver it under. */
  key: string | null
}

export interface Delivered {
  run: string | null
  dir: string | null
  meeting: string
  state: string
  status: string | null
  /** Points that are in the ledger now and were not before. */
  delivered: number
  /** Points that backends took, each for itself. */
  sent: number
  /** Points that are not in the ledger, or not at a backend. */
  pending: number
  lost: number
  error?: string
  remedy?: string
}

/** Brings one run to its end with an aggregator and an agent for what was left, unless it still lives. */
export async function deliver(place: DaemonPlace, target: Target): Promise<Delivered> {
  const { run, runDir, left } = target
  const meeting = target.meeting ?? meetingOfRun(run ?? '', process.getuid?.() ?? 0)
  const before = runDir === null ? null : lookAt({ run: run ?? '', dir: runDir })
  const admitted = before?.books.admitted ?? 0
  const result = (dir: string | null, state?: string): Delivered => {
    const now = dir === null ? null : readStatus(dir)
    return {
      run: now?.run ?? run, dir, meeting, state: state ?? now?.state ?? 'none', status: now?.status ?? null,
      delivered: (now?.books.admitted ?? 0) - admitted, sent: Math.max(0, sentOf(now) - sentOf(before)),
      pending: pendingOf(now), lost: now?.books.lost ?? 0, ...missingOf(now),
    }
  }
  const refused = target.key !== null && before !== null && before.reason !== null
  const behind = (before?.backends ?? []).some(({ name, state, pending }) =>
    name !== 'local' && (pending > 0 || state !== 'ended'))
  const isWhole = before?.state === 'ended' && before.books.pending === 0
  if (isWhole && !behind && left === null && !refused) return result(runDir)
  if ((left?.live ?? 0) > 0) return result(runDir, 'live')
  // All is in the ledger: an agent would find nothing to bring, and the head would wait for it.
  const alone = isWhole && left === null && !isSpooled(target.parent, meeting)
  try {
    let dir = runDir
    const served = before !== null && await isServed(before)
    if (!served) {
      dir = await serve(place, meeting, target, alone)
    }
    // What other nodes have spooled in a shared directory is nobody else's work any more.
    if (!alone) startAgent(place, meeting, run, served ? [] : ['--every-node'])
    await untilEnded(dir ?? '', run ?? meeting)
    // Served by us, and still not over: somebody of it is gone without an end. That is not left to others.
    const now = result(dir)
    return now.state === 'live' ? { ...now, state: 'interrupted' } : now
  } catch (error) {
    const remedy = error instanceof RankzeroError ? error.remedy : undefined
    const failed = { ...result(runDir), error: messageOf(error), remedy }
    return failed.state === 'ended' ? { ...failed, state: 'interrupted' } : failed
  }
}

/** Not at the head yet, and not at each backend. */
const pendingOf = (status: RunStatus | null): number => (status?.backends ?? [])
  .filter(({ name }) => name !== 'local')
  .reduce((sum, { pending }) => sum + pending, status?.books.pending ?? 0)

const missingOf = (status: RunStatus | null): { error?: string } => {
  const lacking = (status?.backends ?? []).flatMap(({ name, pending, missing, assets, fault }) => [
    ...missing === undefined ? [] : [`${name}: ${missing}`],
    ...notTaken(name, pending, 'point', fault), ...notTaken(name, assets?.pending ?? 0, 'asset', fault),
  ])
  return lacking.length === 0 ? {} : { error: lacking.join('; ') }
}

const notTaken = (backend: string, pending: number, what: string, fault = 'see status'): string[] =>
  pending === 0 ? [] : [`${backend} has not taken ${plural(pending, what)}: ${fault}`]

const sentOf = (status: RunStatus | null): number => (status?.backends ?? [])
  .filter(({ name }) => name !== 'local')
  .reduce((sum, { pending }) => sum + status!.books.merged + status!.books.open - pending, 0)

/** Whether an aggregator is at work: one of another host replaces its picture now and then. */
async function isServed({ state, dir, processes }: ShownStatus): Promise<boolean> {
  if (state === 'ended' || state === 'interrupted') return false
  if (processes.some(({ role, alive }) => role === 'aggregator' && alive === true)) return true
  const picture = readStatus(dir)?.updatedAt
  await sleep(FOREIGN_HEAD_MS)
  return readStatus(dir)?.updatedAt !== picture
}

/** Starts an aggregator, or finds that another one has just taken the run. Returns the run directory. */
async function serve(
  place: DaemonPlace, meeting: string, { run, key }: Target, alone: boolean,
): Promise<string> {
  const named = run === null ? [] : ['--resume', run]
  const args = ['--closing', '--meeting', meeting, '--end-timeout', `${OUTBOX_SYNC_MS}`, ...named]
  if (alone) args.push('--alone')
  if (key !== null) args.push(`--key=${key}`)
  try {
    const opened = await openRun(place, args, ({ key, run: holder, host, pid }) => {
      say(`waiting for key ${key} held by run ${holder} (host ${host}, pid ${pid})`)
    }, new AbortController().signal)
    return opened?.dir ?? taken(place, meeting)
  } catch (error) {
    const other = readMeeting(place.lockDir, meeting)
    if (other === null || !isAlive(other.pid, other.procStart)) throw error
    return other.dir
  }
}

function taken(place: DaemonPlace, meeting: string): string {
  const dir = readMeeting(place.lockDir, meeting)?.dir
  if (dir !== undefined) return dir
  throw new RankzeroError('LOCK_HELD', `another process has just taken meeting ${meeting}`, 'run sync again')
}

/** As long as anything moves; what does not move for SYNC_STALL_MS is left pending. */
async function untilEnded(dir: string, name: string): Promise<void> {
  const line = progress()
  let mark = ''
  for (let moved = monotonicMs(); monotonicMs() - moved < SYNC_STALL_MS; await sleep(END_POLL_MS)) {
    const status = await jsonAside<RunStatus>(statusPath(dir))
    if (status?.state === 'ended') break
    const now = JSON.stringify([status?.state, status?.books, status?.backends])
    if (now !== mark) moved = monotonicMs()
    mark = now
    const pending = plural(pendingOf(status), 'point')
    line.show(`rankzero: ${name}: ${status?.state ?? 'opening'}, ${pending} pending`)
  }
  line.clear()
}
