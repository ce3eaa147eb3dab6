/**
 * Who takes part: instances, ranks, the lives of a rank, and who of two rivals holds it. Pure.
 *
 * In: `joined`, `conflict`, `heir`, `ended` notes in ledger order; beats as soft state. Out: members;
 * verdicts to append.
 * Invariants: the lives of a rank are in order of start, as far as clocks tell, whatever the order of
 * arrival; that order alone makes no rival; a suspect's points merge or are rejected by a note, never by a
 * guess that a replay could make differently.
 *
 * A process that replaces a dead one often joins before the death of the other is known. So a newcomer to a
 * rank whose other life has not ended is a suspect first: its batches are durable and acknowledged, but held
 * back from the rows until there is proof that both lived at the same time (conflict), or that the older is
 * over (heir).
 */
import { CLOCK_UNKNOWN_MS, HEIR_AFTER_MS, RANK_OVERLAP_MS } from '../limits.ts'
import { isOlder, type Clock, type Member, type Rank } from './core-model.ts'
import type { Origin } from '../record/index.ts'
import type { BeatFacts, NoteDraft, Notes } from './core-types.ts'

export class Members {
  readonly list: Member[] = []
  readonly ranks = new Map<number, Rank>()
  /** Seats of agents' own instances, by host name. */
  private readonly nodes = new Map<string, Rank>()
  firstJoinAt = Infinity
  private readonly byInstance = new Map<string, Member>()
  private ordered: Rank[] | null = null
  private newest: Member | null = null
  /** Per boot of a node: lives that share a clock must share its correction. */
  private readonly clocks = new Map<string, Clock>()
  private host: string | null = null

  get(instance: string): Member | undefined {
    return this.byInstance.get(instance)
  }

  /** Of those whom a run waits for; who was last heard of before `silentBefore` does not count. */
  someoneLives(silentBefore = -Infinity): boolean {
    return this.list.some(({ origin, ended, soft, joinedAt }) => origin.role !== 'agent' && ended === null
      && Math.max(soft?.at ?? 0, joinedAt) >= silentBefore)
  }

  /** What workers asked for in init(). */
  opens(): Record<string, unknown>[] {
    return this.list.filter(({ origin }) => origin.role === 'worker').map(({ open }) => open)
      .filter((open) => open !== null)
  }

  /** The aggregator's host: what is known by the clock of another cannot be bettered by that of this one. */
  servedBy(host: string): void {
    this.host = host
  }

  /** null when it is known already: two HELLOs may share a commit. */
  join(body: Notes['joined'], at: number): Member | null {
    const { origin } = body
    if (this.byInstance.has(origin.instance)) return null
    const rank = origin.role === 'worker' ? this.rank(origin.rank) : null
    const seat = origin.role === 'agent' ? this.node(origin) : rank
    const member = newMember(this.list.length, body, at, this.clock(body), rank, seat)
    member.clock.members.push(member)
    this.list.push(member)
    this.byInstance.set(member.instance, member)
    if (rank === null) {
      if (seat !== null) insert(seat, member)
      return member
    }
    this.firstJoinAt = Math.min(this.firstJoinAt, at)
    if (this.newest === null || isOlder(this.newest, member)) this.newest = member
    enter(rank, member)
    return member
  }

  heard(facts: BeatFacts, now: number, sentAt: number): void {
    const member = this.byInstance.get(facts.instance)
    if (member === undefined) return
    const { alive, logged, lost, backlog } = facts
    const told = Math.min(now, sentAt + member.clock.offset)
    member.soft = { alive, logged, lost, backlog, at: now, sentAt: told }
  }

  /** In order of rank. */
  ranksInOrder(): readonly Rank[] {
    this.ordered ??= [...this.ranks.values()].sort((a, b) => a.rank - b.rank)
    return this.ordered
  }

