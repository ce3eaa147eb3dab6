/** What the answer of a webhook's receiver means for the event. Pure. */
import { WEBHOOK_AGAIN_MS } from '../limits-outbox.ts'
import { isUnsent, isUntrusted } from './core-unsent.ts'
import type { Outcome } from './port.ts'

/**
 * `got`: status, or the code of what failed; `now`: ms since the epoch. What somebody may set right (the
 * secret, the path, a redirect) is tried again; what the receiver says no to for good is set aside.
 */
export function webhookOutcome(got: number | string, retryAfter: string | null, now: number): Outcome {
  if (typeof got === 'string') {
    const remedy = isUntrusted(got)
      ? '; the CA of its certificate is not known here: NODE_EXTRA_CA_CERTS=FILE where rankzero runs' : ''
    const message = `the receiver cannot be reached: ${got}${remedy}`
    return { is: isUnsent(got) ? 'later' : 'unsure', message }
  }
  const message = `the receiver answers with HTTP ${got}`
  if (got >= 200 && got < 300) return { is: 'done' }
  const ms = retryAfter === null ? NaN
    : /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - now
  const asked = ms >= 0 ? { afterMs: ms } : {}
  if (got === 429 || got === 425) return { is: 'later', message, ...asked }
  if ((got >= 300 && got < 400) || [401, 403, 404, 407].includes(got)) {
    return { is: 'later', message, afterMs: WEBHOOK_AGAIN_MS }
  }
  if (got >= 400 && got < 500 && got !== 408) return { is: 'refused', message }
  return { is: 'unsure', message, ...asked }
}
