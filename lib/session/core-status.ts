/**
 * How a run ended, from what its members and its supervisors said (DESIGN 8). Pure.
 *
 * In: the members with their departures, the supervisors' events. Out: the final status and the failures in
 * time order.
 * Invariants: a failure that a later attempt of the same rank made good stays listed as recovered; workers
 * that we stopped ourselves are no failures.
 */
import { FAILURES_TOGETHER_MS } from '../limits.ts'
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
  /** Of its newest record. */
  lastTime: number | null
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
  const ends = new Ends(facts)
  const failed = failures(ends)
  return { status: statusOf(ends, failed), failed }
}

function statusOf(ends: Ends, all: readonly Failure[]): FinalStatus {
  const { seen, worldSize } = ends.facts
  // What went with its node is listed; whether the run failed is for the others to say.
  const failed = all.filter(({ cause }) => cause !== 'node-lost')
  // What an earlier life of a resumed run went through does not count.
  const begun = Math.max(...seen.map(({ event, at }) => event.type === 'started' ? at : -Infinity), -Infinity)
  const now = seen.filter(({ at }) => at >= begun).map(({ event }) => event)
  const signalAt = Math.min(...seen.map(({ event, at }) =>
    event.type === 'signal' && at >= begun ? at : Infinity))
  // A launcher that stops the tasks of a failed one signals their supervisors too.
  const failedFirst = failed.some((one) => !one.recovered && one.at < signalAt && !isToldToGo(one))
  if ((signalAt < Infinity && !failedFirst) || allToldToGo(ends)) return 'killed'
  if (failed.some((failure) => !failure.recovered)) return 'failed'
  // A command that failed before any rank could log is a failed run; after a restart it would have exited
  // with 0.
  const badly = now.some((event) => event.type === 'command-exit' && isFailure(event))
  if (failed.length === 0 && badly) return 'failed'
  const ended = seen.some(({ event }) => event.type === 'command-exit')
  const { last } = ends
  if (last.length === 0) return ended ? 'finished' : 'lost'
  const well = last.filter((member) => ends.well(member)).length
  if (well === 0 && !ended) return 'lost'
  return well < Math.max(worldSize, last.length) ? 'partial' : 'finished'
}

/** The signal that it left by may have been seen later at its supervisor, on a busy machine. */
const isToldToGo = ({ signal, error }: Pick<Failure, 'signal' | 'error'>): boolean =>
  isTellingSignal(signal) || error?.type === 'KeyboardInterrupt'

const isTellingSignal = (signal: string | null): boolean =>
  signal !== null && ['SIGTERM', 'SIGINT', 'SIGHUP'].includes(signal)

/** Somebody stopped the whole job past its supervisor, as scancel does: each rank left by such a signal. */
function allToldToGo(ends: Ends): boolean {
  return ends.last.length >= Math.max(1, ends.facts.worldSize) && ends.last.every((member) =>
    isTellingSignal(ends.left(member)?.signal ?? null))
}

interface Placed {
  failure: Failure
  /** The best that is known of the moment, in a clock of its node. */
  moment: number
}

/** In time order; a worker that died before it could log is known from its supervisor alone. */
function failures(ends: Ends): Failure[] {
  const list: Placed[] = []
  for (const member of ends.facts.members) {
    if (member.state === 'conflict') continue
    const left = ends.left(member)
    if (left === null || left.stopped || !isLoss(left, ends.vanished(member, left))) continue
    const { rank, host, pid, lastStep, lastTime } = member
    const { exit, signal, cause, error, log, at, exact } = left
    list.push({ moment: exact ? at : lastTime ?? at, failure: {
      rank, host, pid, exit, signal, cause, ...(error === undefined ? {} : { error }),
      ...(log === undefined ? {} : { log }), lastStep, at, recovered: ends.recovered(member),
    } })
  }
  for (const { host, at, event } of ends.strays()) {
    const { rank, pid, exit, signal, stopped } = event
    if (stopped || !isFailure(event)) continue
    list.push({ moment: at, failure: {
      rank, host, pid, exit, signal, cause: 'parent', lastStep: null, at, recovered: false,
    } })
  }
  return inOrder(list)
}

/**
 * Deaths are seen in rounds, and a launcher stops the others of a failed rank within a second. Among those
 * that were seen together, who was stopped comes last, then the last sign of life decides.
 */
function inOrder(list: Placed[]): Failure[] {
  list.sort((a, b) => a.failure.at - b.failure.at)
  const groups: Placed[][] = []
  for (const one of list) {
    const group = groups.at(-1)
    const before = group?.at(-1)?.failure.at ?? -Infinity
    if (one.failure.at - before <= FAILURES_TOGETHER_MS) group!.push(one)
    else groups.push([one])
  }
  const told = ({ failure }: Placed): number => Number(failure.signal === 'SIGTERM')
  return groups.flatMap((group) => group.sort((a, b) =>
    told(a) - told(b) || a.moment - b.moment || a.failure.at - b.failure.at
    || a.failure.rank - b.failure.rank)).map(({ failure }) => failure)
}

type WorkerExit = Extract<SupervisorEvent, { type: 'worker-exit' }>
type SeenExit = Seen & { event: WorkerExit }

interface Left extends Omit<Departure, 'cause'> {
  cause: string
  at: number
  /** We sent the signal. */
  stopped: boolean
  /** `at` is the moment itself, not that of a look. */
  exact: boolean
}