  /** Whose points an export has: ranks in order, then nodes by their lowest rank. */
  seats(): readonly Rank[] {
    const nodes = [...this.nodes].sort(([a, one], [b, other]) => one.rank - other.rank || (a < b ? -1 : 1))
    return [...this.ranksInOrder(), ...nodes.map(([, node]) => node)]
  }

  /** That of the newest life: an elastic job may have grown or shrunk. */
  worldSize(): number {
    return this.newest?.origin.worldSize ?? 0
  }

  /**
   * Verdicts that are due; `final`: no more waiting, who is not proved a rival is an heir. `woke`: see State.
   */
  verdicts(now: number, woke: number, final: boolean): NoteDraft[] {
    const notes: NoteDraft[] = []
    for (const rank of this.ranks.values()) {
      if (rank.lives.length < 2) continue
      const accepted = rank.lives.filter(isAccepted)
      for (const suspect of rank.lives) {
        if (suspect.state !== 'suspect') continue
        const rival = accepted.find((other) => overlap(suspect, other))
        if (rival !== undefined) {
          const body = { instance: suspect.instance, holder: rival.instance }
          notes.push({ type: 'note', at: now, kind: 'conflict', body })
          continue
        }
        const since = Math.max(suspect.joinedAt, woke)
        if (!final && !accepted.every((other) => gaveWay(suspect, other, since, now))) break
        accepted.push(suspect)
        const after = accepted[0]!.instance
        notes.push({ type: 'note', at: now, kind: 'heir', body: { instance: suspect.instance, after } })
      }
    }
    return notes
  }

  private rank(number: number): Rank {
    const known = this.ranks.get(number)
    if (known !== undefined) return known
    const rank = newRank(number, this.ranks.size)
    this.ranks.set(number, rank)
    this.ordered = null
    return rank
  }

  /** That of the first HELLO of its boot, or of a later one that knows it better. */
  private clock({ origin: { bootId }, offset, blur = 0 }: Notes['joined']): Clock {
    const known = this.clocks.get(bootId) ?? { offset, blur, host: this.host, members: [] }
    this.clocks.set(bootId, known)
    if (known.host === this.host && blur < known.blur && keepsOrder(known, offset)) known.blur = blur
    return known
  }

  private node({ node, rank }: Origin): Rank {
    const known = this.nodes.get(node) ?? newRank(rank, this.nodes.size)
    this.nodes.set(node, known)
    return known
  }
}

const newRank = (rank: number, index: number): Rank =>
  ({ rank, index, lives: [], current: null, slots: new Map() })

export const attemptOf = (member: Member): number => (member.seat?.lives.indexOf(member) ?? 0) + 1

/** Its points are in the rows. */
export const isAccepted = (member: Member): boolean => member.state === 'live' || member.state === 'ended'

/** After any change of a life's state: who is waited for, and where he stands. */
export function renewCurrent(rank: Rank): void {
  const current = rank.lives.findLast((life) => life.state === 'live') ?? null
  if (current === rank.current) return
  rank.current = current
  for (const [shape, slot] of rank.slots) shape.tracks[slot] = current?.tracks.get(shape) ?? null
}

/** It was taken for lost, and is not: its own end comes after all. */
export function revive(member: Member): void {
  member.ended = null
  if (member.state !== 'ended') return
  member.state = 'live'
  if (member.rank !== null) renewCurrent(member.rank)
}

function insert(rank: Rank, member: Member): void {
  const place = rank.lives.findIndex((life) => isOlder(member, life))
  rank.lives.splice(place === -1 ? rank.lives.length : place, 0, member)
}

function enter(rank: Rank, member: Member): void {
  const others = rank.lives.filter((life) => life.state !== 'rank-conflict')
  insert(rank, member)
  const open = others.filter((life) => life.ended === null || life.state === 'suspect')
  if (open.length === 0) {
    // By the ledger alone: what beats tell is not there when this is read again.
    if (others.some((life) => recordsOverlap(member, life))) member.state = 'suspect'
  } else if (open.every((life) => isOlder(member, life) && life.acked < life.first)) {
    // Found in the same scan: none has logged yet, so the one that started first holds the rank.
    for (const life of open) life.state = 'suspect'
  } else {
    member.state = 'suspect'
  }
  renewCurrent(rank)
}

