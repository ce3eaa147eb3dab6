/**
 * Health of a run from the stream itself (DESIGN 7): stragglers, a hang, the first NaN, missing ranks. Pure.
 *
 * In: the batches of accepted members in ledger order; the time as an argument. Out: `health` of the status.
 * Invariants: what entries tell (paces, first NaN) is the same live and on replay, and the first NaN does not
 * depend on the order of arrival; time and beats only bear on hang and missing. A batch costs its values one
 * comparison each, and at most PACE_STEPS records per layout beside that.
 * It decides nothing: no seal, no end depends on it.
 */
import {
  HANG_AFTER_MS, HANG_ALL_AFTER_MS, HANG_FACTOR, HEIR_AFTER_MS, LATE_MS_MIN, LOCKSTEP_MIN, PACE_MIN,
  PACE_STEPS, STRAGGLER_BEHIND_MS, STRAGGLER_RATIO,
} from '../limits.ts'
import { jsonNumber, Kind } from '../record/index.ts'
import type { HealthStatus, OddValue, Straggler } from '../record/run-status.ts'
import type { Members } from './core-members.ts'
import { shapeOf } from './core-merge.ts'
import { isOlder, type Member, type Metric } from './core-model.ts'
import { lower, Pace } from './core-pace.ts'
import { rankText } from './core-params.ts'
import { jsonOf } from './core-payload.ts'
import type { Batch } from './core-types.ts'

type Group = Batch['groups'][number]

/** A value that is not finite, and what orders it among others of its metric. */
interface Odd {
  member: Member
  step: number
  seq: number
  value: number
}

/** A rank with a pace, as it stands now. Times are in the aggregator's clock. */
interface Runner {
  rank: number
  member: Member
  pace: Pace
  offset: number
  /** Usual time of one step, and between two records, ms. */
  stepMs: number
  pauseMs: number
}

export interface HealthFacts {
  members: Members
  now: number
  /** When this aggregator began to listen; no silence that it could not hear counts. */
  woke: number
  joinTimeoutMs: number
  /** The session is draining or ended: nobody joins any more. */
  over: boolean
}

export class Health {
  private readonly odd = new Map<Metric, Odd>()

  /** Records with a seq ≥ `from`. */
  take(member: Member, batch: Batch, from: number): void {
    const pace = member.pace ??= new Pace()
    let first = from
    for (const { kind, seq, body } of batch.payloads) {
      if (kind !== Kind.resume || seq < from) continue
      const { step } = jsonOf(body)
      if (typeof step !== 'number') continue
      pace.rewind(step)
      first = seq
    }
    for (const group of batch.groups) {
      const { count, seqs, steps, times } = group
      if (count > 0 && seqs[0]! >= first) pace.begin(steps[0]!)
      for (let i = Math.max(0, count - PACE_STEPS); i < count; i++) {
        if (seqs[i]! >= first) pace.reached(steps[i]!, times[i]!)
      }
      const shape = shapeOf(member, batch, group)
      if (shape !== null) this.scan(member, shape.metrics, group)
    }
  }

  view(facts: HealthFacts): HealthStatus {
    const runners = runnersOf(facts.members)
    return {
      lag: lagOf(facts), stragglers: stragglersOf(runners), hang: hangOf(runners, facts),
      firstNaN: [...this.odd].map(([metric, { member, step, value }]) => (
        { metric: metric.name, rank: member.origin.rank, step, kind: jsonNumber(value) as OddValue['kind'] }))
        .sort((a, b) => a.step - b.step || (a.metric < b.metric ? -1 : 1)),
      missing: missingOf(facts),
    }
  }

  private scan(member: Member, metrics: readonly Metric[], { count, values, steps, seqs }: Group): void {
    for (let at = 0; at < values.length; at++) {
      const value = values[at]!
      if (value - value === 0) continue
      const [metric, i] = [metrics[Math.floor(at / count)]!, at % count]
      const found = { member, step: steps[i]!, seq: seqs[i]!, value }
      const known = this.odd.get(metric)
      if (known === undefined || isBefore(found, known)) this.odd.set(metric, found)
    }
  }
}

/** By step, then rank, then life: whatever the order of arrival. */
function isBefore(a: Odd, b: Odd): boolean {
  if (a.step !== b.step) return a.step < b.step
  if (a.member === b.member) return a.seq < b.seq
  const ranks = a.member.origin.rank - b.member.origin.rank
  return ranks < 0 || (ranks === 0 && isOlder(a.member, b.member))
}

/** Live ranks that logged enough steps to be judged. */
function runnersOf(members: Members): Runner[] {
  const runners: Runner[] = []
  for (const { rank, current } of members.ranksInOrder()) {
    if (current === null || current.pace === null || !current.pace.known) continue
    const { stepMs, pauseMs } = current.pace.usual()
    runners.push({ rank, member: current, pace: current.pace, offset: offsetOf(current), stepMs, pauseMs })
  }
  return runners
}

/**
 * Two signs. Without synchronisation a slow rank falls behind: its steps take longer than those of the
 * others. With it (DDP) all steps take the same time, as everybody waits for the slowest; it shows by logging
 * each step later than the others, by a part of the step. That means something only in lockstep: ranks that
 * run freely differ by when they began.
 */
