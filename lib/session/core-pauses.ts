/** When a backend may be called again, after calls that failed or that it put off. Pure; times are ms. */
import type { Outcome } from '../backend/port.ts'
import {
  OUTBOX_END_SPARE_MS, OUTBOX_RETRY_AFTER_MS_MAX, OUTBOX_RETRY_MS_MAX, OUTBOX_RETRY_MS_MIN,
} from '../limits-outbox.ts'

/** How long (ms) the end of a run may wait for backends, when others wait so long for the end. */
export const outboxEndMs = (exitTimeoutMs: number): number =>
  Math.max(exitTimeoutMs / 2, exitTimeoutMs - OUTBOX_END_SPARE_MS)

export class Pauses {
  private readonly random: () => number
  private failures = 0
  private retryAt = -Infinity
  /** … as the server asked for. */
  private askedUntil = -Infinity
  /** … as the budget wanted, when it was last asked. */
  private budgetUntil = -Infinity

  /** `random`, in [0, 1), spreads retries. */
  constructor(random: () => number) {
    this.random = random
  }

  mayCall(now: number): boolean {
    return now >= this.retryAt
  }

  /** Whether server or budget want it to wait. */
  isAsked(now: number): boolean {
    return now < Math.max(this.askedUntil, this.budgetUntil)
  }

  budget(afterMs: number, now: number): void {
    this.retryAt = this.budgetUntil = now + afterMs
  }

  /** A server that says how long to wait is well: what is refused so is no failure, and nothing builds up. */
  failed(outcome: Extract<Outcome, { is: 'later' | 'unsure' }>, now: number): void {
    const { is, afterMs } = outcome
    const isFailure = afterMs === undefined || is === 'unsure'
    const steps = OUTBOX_RETRY_MS_MIN * 2 ** (isFailure ? Math.min(this.failures++, 30) : 0)
    const pause = Math.max(OUTBOX_RETRY_MS_MIN,
      Math.min(OUTBOX_RETRY_MS_MAX, steps) * (0.5 + this.random() / 2))
    this.askedUntil = now + Math.min(afterMs ?? 0, OUTBOX_RETRY_AFTER_MS_MAX)
    this.retryAt = Math.max(now + pause, this.askedUntil)
  }

  went(): void {
    this.failures = 0
  }

  /** The end of a run has a bound, so our own pauses begin anew; what the server asked for holds. */
  restart(now: number): void {
    this.failures = 0
    this.budgetUntil = -Infinity
    this.retryAt = Math.min(this.retryAt, Math.max(now, this.askedUntil))
  }
}
