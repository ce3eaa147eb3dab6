/**
 * Room session, core of the outbox: the rows of one run on their way to one backend. Pure; time and
 * randomness are arguments.
 *
 * In: rows in order of their numbers, what became of calls, word that a note is durable. Out: effects for the
 * edge, to be carried out in order.
 * Invariants: one batch is on its way at a time, and the next begins where it ended, so order is kept; a
 * batch is sent only after its note is durable, and always as the same bytes; a repeat of one that may have
 * been stored is counted durably first; what waits here is bounded (`wants`).
 * What must survive is in the ledger's `outbox` notes and nowhere else: a Standing is made of them, and a new
 * Outbox upon it resumes exactly. It builds no rows, reads no clock, and knows no tracker.
 */
import type { Capabilities, Cursor, Outcome } from '../backend/port.ts'
import {
  OUTBOX_END_SPARE_MS, OUTBOX_RETRY_AFTER_MS_MAX, OUTBOX_RETRY_MS_MAX, OUTBOX_RETRY_MS_MIN, OUTBOX_SEND_MS,
} from '../limits.ts'

/** Body of an `outbox` note. Rows `from` to `to`, inclusive, in the numbers of the row stream. */
export type OutboxNote = { backend: string } & (
  /** Before the first send. `at`: ms since the epoch, part of the bytes; `points`: in its rows. */
  | { is: 'batch'; batch: number; from: number; to: number; digest: string; points: number; at: number }
  /** Before a send of a batch that may have been stored already. */
  | { is: 'again'; batch: number }
  | { is: 'delivered'; batch: number; cursor: Cursor }
  | { is: 'rejected'; batch: number; message: string }
  /** Rows that are not sent, by a stated rule. */
  | { is: 'thinned'; from: number; to: number; points: number; cause: 'late' }
  /** The backend was told of the end; `message`: and refused to hear of it. */
  | { is: 'ended'; status: string; message?: string }
)

export interface OpenBatch {
  batch: number
  from: number
  to: number
  digest: string
  points: number
  at: number
}

/** How one backend stands, from its notes in order. Counts are points but for `settled` and `batches`. */
export interface Standing {
  /** All rows up to this one are delivered, thinned or rejected. */
  settled: number
  batches: number
  open: OpenBatch | null
  /** Of the last delivered batch. */
  cursor: Cursor
  delivered: number
  thinned: number
  rejected: number
  resent: number
  /** What the server said of the last batch that it rejected. */
  refusal: string | null
  /** Final status that the backend knows; null since rows came after it. */
  ended: string | null
}

export const newStanding = (): Standing => ({
  settled: 0, batches: 0, open: null, cursor: null, delivered: 0, thinned: 0, rejected: 0, resent: 0,
  refusal: null, ended: null,
})

/** The only way in, live and on replay. A note that does not fit (a damaged ledger) changes nothing. */
export function applyNote(standing: Standing, note: OutboxNote): void {
  const { open } = standing
  if (note.is === 'ended') standing.ended = note.status
  else if (note.is === 'thinned') {
    if (open !== null || note.from !== standing.settled + 1) return
    standing.settled = note.to
    standing.thinned += note.points
  } else if (note.is === 'batch') {
    if (open !== null || note.from !== standing.settled + 1 || note.batch !== standing.batches + 1) return
    const { batch, from, to, digest, points, at } = note
    standing.open = { batch, from, to, digest, points, at }
    standing.batches = batch
    standing.ended = null
  } else if (open !== null && open.batch === note.batch) {
    if (note.is === 'again') standing.resent += open.points
    else if (note.is === 'delivered' || note.is === 'rejected') {
      standing.settled = open.to
      standing.open = null
      standing[note.is] += open.points
      if (note.is === 'delivered') standing.cursor = note.cursor
      else standing.refusal = note.message
    }
  }
}

/** A row as it waits: encoded. */
export interface Part {
  n: number
  data: Uint8Array
  /** As the backend's limits count (port.ts). */
  values: number
  points: number
  amends: boolean
}

