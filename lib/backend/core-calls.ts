/**
 * What becomes of the HTTP calls of one backend: counts for `status`, lines for the request log. Pure.
 *
 * In: a call when it is over. Out: counts, the slowest calls, a line. Invariants: a few numbers are kept,
 * however many calls there are; of a path, what stands behind `?` is in neither.
 */
import { CALL_FIELD_CHARS_MAX, SLOWEST_CALLS } from '../limits-outbox.ts'
import type { CallsStatus, SlowCall } from '../record/run-status.ts'

export interface Call extends SlowCall {
  /** Bytes of the bodies, as they were on the wire. */
  sent: number
  received: number
  /** It was the key, or who has it, that was refused. */
  denied: boolean
  /** From 1; of a call that carries the same as the one before, which did not go well, one more. */
  attempt: number
  /** By lower-case name; none without an answer. */
  headers: Readonly<Record<string, string | undefined>>
}

/** How a server, or who is before it, names a request in its own log. */
const IDS = ['x-request-id', 'x-correlation-id', 'x-amzn-trace-id', 'cf-ray', 'traceparent']
const PAUSES = ['retry-after-custom', 'retry-after']

export class Calls {
  readonly #counts = { made: 0, throttled: 0, denied: 0, failed: 0 }
  #slowest: SlowCall[] = []

  add({ at, ms, call, status, denied }: Call): void {
    const counts = this.#counts
    counts.made++
    if (status === 429) counts.throttled++
    else if (denied) counts.denied++
    else if (typeof status === 'string' || status >= 500) counts.failed++
    const least = this.#slowest.at(-1)
    if (least !== undefined && this.#slowest.length === SLOWEST_CALLS && ms <= least.ms) return
    this.#slowest = [...this.#slowest, { at, ms, call, status }].sort((a, b) => b.ms - a.ms)
      .slice(0, SLOWEST_CALLS)
  }

  /** Null: there was none. */
  view(): CallsStatus | null {
    return this.#counts.made === 0 ? null : { ...this.#counts, slowest: this.#slowest }
  }
}

export const pathOf = (path: string): string => path.replace(/\?.*$/s, '')

/** Without a line end. */
export function lineOf({ at, ms, call, status, sent, received, attempt, headers }: Call): string {
  const first = (names: readonly string[]): string | undefined =>
    names.map((name) => headers[name]).find((value) => value)
  const pause = first(PAUSES)
  const id = first(IDS)
  return [
    new Date(at).toISOString(), call, status, `ms=${ms}`, `sent=${sent}`, `received=${received}`,
    `attempt=${attempt}`, ...pause === undefined ? [] : [`retry-after=${field(pause)}`],
    ...id === undefined ? [] : [`id=${field(id)}`],
  ].join(' ')
}

/** What a server says is one word of the line, and no long one. */
const field = (text: string): string => text.replace(/[^\x21-\x7e]+/g, '_').slice(0, CALL_FIELD_CHARS_MAX)
