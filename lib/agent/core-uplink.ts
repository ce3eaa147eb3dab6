/**
 * Agent, core of the uplink: one connection to the head at a time, shared by all instances of this node.
 *
 * In: events (frames from the head, connection lost, facts about local instances, time) as `handle(event,
 * now)`.
 * Out: effects for the edge (uplink.ts), to be carried out in order; `turns()` and `mayFly()` say whose data
 * may go.
 * Invariants: per instance, what is sent after a WELCOME starts at acked + 1 and has no gap; END follows the
 * last record; a younger life of a rank is announced only when the END of a dead older one is durable, else
 * it looks like a rival; bytes in flight stay within the head's credit; a head of a lower term is not
 * listened to.
 * It reads no clock, journal or socket and keeps no data: what must be sent again is read again by the edge.
 */
import {
  ACK_STALL_MS, CLOCK_ASK_MS, CLOCK_ASK_PAUSE_MS, CLOCK_TRIP_MS, CONNECT_MS, FLIGHT_BYTES_MAX,
  PEER_SILENT_MS, RECONNECT_MS_MAX, RECONNECT_MS_MIN, REFUSED_RETRY_MS,
} from '../limits.ts'
import type { InstanceId } from '../record/index.ts'
import type { Ack, Refuse, Welcome } from '../wire/index.ts'
import { Line, type LineState, type Unit } from './core-line.ts'

export type UplinkEvent =
  | { type: 'tick' }
  /** Where the head can be reached now, as any text that changes with it; null: nowhere. */
  | { type: 'head'; at: string | null }
  | { type: 'down'; why: string }
  /** The connection stands. `far`: another node's clock is behind it, so first ask what it says. */
  | { type: 'up'; far: boolean }
  /** `trip`: what it took (ms) from its HELLO on. */
  | { type: 'welcome'; body: Welcome; term: number; trip: number }
  | { type: 'ack'; body: Ack; term: number }
  | { type: 'beat'; term: number }
  | { type: 'refuse'; body: Refuse }
  /** A local instance; `rank` is -1 where no two of its kind can be rivals. */
  | { type: 'found'; instance: InstanceId; rank: number; startedAt: number; dead: boolean }
  /** Its owner is gone; records may still be unsent. */
  | { type: 'dead'; instance: InstanceId }
  /** Its owner is gone and `last` is the last record there will ever be. */
  | { type: 'complete'; instance: InstanceId; last: number }
  /** A batch or skip was given to the socket. */
  | ({ type: 'sent'; instance: InstanceId } & Unit)

type Found = Extract<UplinkEvent, { type: 'found' }>
type Answer = Extract<UplinkEvent, { type: 'welcome' }>

export type UplinkEffect =
  | { do: 'connect' }
  | { do: 'close' }
  | { do: 'hello'; instances: { instance: InstanceId; ledger: string | null }[] }
  | { do: 'end'; instance: InstanceId }
  /** Everything up to `seq` is durable at the head. */
  | { do: 'acked'; instance: InstanceId; seq: number }
  /** The next unit of this instance starts at `seq`; what was built beyond is void. */
  | { do: 'rewind'; instance: InstanceId; seq: number }
  /** The END is durable: nothing of this instance is needed any more. */
  | { do: 'done'; instance: InstanceId }
  | { do: 'welcomed'; body: Welcome }
  /** `instance` null: the head refuses this agent as a whole. */
  | { do: 'refused'; instance: InstanceId | null; message: string; remedy: string }
  | { do: 'lost'; why: string }

export class UplinkCore {
  readonly #lines = new Map<InstanceId, Line>()
  readonly #random: () => number
  #phase: 'down' | 'connecting' | 'asking' | 'greeting' | 'live' = 'down'
  #at: string | null = null
  #tried: string | null = null
  #retryAt = 0
  #failures = 0
  #heard = 0
  #credit = 0
  #turn = 0
  #ledger: string | null = null
  #term = 0
  #refused = false
  /** In phase asking: since when, when last, and an answer that came too slowly to go by alone. */
  #asking: { since: number; at: number; answer: Answer | null } = { since: 0, at: 0, answer: null }

  /** `random` in [0, 1) spreads reconnects, so that a thousand agents do not come back in one instant. */
  constructor(random: () => number) {
    this.#random = random
  }

