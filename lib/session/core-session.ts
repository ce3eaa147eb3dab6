/**
 * Room session, its core: the states of the one open experiment and when it may close. Pure; time is an
 * argument.
 *
 * In: facts about members and supervisors. Out: the next state.
 * Invariants: `ended` is reached once and is final; nothing is admitted after `draining` began that was not
 * known before.
 * It does not talk to backends (session/index.ts) and does not decide how the run ended (core-status.ts).
 */
import { JOIN_TIMEOUT_MS, RUN_LINGER_MS } from '../limits.ts'
import { RankzeroError } from '../errors.ts'

export type SessionState = 'closed' | 'acquiring' | 'live' | 'draining' | 'ended' | 'refused'

/** refused: the key is another run's; the data stays local, so the run drains and ends as any other. */
const NEXT: Record<SessionState, readonly SessionState[]> = {
  closed: ['acquiring'],
  acquiring: ['live', 'refused', 'closed'],
  live: ['draining', 'refused', 'acquiring'],
  refused: ['draining', 'acquiring'],
  draining: ['ended', 'acquiring'],
  ended: ['acquiring'],
}

export function checkTransition(from: SessionState, to: SessionState): void {
  if (NEXT[from].includes(to)) return
  throw new RankzeroError(
    'INTERNAL',
    `session cannot go from ${from} to ${to}`,
    'report this with the run directory',
  )
}

export interface DrainFacts {
  now: number
  /** When this aggregator opened the session. */
  openedAt: number
  worldSize: number
  /** Worker instances that are not known to be gone. */
  liveWorkers: number
  joinedRanks: number
  firstJoinAt: number | null
  /** Last time that an instance joined or ended, or a record came. */
  lastChangeAt: number
  supervisors: number
  /** How many of them this job has, as far as they know. */
  supervisorsExpected: number
  liveSupervisors: number
  /** The run was started by a supervisor, which may not have joined yet. */
  supervised: boolean
  /** Ranks may be on other nodes, which a supervisor of this one knows nothing about. */
  wide: boolean
}

/** True when nothing more can come: every owner is gone, and whoever was still to come had his time. */
export function mayDrain(facts: DrainFacts): boolean {
  const { now } = facts
  if (facts.liveWorkers > 0 || facts.liveSupervisors > 0) return false
  if (now - facts.lastChangeAt < RUN_LINGER_MS) return false
  const waited = now - (facts.firstJoinAt ?? facts.openedAt)
  // Tasks of one job come one after the other; a short one may be done before the last has come.
  const whole = !facts.wide || facts.joinedRanks >= facts.worldSize
  if (facts.supervisors >= facts.supervisorsExpected && whole) return true
  if (facts.supervisors > 0) return waited >= JOIN_TIMEOUT_MS
  if (facts.supervised || facts.firstJoinAt === null) return waited >= JOIN_TIMEOUT_MS
  return facts.joinedRanks >= facts.worldSize || waited >= JOIN_TIMEOUT_MS
}
