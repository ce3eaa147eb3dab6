import { AGENT_LINGER_MS, HEAD_PATIENCE_MS } from '../limits.ts'

/** What the agent's end depends on; all times in ms of one clock. */
export interface LeaveFacts {
  now: number
  /** Instances whose END is not durable yet. */
  open: number
  /** Since when there has been none. */
  emptySince: number | null
  /** Since when no owner lives, and nobody new came. */
  orphanedSince: number | null
  /** The head said no to all that is left. */
  refused: boolean
  /** The last time that the head took something in. */
  progressAt: number
  /**
   * When its process, or that of one to be, was last there, connected or not; it may be stopped, or busy.
   * Asked only when it matters.
   */
  headSeenAt: () => number
  /** When TERM came. */
  termAt: number | null
  /** Everything that was written is acknowledged, of dead owners the END too. Asked only when it matters. */
  delivered: () => boolean
  exitTimeoutMs: number
}

/**
 * When the agent goes: 'done' when all is delivered and nobody came for a while; 'left' when what remains
 * must wait on disk, because the head refuses it, or nothing of dead owners moves any more, or TERM's time is
 * up. Pure.
 */
export function mayLeave(facts: LeaveFacts): 'stay' | 'done' | 'left' {
  const { now, open, emptySince, orphanedSince, refused, progressAt, termAt, delivered } = facts
  if (termAt !== null) {
    if (delivered()) return 'done'
    return now - termAt >= facts.exitTimeoutMs ? 'left' : 'stay'
  }
  if (open === 0) return emptySince !== null && now - emptySince >= AGENT_LINGER_MS ? 'done' : 'stay'
  if (orphanedSince === null) return 'stay'
  if (refused) return now - orphanedSince >= AGENT_LINGER_MS ? 'left' : 'stay'
  const waited = now - Math.max(orphanedSince, progressAt)
  if (waited < facts.exitTimeoutMs) return 'stay'
  // After one that died while it was being waited for, the next is given the same time.
  return waited >= HEAD_PATIENCE_MS || now - facts.headSeenAt() >= facts.exitTimeoutMs ? 'left' : 'stay'
}