export interface OutboxOptions {
  backend: string
  can: Capabilities
  /** Pure: the bytes of a batch and their digest. */
  pack: (parts: readonly Uint8Array[], at: number) => { bytes: Uint8Array; digest: string }
  /** In [0, 1): spreads retries. */
  random: () => number
}

export type OutboxEvent =
  | { type: 'tick' }
  /** The row `next`. */
  | { type: 'row'; part: Part }
  /** The note that was to be committed is durable, and applied to the standing. */
  | { type: 'noted' }
  | { type: 'result'; call: number; outcome: Outcome }
  /** The run is over: no row beyond `last` comes, and the backend is to hear how it ended. */
  | { type: 'finish'; last: number; status: string }

export type OutboxEffect =
  | { do: 'commit'; note: OutboxNote }
  /** Calls: each is answered by one `result` of its number, or given up. */
  | { do: 'open'; call: number; cursor: Cursor }
  | { do: 'send'; call: number; batch: number; bytes: Uint8Array }
  | { do: 'end'; call: number; status: string }
  | { do: 'giveUp'; call: number }

type Doing = 'nothing' | 'commit' | 'open' | 'send' | 'end'

/** How long (ms) the end of a run may wait for backends, when others wait so long for the end. */
export const outboxEndMs = (exitTimeoutMs: number): number =>
  Math.max(exitTimeoutMs / 2, exitTimeoutMs - OUTBOX_END_SPARE_MS)

export class Outbox {
  readonly standing: Standing
  /** Why the last call failed; '' after one that did not. */
  fault = ''
  readonly #options: OutboxOptions
  #waiting: Part[] = []
  #bytes = 0
  #values = 0
  /** When the first of `#waiting` came. */
  #since = 0
  #doing: Doing = 'nothing'
  #call = 0
  #calledAt = 0
  #isOpen = false
  /** The open batch may have been stored: it was sent by us, or perhaps by the one before us. */
  #unsure: boolean
  #packed: { batch: number; bytes: Uint8Array } | null = null
  #failures = 0
  #retryAt = -Infinity
  /** … as the server asked for. */
  #askedUntil = -Infinity
  #finish: { last: number; status: string } | null = null

  constructor(options: OutboxOptions, standing: Standing) {
    this.#options = options
    this.standing = standing
    this.#unsure = standing.open !== null
  }