function stragglersOf(runners: readonly Runner[]): Straggler[] {
  if (runners.length < 2) return []
  const usual = lower(runners.map(({ stepMs }) => stepMs))
  const front = upper(runners.map(({ pace }) => pace.top))
  const lates = inLockstep(runners) ? latenessOf(runners) : null
  const found: Straggler[] = []
  runners.forEach(({ rank, stepMs, pace }, i) => {
    const ratio = stepMs / usual
    const behindMs = (front - pace.top) * stepMs
    const lateMs = lates?.[i] ?? 0
    if (ratio > STRAGGLER_RATIO && behindMs >= STRAGGLER_BEHIND_MS) {
      found.push({ rank, ratio: round(ratio, 2), stepMs: round(stepMs, 1) })
    } else if (lateMs >= LATE_MS_MIN && lateMs < usual && usual / (usual - lateMs) > STRAGGLER_RATIO) {
      found.push({ rank, ratio: round(usual / (usual - lateMs), 2), lateMs: round(lateMs, 1) })
    }
  })
  return found.sort((a, b) => b.ratio - a.ratio || a.rank - b.rank)
}

/** For long enough, and still no rank is ahead. */
function inLockstep(runners: readonly Runner[]): boolean {
  const tops = runners.map(({ pace }) => pace.top)
  const together = Math.max(...tops) - Math.min(...tops) <= 2
  return together && runners.every(({ pace }) => pace.length >= LOCKSTEP_MIN)
}

/** Per runner: by how much it usually logs a step after the others, 0 where that cannot be told. */
function latenessOf(runners: readonly Runner[]): number[] {
  const lates: number[][] = runners.map(() => [])
  const typical = [...runners].sort((a, b) => a.pace.top - b.pace.top)[(runners.length - 1) >> 1]!
  for (const step of typical.pace.newest()) {
    const times = Float64Array.from(runners, ({ pace, offset }) => pace.timeOf(step) + offset)
    // NaN, of those that have not logged it, sorts last.
    const sorted = times.slice().sort()
    let there = sorted.length
    while (there > 0 && Number.isNaN(sorted[there - 1])) there--
    if (2 * there < runners.length || there < 2) continue
    const middle = sorted[(there - 1) >> 1]!
    times.forEach((time, i) => {
      if (time === time) lates[i]!.push(time - middle)
    })
  }
  return lates.map((list) => (2 * list.length < PACE_MIN ? 0 : lower(list)))
}

/**
 * A rank has stopped when it was silent for many times its usual pause. Under synchronous training the others
 * stop with it: then those are meant that lack a step which others have. All of them at one step may as well
 * be an evaluation, so that takes longer to tell.
 */
function hangOf(runners: readonly Runner[], { now, woke }: HealthFacts): HealthStatus['hang'] {
  const heard = runners.filter(({ member }) => member.soft === null || now - member.soft.at < HEIR_AFTER_MS)
  const silence = ({ member, offset }: Runner): number => now - Math.max(member.lastTime! + offset, woke)
  const stopped = heard.filter((runner) =>
    silence(runner) > Math.max(HANG_AFTER_MS, HANG_FACTOR * runner.pauseMs) && !isOnItsWay(runner.member))
  if (stopped.length === 0) return null
  const top = Math.max(...heard.map(({ pace }) => pace.top))
  let ranks = stopped
  if (stopped.length === heard.length) {
    const behind = stopped.filter(({ pace }) => pace.top < top)
    if (behind.length > 0) ranks = behind
    else if (Math.max(...stopped.map(silence)) < HANG_ALL_AFTER_MS) return null
  }
  return {
    ranks: rankText(ranks.map(({ rank }) => rank)), sinceStep: Math.min(...ranks.map(({ pace }) => pace.top)),
    forMs: Math.round(Math.max(...ranks.map(silence))), others: ranks.length === heard.length ? null : top,
  }
}

/** Its agent knows of more than has come. */
const isOnItsWay = ({ soft, admitted }: Member): boolean =>
  soft !== null && soft.logged - soft.lost > admitted

/** Ranks that never came, and live ones of whose agent nothing was heard for as long. */
function missingOf({ members, now, woke, joinTimeoutMs, over }: HealthFacts): string | null {
  const missing: number[] = []
  const waited = over || now - Math.max(members.firstJoinAt, woke) >= joinTimeoutMs
  for (let rank = 0; rank < members.worldSize(); rank++) {
    const known = members.ranks.get(rank)
    if (known === undefined) {
      if (waited) missing.push(rank)
      continue
    }
    const { current } = known
    if (current === null) continue
    const since = Math.max(current.soft?.at ?? current.joinedAt, woke)
    if (now - since >= joinTimeoutMs) missing.push(rank)
  }
  return missing.length === 0 ? null : rankText(missing)
}

function lagOf({ members, now }: HealthFacts): HealthStatus['lag'] {
  let lag: HealthStatus['lag'] = null
  for (const { rank, current } of members.ranksInOrder()) {
    if (current === null || current.lastTime === null) continue
    const ms = Math.max(0, Math.round(now - current.lastTime - offsetOf(current)))
    if (lag === null || ms > lag.ms) lag = { rank, ms }
  }
  return lag
}

/** Aggregator's clock minus the node's. */
const offsetOf = ({ started, origin }: Member): number => started - origin.startedAt

function upper(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[sorted.length >> 1]!
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits))
