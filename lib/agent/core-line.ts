/**
 * Agent, core of one line: go-back-N for one instance on one connection after another.
 *
 * In: what was opened, sent and acknowledged. Out: whether that was progress and whether to send again from
 * acked + 1.
 * Invariants: what is in flight is gapless and ends at cursor - 1; END is out only when nothing is left to
 * send.
 * It does not know connections, credits or other instances (core-uplink.ts).
 */
import { REWIND_PAUSE_MS } from '../limits.ts'
import type { InstanceId } from '../record/index.ts'

/**
 * new: not announced on this connection; greeted: announced, no answer yet; open: may send; refused: must
 * not.
 */
export type LineState = 'new' | 'greeted' | 'open' | 'refused'

export interface Unit { first: number; last: number; bytes: number }

export class Line {
  readonly instance: InstanceId
  readonly rank: number
  readonly startedAt: number
  state: LineState = 'new'
  /** The ledger that acknowledged `acked`. */
  ledger: string | null = null
  acked = 0
  /** Next seq to send. */
  cursor = 1
  /** Unacknowledged bytes. */
  bytes = 0
  /** Its owner is gone. */
  dead: boolean
  /** The last record there will ever be, once that is known. */
  last: number | null = null
  #flight: Unit[] = []
  #endSent = false
  /** When what is waited for was asked for, or the last progress. */
  #since = 0
  #rewoundAt = -Infinity

  constructor(instance: InstanceId, rank: number, startedAt: number, dead: boolean) {
    this.instance = instance
    this.rank = rank
    this.startedAt = startedAt
    this.dead = dead
  }

  /** How long an answer has been due, 0 when none is. */
  waited(now: number): number {
    const waits = this.state === 'greeted' || this.#flight.length > 0 || this.#endSent
    return waits ? now - this.#since : 0
  }

  get endDue(): boolean {
    return this.state === 'open' && this.last !== null && this.cursor > this.last && !this.#endSent
  }

  greet(now: number): void {
    this.state = 'greeted'
    this.#since = now
  }

  open(ledger: string, acked: number): void {
    this.state = 'open'
    this.ledger = ledger
    this.acked = acked
    this.cursor = acked + 1
  }

  /** The connection is gone and all that was in flight with it. */
  reset(): void {
    this.state = 'new'
    this.#forget()
  }

  sent(unit: Unit, now: number): void {
    if (this.#flight.length === 0) this.#since = now
    this.#flight.push(unit)
    this.cursor = unit.last + 1
    this.bytes += unit.bytes
  }

  sentEnd(now: number): void {
    if (this.#flight.length === 0) this.#since = now
    this.#endSent = true
  }

  /**
   * Takes a cumulative ack. `rewound`: the cursor went to acked + 1 and what was in flight must be sent
   * again.
   */
  ack(seq: number, now: number): { progress: boolean; rewound: boolean } {
    const progress = seq > this.acked
    if (progress) {
      this.acked = seq
      this.#since = now
    }
    let done = 0
    while (done < this.#flight.length && this.#flight[done]!.last <= this.acked) done++
    for (const unit of this.#flight.splice(0, done)) this.bytes -= unit.bytes
    const front = this.#flight[0]
    // The head took other units than these (from an earlier connection): what is in flight overlaps them and
    // is refused.
    const overlaps = front === undefined ? this.acked >= this.cursor : front.first <= this.acked
    // A repeated ack asks for what follows it: something before the flight was lost.
    const asks = !progress && front !== undefined && now - this.#rewoundAt >= REWIND_PAUSE_MS
    if (!overlaps && !asks) return { progress, rewound: false }
    this.#forget()
    this.cursor = this.acked + 1
    this.#rewoundAt = now
    return { progress, rewound: true }
  }

  #forget(): void {
    this.#flight = []
    this.bytes = 0
    this.#endSent = false
  }
}