  /** Since when (the clock of `handle`) the oldest row waits here; null: none does. */
  get waitsSince(): number | null { return this.#waiting.length === 0 ? null : this.#since }

  /** Number of the row that it takes next. */
  get next(): number { return this.standing.settled + this.#waiting.length + 1 }

  /** Whether there is room for it: two batches, or the whole of the open one. */
  get wants(): boolean {
    if (this.next <= (this.standing.open?.to ?? 0)) return true
    const { rowsMax, bytesMax } = this.#options.can
    return this.#waiting.length < 2 * rowsMax && this.#bytes < 2 * bytesMax
  }

  /** Everything is delivered and the backend knows how the run ended. */
  get done(): boolean {
    return this.#finish !== null && this.standing.settled >= this.#finish.last && !this.#isOpen
      && this.standing.ended === this.#finish.status && this.#doing === 'nothing'
  }

  /** `now`: ms of any steady clock; `wall`: ms since the epoch, for the bytes. */
  handle(event: OutboxEvent, now: number, wall: number): OutboxEffect[] {
    const out: OutboxEffect[] = []
    if (event.type === 'row') this.#take(event.part, now)
    else if (event.type === 'noted') this.#noted(now)
    else if (event.type === 'result') this.#result(event.call, event.outcome, now, out)
    else if (event.type === 'finish') this.#over(event.last, event.status, now)
    this.#hang(now, out)
    if (this.#doing === 'nothing' && now >= this.#retryAt) this.#advance(now, wall, out)
    return out
  }

  /** The end has a bound, so our own pauses begin anew; what the server asked for holds. */
  #over(last: number, status: string, now: number): void {
    if (this.#finish === null) {
      this.#failures = 0
      this.#retryAt = Math.min(this.#retryAt, Math.max(now, this.#askedUntil))
    }
    this.#finish = { last, status }
  }

  #take(part: Part, now: number): void {
    if (part.n !== this.next) return
    if (this.#waiting.length === 0) this.#since = now
    this.#waiting.push(part)
    this.#bytes += part.data.length
    this.#values += part.values
  }

  #noted(now: number): void {
    if (this.#doing !== 'commit') return
    this.#doing = 'nothing'
    const { open, settled } = this.standing
    if (open === null) this.#packed = null
    let gone = 0
    for (; gone < this.#waiting.length && this.#waiting[gone]!.n <= settled; gone++) {
      this.#bytes -= this.#waiting[gone]!.data.length
      this.#values -= this.#waiting[gone]!.values
    }
    if (gone === 0) return
    this.#waiting = this.#waiting.slice(gone)
    this.#since = now
  }

  #result(call: number, outcome: Outcome, now: number, out: OutboxEffect[]): void {
    // Of a call that was given up: what it says comes too late to be acted upon.
    const doing = this.#doing
    if (call !== this.#call || doing === 'nothing' || doing === 'commit') return
    this.#doing = 'nothing'
    if (outcome.is === 'later' || outcome.is === 'unsure') return this.#failed(doing, outcome, now)
    const { open } = this.standing
    if (outcome.is === 'refused') {
      this.fault = outcome.message
      // Nothing can be set aside in place of a session that is refused: perhaps it is not one day.
      if (doing === 'open') return this.#failed(doing, { is: 'later', message: outcome.message }, now)
    } else this.fault = ''
    this.#failures = 0
    if (doing === 'open') this.#isOpen = true
    else if (doing === 'end') this.#ended(outcome.is === 'refused' ? outcome.message : null, out)
    else if (outcome.is === 'refused') {
      this.#commit({ is: 'rejected', batch: open!.batch, message: outcome.message }, out)
    } else this.#commit({ is: 'delivered', batch: open!.batch, cursor: outcome.cursor ?? null }, out)
  }

  #failed(doing: Doing, outcome: Extract<Outcome, { message: string }>, now: number): void {
    this.fault = outcome.message
    if (doing === 'send' && outcome.is === 'unsure') this.#unsure = true
    // Whatever is amiss, a session that is opened anew starts from what is known to be delivered.
    this.#isOpen &&= outcome.is !== 'unsure'
    const steps = OUTBOX_RETRY_MS_MIN * 2 ** Math.min(this.#failures++, 30)
    const pause = Math.max(OUTBOX_RETRY_MS_MIN,
      Math.min(OUTBOX_RETRY_MS_MAX, steps) * (0.5 + this.#options.random() / 2))
    const asked = 'afterMs' in outcome ? outcome.afterMs ?? 0 : 0
    this.#askedUntil = now + Math.min(asked, OUTBOX_RETRY_AFTER_MS_MAX)
    this.#retryAt = Math.max(now + pause, this.#askedUntil)
  }

  #hang(now: number, out: OutboxEffect[]): void {
    const doing = this.#doing
    if (doing === 'nothing' || doing === 'commit' || now - this.#calledAt < OUTBOX_SEND_MS) return
    out.push({ do: 'giveUp', call: this.#call })
    this.#doing = 'nothing'
    this.#failed(doing, { is: 'unsure', message: `no answer in ${OUTBOX_SEND_MS / 1000} s` }, now)
  }

  #advance(now: number, wall: number, out: OutboxEffect[]): void {
    const { open, settled } = this.standing
    if (open === null && this.#thin(out)) return
    const due = open !== null ? this.next > open.to : this.#isDue(now)
    const finish = this.#finish
    const over = finish !== null && settled >= finish.last
      && (this.#isOpen || this.standing.ended !== finish.status)
    const early = this.#options.can.eager === true && finish === null && !this.#isOpen
    if (!due && !over && !early) return
    if (!this.#isOpen) {
      out.push({ do: 'open', call: this.#begin('open', now), cursor: this.standing.cursor })
    } else if (open !== null) this.#send(open, now, out)
    else if (due) this.#cut(wall, out)
    else out.push({ do: 'end', call: this.#begin('end', now), status: finish!.status })
  }

  #begin(doing: 'open' | 'send' | 'end', now: number): number {
    this.#doing = doing
    this.#calledAt = now
    return ++this.#call
  }

  /** Amendments that the backend has no use for. */
  #thin(out: OutboxEffect[]): boolean {
    const late = this.#run(true, Infinity, Infinity)
    if (late.length === 0) return false
    const { from, to, points } = extent(late)
    this.#commit({ is: 'thinned', from, to, points, cause: 'late' }, out)
    return true
  }

  #isDue(now: number): boolean {
    if (this.#waiting.length === 0) return false
    const { rowsMax, bytesMax, valuesMax = Infinity, ageMs } = this.#options.can
    const full = this.#waiting.length >= rowsMax || this.#bytes >= bytesMax || this.#values >= valuesMax
    return full || this.#finish !== null || now - this.#since >= ageMs
  }

  /** The next batch: a decision, so a note before anything else. */
  #cut(wall: number, out: OutboxEffect[]): void {
    const { rowsMax, bytesMax } = this.#options.can
    const parts = this.#run(false, rowsMax, bytesMax)
    const { bytes, digest } = this.#pack(parts, wall)
    const batch = this.standing.batches + 1
    this.#packed = { batch, bytes }
    this.#unsure = false
    this.#commit({ is: 'batch', batch, ...extent(parts), digest, at: wall }, out)
  }

  #send(open: OpenBatch, now: number, out: OutboxEffect[]): void {
    const { batch } = open
    if (this.#packed?.batch !== batch) {
      const parts = this.#waiting.slice(0, open.to - open.from + 1)
      const { bytes, digest } = this.#pack(parts, open.at)
      if (digest !== open.digest) {
        // Never two contents under one batch: what was stored of the first, if anything, stays.
        const message = 'cannot be built again as the same bytes: another version of rankzero began it'
        this.fault = message
        return this.#commit({ is: 'rejected', batch, message }, out)
      }
      this.#packed = { batch, bytes }
    }
    if (this.#unsure) {
      this.#unsure = false
      return this.#commit({ is: 'again', batch }, out)
    }
    out.push({ do: 'send', call: this.#begin('send', now), batch, bytes: this.#packed.bytes })
  }

  #ended(message: string | null, out: OutboxEffect[]): void {
    // It opens again if more is to be sent one day: a run that is resumed.
    this.#isOpen = false
    const { status } = this.#finish!
    this.#commit({ is: 'ended', status, ...message === null ? {} : { message } }, out)
  }

  #commit(note: Rest, out: OutboxEffect[]): void {
    this.#doing = 'commit'
    out.push({ do: 'commit', note: { backend: this.#options.backend, ...note } })
  }

  #pack(parts: readonly Part[], at: number): { bytes: Uint8Array; digest: string } {
    return this.#options.pack(parts.map(({ data }) => data), at)
  }

  /** The first rows, as long as they are all to be thinned or all to be sent; at least one that fits. */
  #run(thinned: boolean, rowsMax: number, bytesMax: number): Part[] {
    const parts: Part[] = []
    const { amends, valuesMax = Infinity } = this.#options.can
    let [bytes, values] = [0, 0]
    for (const part of this.#waiting) {
      if ((part.amends && !amends) !== thinned) break
      bytes += part.data.length
      values += part.values
      const full = bytes > bytesMax || (!thinned && values > valuesMax)
      if (parts.length >= rowsMax || (parts.length > 0 && full)) break
      parts.push(part)
    }
    return parts
  }
}

type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
type Rest = Without<OutboxNote, 'backend'>

const extent = (parts: readonly Part[]): { from: number; to: number; points: number } => ({
  from: parts[0]!.n, to: parts.at(-1)!.n, points: parts.reduce((sum, { points }) => sum + points, 0),
})
