/**
 * Room session, its core: the states of the one open experiment and when it may close. Pure; time is an
 * argument.
 *
 * In: facts about members and supervisors. Out: the next state.
 * Invariants: `ended` is reached once and is final; nothing is admitted after `draining` began that was not
 * known before.
 * It does not talk to backends (session/index.ts) and does not decide how the run ended (core-status.ts).
 */
import { JOIN_TIMEOUT_MS, NODE_LOST_MS, RUN_LINGER_MS } from '../limits.ts'
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
  joinedRanks: number
  firstJoinAt: number | null
  /** Last time that an instance joined or ended, or a record came. */
  lastChangeAt: number
  supervisors: number
  /** How many of them this job has, as far as they know. */
  supervisorsExpected: number
  /** Each supervisor has said how its COMMAND ended; one that was killed has not, and its ranks go on. */
  commandsOver: boolean
  /** The run was started by a supervisor, which may not have joined yet. */
  supervised: boolean
  /** Ranks may be on other nodes, which a supervisor of this one knows nothing about. */
  wide: boolean
  /** `sync` serves the run: who has not come by now has nobody to bring him. */
  closing?: boolean
  /** Last time that an agent announced somebody; -Infinity: none has yet. */
  helloAt?: number
}

/** Every owner is gone. True when nothing more can come: whoever was still to come had his time. */
export function mayDrain(facts: DrainFacts): boolean {
  const { now } = facts
  const { helloAt = facts.openedAt } = facts
  if (now - Math.max(facts.lastChangeAt, helloAt) < RUN_LINGER_MS) return false
  // The agent that brings what is left comes after us.
  if (facts.closing === true && helloAt === -Infinity && now - facts.openedAt < NODE_LOST_MS) return false
  const waited = now - (facts.firstJoinAt ?? facts.openedAt)
  const patience = facts.closing ? NODE_LOST_MS : JOIN_TIMEOUT_MS
  // Tasks of one job come one after the other; a short one may be done before the last has come.
  const orphans = !facts.commandsOver && facts.closing !== true
    && (facts.joinedRanks === 0 || facts.joinedRanks < facts.worldSize)
  const whole = !orphans && (!facts.wide || facts.joinedRanks >= facts.worldSize)
  if (facts.supervisors >= facts.supervisorsExpected && whole) return true
  if (facts.supervisors > 0) return waited >= patience
  if (facts.supervised || facts.firstJoinAt === null) return waited >= patience
  return facts.joinedRanks >= facts.worldSize || waited >= patience
}
