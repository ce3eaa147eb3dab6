import type { RunEvent } from '../record/run-event.ts'

/** The `event` notes of a ledger, and where among them the present life of the run begins. Pure. */
export class Told {
  readonly events: RunEvent[] = []
  /** So many came before this life, which began then (ms since the epoch; the first one: always). */
  before = 0
  began = -Infinity
  private over = false

  event(event: RunEvent): void {
    this.events.push(event)
  }

  /** Of a `session` note, which it returns. */
  session<Body extends Record<string, unknown>>(body: Body): Body {
    this.over ||= body['state'] === 'ended'
    return body
  }

  /** An aggregator that comes too late serves a run that is over; only who logs again gives it a new life. */
  joined(role: string, at: number): void {
    if (role !== 'worker' || !this.over) return
    this.over = false
    this.before = this.events.length
    this.began = at
  }
}
