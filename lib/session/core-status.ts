/**
 * How a run ended, from what its members and its supervisors said (DESIGN 8). Pure.
 *
 * In: the members with their departures, the supervisors' events. Out: the final status and the failures in
 * time order.
 * Invariants: a failure that a later attempt of the same rank made good stays listed as recovered; workers
 * that we stopped ourselves are no failures.
 */
import type { Bodies, Departure, SupervisorEvent } from '../record/index.ts'
import type { Failure } from '../record/run-status.ts'

export type FinalStatus = 'finished' | 'failed' | 'killed' | 'preempted' | 'partial' | 'lost'

/** A worker instance, as far as the end of the run asks. Times are ms since the epoch. */
export interface MemberEnd {
  rank: number
  /** Place among the instances of its rank. */
  attempt: number
  instance: string
  host: string
  pid: number
  /** 'conflict': never held its rank. */
  state: 'live' | 'ended' | 'conflict'
  endRecord: Bodies['end'] | null
  /** What the agent said when the owner was gone. */
  departure: Departure | null
  endedAt: number | null
  lastStep: number | null
}

/** One event of a supervisor, with its host and time. */
export interface Seen {
  host: string
  at: number
  event: SupervisorEvent
}

export interface EndFacts {
  worldSize: number
  members: readonly MemberEnd[]
  seen: readonly Seen[]
}

export function finalStatus(facts: EndFacts): { status: FinalStatus; failed: Failure[] } {
  const failed = failures(facts)
  return { status: statusOf(facts, failed), failed }
}

function statusOf(facts: EndFacts, failed: readonly Failure[]): FinalStatus {
  const { members, seen } = facts
  if (seen.some(({ event }) => event.type === 'signal')) return 'killed'
  if (failed.some((failure) => !failure.recovered)) return 'failed'
  const command = seen.findLast(({ event }) => event.type === 'command-exit')?.event
  if (command?.type === 'command-exit' && (command.exit !== 0 || command.signal !== null)) {
    // A command that failed before any rank could log is a failed run; after a restart it would have exited
    // with 0.
    if (failed.length === 0) return 'failed'
  }
  const last = lastAttempts(members)
  if (last.length === 0) return command === undefined ? 'lost' : 'finished'
  const well = last.filter((member) => endedWell(member, seen)).length
  if (well === 0 && command === undefined) return 'lost'
  return well < Math.max(facts.worldSize, last.length) ? 'partial' : 'finished'
}

/** In time order; a worker that died before it could log is known from its supervisor alone. */
function failures(facts: EndFacts): Failure[] {
  const { members, seen } = facts
  const list: Failure[] = []
  for (const member of members) {
    if (member.state === 'conflict') continue
    const left = leaving(member, seen)
    if (left === null || left.stopped || !isFailure(left)) continue
    const later = members.filter((other) => other.rank === member.rank && other.attempt > member.attempt)
    const { rank, host, pid, lastStep } = member
    list.push({
      rank, host, pid, exit: left.exit, signal: left.signal, cause: left.cause,
      ...(left.error === undefined ? {} : { error: left.error }),
      lastStep, at: left.at, recovered: later.some((other) => endedWell(other, seen)),
    })
  }
  for (const { host, at, event } of seen) {
    if (event.type !== 'worker-exit' || event.stopped || !isFailure({ ...event, error: undefined })) continue
    if (members.some((member) => member.host === host && member.pid === event.pid)) continue
    const { rank, pid, exit, signal } = event
    list.push({ rank, host, pid, exit, signal, cause: 'parent', lastStep: null, at, recovered: false })
  }
  return list.sort((a, b) => a.at - b.at || a.rank - b.rank)
}

interface Left extends Omit<Departure, 'cause'> {
  cause: string
  at: number
  /** We sent the signal. */
  stopped: boolean
}

/**
 * The first that knows: end record, parent, pidfd (DESIGN 8). An `end()` long before the exit knows no status
 * (null), so the parent is asked then. Null: not gone yet.
 */
function leaving(member: MemberEnd, seen: readonly Seen[]): Left | null {
  const parent = seen.findLast(({ host, event }) =>
    event.type === 'worker-exit' && host === member.host && event.pid === member.pid)
  const told = parent?.event.type === 'worker-exit' ? parent.event : null
  const stopped = told?.stopped ?? false
  const at = member.endedAt ?? parent?.at ?? 0
  const record = member.endRecord
  if (record !== null && (record.exit !== null || record.error !== undefined)) {
    return { exit: record.exit, signal: null, error: record.error, cause: 'end-record', at, stopped }
  }
  if (told !== null) return { exit: told.exit, signal: told.signal, cause: 'parent', at, stopped }
  if (member.departure !== null && member.departure.cause !== 'unknown') {
    return { ...member.departure, at, stopped }
  }
  if (record !== null) return { exit: 0, signal: null, cause: 'end-record', at, stopped }
  return member.state === 'live' ? null : { exit: null, signal: null, cause: 'unknown', at, stopped }
}

const isFailure = (left: { exit: number | null; signal: string | null; error?: unknown }): boolean =>
  (left.exit !== null && left.exit !== 0) || left.signal !== null || left.error !== undefined

function endedWell(member: MemberEnd, seen: readonly Seen[]): boolean {
  const left = leaving(member, seen)
  return left !== null && left.exit === 0 && !isFailure(left)
}

function lastAttempts(members: readonly MemberEnd[]): MemberEnd[] {
  const last = new Map<number, MemberEnd>()
  for (const member of members) {
    if (member.state === 'conflict') continue
    const other = last.get(member.rank)
    if (other === undefined || member.attempt > other.attempt) last.set(member.rank, member)
  }
  return [...last.values()]
}