  get live(): boolean { return this.#phase === 'live' }
  /** The head said no to this whole agent; it is asked again now and then. */
  get refused(): boolean { return this.#refused }
  /** Our frames carry the term of the head that they are for. */
  get term(): number { return this.#term }
  get ledger(): string | null { return this.#ledger }

  stateOf(instance: InstanceId): LineState | 'gone' { return this.#lines.get(instance)?.state ?? 'gone' }
  acked(instance: InstanceId): number { return this.#lines.get(instance)?.acked ?? 0 }
  /** First seq of the next unit of this instance. */
  cursor(instance: InstanceId): number { return this.#lines.get(instance)?.cursor ?? 1 }

  handle(event: UplinkEvent, now: number): UplinkEffect[] {
    const out: UplinkEffect[] = []
    this.#apply(event, now, out)
    if (this.#phase === 'live') this.#ends(now, out)
    return out
  }

  /** Instances whose data may be sent now, another one first each time so that none starves. */
  turns(): InstanceId[] {
    if (this.#phase !== 'live') return []
    const open = [...this.#lines.values()].filter((line) => line.state === 'open')
    const shift = open.length === 0 ? 0 : this.#turn++ % open.length
    return [...open.slice(shift), ...open.slice(0, shift)].map((line) => line.instance)
  }

  /**
   * Whether credit is left for this many bytes. With nothing in flight any unit may go: it must go some time.
   */
  mayFly(bytes: number): boolean {
    let flying = 0
    for (const line of this.#lines.values()) flying += line.bytes
    return flying === 0 || flying + bytes <= this.#credit
  }

  #apply(event: UplinkEvent, now: number, out: UplinkEffect[]): void {
    switch (event.type) {
      case 'tick': return this.#tick(now, out)
      case 'head': this.#at = event.at; return this.#tick(now, out)
      case 'down': return this.#down(event.why, now, out)
      case 'up': return this.#up(event.far, now, out)
      case 'welcome': return this.#answer(event, now, out)
      case 'ack': return this.#ack(event.body, event.term, now, out)
      case 'beat': return this.#hear(event.term, now)
      case 'refuse': return this.#refuse(event.body, now, out)
      case 'found': return this.#found(event, now, out)
      case 'dead': return this.#dead(event.instance, null)
      case 'complete': return this.#dead(event.instance, event.last)
      case 'sent': return this.#sent(event, now)
    }
  }

  // --- the connection
  // ----------------------------------------------------------------------------------------

  #tick(now: number, out: UplinkEffect[]): void {
    if (this.#phase === 'down') {
      const due = now >= this.#retryAt || this.#at !== this.#tried
      if (due && this.#at !== null && this.#lines.size > 0) this.#connect(now, out)
      return
    }
    if (this.#phase === 'connecting' && now - this.#heard > CONNECT_MS) {
      return this.#down(`no connection in ${CONNECT_MS} ms`, now, out)
    }
    if (now - this.#heard > PEER_SILENT_MS) {
      return this.#down(`no word for ${Math.round(now - this.#heard)} ms`, now, out)
    }
    for (const line of this.#lines.values()) {
      const waited = Math.round(line.waited(now))
      if (waited > ACK_STALL_MS) return this.#down(`no answer on ${line.instance} for ${waited} ms`, now, out)
    }
    if (this.#phase === 'asking') this.#askAgain(now, out)
  }

  #connect(now: number, out: UplinkEffect[]): void {
    this.#phase = 'connecting'
    this.#tried = this.#at
    this.#heard = now
    out.push({ do: 'connect' })
  }

  #up(far: boolean, now: number, out: UplinkEffect[]): void {
    if (this.#phase !== 'connecting') return
    this.#heard = now
    this.#phase = far ? 'asking' : 'greeting'
    if (!far) return this.#greet(now, out)
    this.#asking = { since: now, at: now, answer: null }
    out.push({ do: 'hello', instances: [] })
  }

  /** Whoever was welcomed before is in a ledger, with the offset of its clock, and need not wait. */
  #mayAsk(now: number): boolean {
    const isNew = [...this.#lines.values()].some(({ ledger }) => ledger === null)
    return isNew && now - this.#asking.since < CLOCK_ASK_MS
  }

  #askAgain(now: number, out: UplinkEffect[]): void {
    const { at, answer } = this.#asking
    if (!this.#mayAsk(now)) {
      if (answer !== null) this.#welcome(answer, now, out)
    } else if (now - at >= CLOCK_ASK_PAUSE_MS) {
      this.#asking.at = now
      out.push({ do: 'hello', instances: [] })
    }
  }

  #answer(answer: Answer, now: number, out: UplinkEffect[]): void {
    const tooSlow = this.#phase === 'asking' && answer.trip > CLOCK_TRIP_MS && this.#mayAsk(now)
    if (!tooSlow) return this.#welcome(answer, now, out)
    this.#hear(answer.term, now)
    // Kept, as the next may be lost.
    this.#asking.answer ??= answer
  }

  #down(why: string, now: number, out: UplinkEffect[]): void {
    if (this.#phase === 'down') return
    this.#phase = 'down'
    // The ceiling doubles with each failure; the floor stays, so that the pauses of many agents spread.
    const ceiling = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** Math.min(++this.#failures, 20))
    this.#retryAt = now + RECONNECT_MS_MIN + this.#random() * (ceiling - RECONNECT_MS_MIN)
    for (const line of this.#lines.values()) line.reset()
    out.push({ do: 'close' }, { do: 'lost', why })
  }

  #refuse(body: Refuse, now: number, out: UplinkEffect[]): void {
    const greeting = this.#phase !== 'live'
    this.#down(`refused: ${body.message}`, now, out)
    // A frame that was refused amid a good connection is sent again on a new one.
    if (!greeting) return
    this.#retryAt = now + REFUSED_RETRY_MS
    this.#refused = true
    out.push({ do: 'refused', instance: null, message: body.message, remedy: body.remedy })
  }

  /** A frame of an older holder of the meeting says nothing about the present one. */
  #hear(term: number, now: number): void {
    if (term < this.#term) return
    this.#heard = now
    this.#failures = 0
  }

  #welcome({ body, term }: Answer, now: number, out: UplinkEffect[]): void {
    if (this.#phase === 'down' || this.#phase === 'connecting') return
    if (body.ledger === this.#ledger && term < this.#term) {
      return this.#down(`the head answers with term ${term}, but ${this.#term} was seen`, now, out)
    }
    this.#phase = 'live'
    this.#refused = false
    this.#heard = now
    this.#ledger = body.ledger
    this.#term = term
    this.#credit = Math.min(body.credit, FLIGHT_BYTES_MAX)
    out.push({ do: 'welcomed', body })
    for (const { instance, acked, accepted, why } of body.instances) {
      const line = this.#lines.get(instance)
      if (line?.state !== 'greeted') continue
      if (accepted) {
        line.open(body.ledger, acked)
        out.push({ do: 'acked', instance, seq: acked }, { do: 'rewind', instance, seq: acked + 1 })
      } else {
        line.state = 'refused'
        const remedy = 'its data stays on this node; deliver it with `rankzero sync`'
        out.push({ do: 'refused', instance, message: why ?? 'no reason given', remedy })
      }
    }
    this.#greet(now, out)
  }

  // --- data and its acknowledgement
  // --------------------------------------------------------------------------

  #sent(event: { instance: InstanceId } & Unit, now: number): void {
    const line = this.#lines.get(event.instance)
    if (line?.state === 'open') line.sent({ first: event.first, last: event.last, bytes: event.bytes }, now)
  }

  #ack(body: Ack, term: number, now: number, out: UplinkEffect[]): void {
    this.#hear(term, now)
    const line = this.#lines.get(body.instance)
    if (line?.state !== 'open' || term < this.#term) return
    if (body.ended === true && line.last !== null) return this.#done(line, now, out)
    const { progress, rewound } = line.ack(body.seq, now)
    if (progress) out.push({ do: 'acked', instance: line.instance, seq: line.acked })
    if (rewound) out.push({ do: 'rewind', instance: line.instance, seq: line.cursor })
  }

  // --- instances and their ends
  // ------------------------------------------------------------------------------

  #found({ instance, rank, startedAt, dead }: Found, now: number, out: UplinkEffect[]): void {
    if (this.#lines.has(instance)) return
    this.#lines.set(instance, new Line(instance, rank, startedAt, dead))
    if (this.#phase === 'down') this.#tick(now, out)
    else this.#greet(now, out)
  }

  #dead(instance: InstanceId, last: number | null): void {
    const line = this.#lines.get(instance)
    if (!line) return
    line.dead = true
    line.last = last ?? line.last
  }

  /** Announces whoever is new and need not wait. */
  #greet(now: number, out: UplinkEffect[]): void {
    if (this.#phase !== 'greeting' && this.#phase !== 'live') return
    const lines = [...this.#lines.values()].filter((line) => line.state === 'new' && !this.#held(line))
    if (lines.length === 0) return
    for (const line of lines) line.greet(now)
    out.push({ do: 'hello', instances: lines.map(({ instance, ledger }) => ({ instance, ledger })) })
  }

  /** An older local life of the same rank is dead but not settled. */
  #held(line: Line): boolean {
    if (line.rank < 0) return false
    return [...this.#lines.values()].some((other) =>
      other.rank === line.rank && other.startedAt < line.startedAt && other.dead && other.state !== 'refused')
  }

  #ends(now: number, out: UplinkEffect[]): void {
    for (const line of this.#lines.values()) {
      if (!line.endDue) continue
      line.sentEnd(now)
      out.push({ do: 'end', instance: line.instance })
    }
  }

  #done(line: Line, now: number, out: UplinkEffect[]): void {
    const { instance, last } = line
    this.#lines.delete(instance)
    out.push({ do: 'acked', instance, seq: last! }, { do: 'done', instance })
    this.#greet(now, out)
  }
}