const isFailure = (left: { exit: number | null; signal: string | null; error?: unknown }): boolean =>
  (left.exit !== null && left.exit !== 0) || left.signal !== null || left.error !== undefined

const isLoss = (left: Left, vanished: boolean): boolean =>
  isFailure(left) || vanished || left.cause === 'node-lost'

/** Who saw it leave, or it says so itself. */
const isSeen = ({ cause }: Departure): boolean => !['unknown', 'end-record', 'node-lost'].includes(cause)

/** The members with what is known of their exits, looked up once. */
class Ends {
  readonly facts: EndFacts
  /** The newest life of each rank; ranks beyond the world are of one that was larger. */
  readonly last: readonly MemberEnd[]
  private readonly byPid = new Map<string, SeenExit>()
  /** Exits of no member's process, by host and rank: COMMAND is a script around the trainer. */
  private readonly byRank = new Map<string, SeenExit[]>()
  private readonly lives = new Map<number, MemberEnd[]>()
  private readonly known = new Map<MemberEnd, Left | null>()

  constructor(facts: EndFacts) {
    this.facts = facts
    const { members, seen, worldSize } = facts
    const pids = new Set(members.map(({ host, pid }) => `${host} ${pid}`))
    for (const one of seen) {
      if (!isExit(one)) continue
      const { host, event: { pid, rank } } = one
      if (pids.has(`${host} ${pid}`)) this.byPid.set(`${host} ${pid}`, one)
      else push(this.byRank, `${host} ${rank}`, one)
    }
    for (const member of members) if (member.state !== 'conflict') push(this.lives, member.rank, member)
    for (const lives of this.lives.values()) lives.sort((a, b) => a.attempt - b.attempt)
    this.last = [...this.lives.values()].map((lives) => lives.at(-1)!)
      .filter(({ rank }) => rank < Math.max(1, worldSize))
  }

  left(member: MemberEnd): Left | null {
    if (!this.known.has(member)) this.known.set(member, this.leaving(member))
    return this.known.get(member)!
  }

  well(member: MemberEnd): boolean {
    const left = this.left(member)
    return left !== null && left.exit === 0 && !isFailure(left)
  }

  /**
   * Gone without a word, and nobody saw how, in a job that failed by itself: it died before its agent had
   * looked once.
   */
  vanished(member: MemberEnd, { cause }: Left): boolean {
    if (cause !== 'unknown' || member.endRecord !== null) return false
    const { seen } = this.facts
    return !seen.some(({ event }) => event.type === 'signal')
      && seen.some(({ event }) => event.type === 'command-exit' && isFailure(event))
  }

  /** A later life of the rank ended well, or the world shrank and all that is left of it did. */
  recovered(member: MemberEnd): boolean {
    if (member.rank >= Math.max(1, this.facts.worldSize)) {
      return this.last.length > 0 && this.last.every((other) => this.well(other))
    }
    const lives = this.lives.get(member.rank) ?? []
    return lives.some((other) => other.attempt > member.attempt && this.well(other))
  }

  /** Exits of workers that no member stands for. */
  strays(): SeenExit[] {
    return [...this.byRank].flatMap(([where, exits]) => {
      const taken = exits.length === 1 && this.lives.get(exits[0]!.event.rank)
        ?.some((member) => `${member.host} ${member.rank}` === where)
      return taken ? [] : exits
    })
  }

  /** Its exit as its parent saw it: that of its own process, else the only one of its rank on its host. */
  private parent(member: MemberEnd): SeenExit | null {
    const own = this.byPid.get(`${member.host} ${member.pid}`)
    if (own !== undefined) return own
    const others = this.byRank.get(`${member.host} ${member.rank}`) ?? []
    return others.length === 1 && this.lives.get(member.rank)?.at(-1) === member ? others[0]! : null
  }

  /**
   * The first that knows: end record, parent, pidfd, torchelastic's error file (DESIGN 8). An `end()` long
   * before the exit knows no status (null), so the parent is asked then. Null: not gone yet.
   */
  private leaving(member: MemberEnd): Left | null {
    const parent = this.parent(member)
    const told = parent?.event ?? null
    const exact = told?.pid === member.pid
    const { departure, endRecord: record } = member
    const { error, log } = departure ?? {}
    const base = {
      at: exact ? parent!.at : member.endedAt ?? parent?.at ?? 0, exact, stopped: told?.stopped ?? false,
      ...(error === undefined ? {} : { error }), ...(log === undefined ? {} : { log }),
    }
    if (record !== null && (record.exit !== null || record.error !== undefined)) {
      const own = record.error === undefined ? {} : { error: record.error }
      return { ...base, exit: record.exit, signal: null, cause: 'end-record', ...own }
    }
    const parental = told && { ...base, exit: told.exit, signal: told.signal, cause: 'parent' }
    if (exact) return parental
    if (departure !== null && isSeen(departure)) return { ...base, ...departure }
    if (parental !== null) return parental
    if (record !== null) return { ...base, exit: 0, signal: null, cause: 'end-record' }
    const cause = departure?.cause === 'node-lost' ? 'node-lost' : 'unknown'
    return member.state === 'live' ? null : { ...base, exit: null, signal: null, cause }
  }
}

const isExit = (one: Seen): one is SeenExit => one.event.type === 'worker-exit'

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