const inOrder = (a: Member, b: Member): [Member, Member] => (isOlder(a, b) ? [a, b] : [b, a])

/** Gives the lives of this boot another offset, unless the lives of a rank would change places. */
function keepsOrder(clock: Clock, offset: number): boolean {
  const set = (to: number): void => {
    clock.offset = to
    for (const member of clock.members) member.started = member.origin.startedAt + to
  }
  const before = clock.offset
  set(offset)
  const kept = clock.members.every(({ seat }) =>
    seat === null || seat.lives.every((life, i) => i === 0 || isOlder(seat.lives[i - 1]!, life)))
  if (!kept) set(before)
  return kept
}

/** How far (ms) two times of these two may be from the order in which they are told. */
function blurOf({ clock: a }: Member, { clock: b }: Member): number {
  if (a === b) return 0
  // Nobody has compared the clocks of two heads.
  return a.host === b.host ? a.blur + b.blur : CLOCK_UNKNOWN_MS
}

/**
 * Proof that each was alive when the other was: by its records, exact on one node … Of two nodes, the one
 * that is told to be the older may be the younger, by `blurOf`.
 */
function recordsOverlap(a: Member, b: Member): boolean {
  const [first, second] = inOrder(a, b)
  const blur = blurOf(first, second)
  const least = second.started + blur + (first.clock === second.clock ? 0 : RANK_OVERLAP_MS)
  return lastSign(first) > least && lastSign(second) >= first.started + blur
}

/** … or by its agent's beats. */
function overlap(a: Member, b: Member): boolean {
  if (recordsOverlap(a, b)) return true
  const [first, second] = inOrder(a, b)
  const blur = blurOf(first, second)
  return lastBeat(first) > second.started + blur + RANK_OVERLAP_MS
    && Math.max(lastSign(second), lastBeat(second)) >= first.started + blur
}

/** Time of the last thing it did, in the aggregator's clock. */
function lastSign({ started, origin: { startedAt }, lastTime }: Member): number {
  return Math.max(lastTime ?? startedAt, startedAt) + (started - startedAt)
}

const lastBeat = ({ soft }: Member): number => (soft?.alive === true ? soft.sentAt : -Infinity)

/** The older of the two is over; or the other, where clocks do not tell which is the older. */
function gaveWay(suspect: Member, other: Member, since: number, now: number): boolean {
  const [first, second] = inOrder(suspect, other)
  if (isOver(first, since, now)) return true
  return second.started - first.started < blurOf(first, second) && isOver(second, since, now)
}

/** Ended, seen dead, or not heard of for long: a silent node must not hold up its successor. */
function isOver(member: Member, since: number, now: number): boolean {
  if (member.ended !== null || member.soft?.alive === false) return true
  return now - Math.max(member.soft?.at ?? -Infinity, since) >= HEIR_AFTER_MS
}

function newMember(
  index: number, body: Notes['joined'], at: number, clock: Clock, rank: Rank | null, seat: Rank | null,
): Member {
  const { origin, first, ledgerBefore } = body
  return {
    index, instance: origin.instance, origin, rank, seat, clock, started: origin.startedAt + clock.offset,
    joinedAt: at, first, ledgerBefore, acked: first - 1, state: 'live', holder: null, ended: null, open: null,
    end: null, layouts: new Map(), tracks: new Map(), held: [], lastStep: null, lastTime: null,
    textLines: 0, badWeights: 0, pace: null, admitted: 0, duplicates: 0, lostInBand: 0, lostSkipped: 0,
    skips: 0, refused: 0, delivered: 0, superseded: 0, rejected: 0, holes: [], soft: null,
  }
}
