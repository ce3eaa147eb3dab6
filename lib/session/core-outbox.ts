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
import type { Capabilities, Cursor, Outcome, Pace } from '../backend/port.ts'
import {
  OUTBOX_LAG_MS, OUTBOX_SEND_MS, OUTBOX_SPAN_PART, OUTBOX_THIN_MS, OUTBOX_WINDOW_BYTES,
  OUTBOX_WINDOW_ROWS,
} from '../limits-outbox.ts'
import { Pauses } from './core-pauses.ts'
import { keepOf, keptOf, type OpenBatch, type OutboxNote, type Standing } from './core-standing.ts'
import { cap, capMs, freeOf, isRow, thin, valuesOf, type Part, type Row } from './core-thin.ts'

export type { Part }

export interface OutboxOptions {
  backend: string
  can: Capabilities
  /** Pure: the bytes of a batch and their digest. */
  pack: (parts: readonly Uint8Array[], at: number) => { bytes: Uint8Array; digest: string }
  /** In [0, 1): spreads retries. */
  random: () => number
}

export type OutboxEvent =
  /** `pace`: what the backend can take. */
  | { type: 'tick'; pace?: Pace | undefined }
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

export class Outbox {
  readonly standing: Standing
  /** Why the last call failed; '' after one that did not. */
  fault = ''
  /** Nothing of it goes on until somebody does what the fault says. */
  isStuck = false
  readonly #options: OutboxOptions
  #waiting: Part[] = []
  /** Number of the row that it takes next. */
  #next: number
  #bytes = 0
  #values = 0
  #pace: Pace | null = null
  /** Points of rows that came after the plan and are gone from here: the next plan leaves them out. */
  #dropped = 0
  /** Some that wait are too much for their series: they are decided upon after so long (ms). */
  #cappedMs: number | null = null
  /** When the first of `#waiting` came. */
  #since = 0
  #doing: Doing = 'nothing'
  #call = 0
  #calledAt = 0
  #isOpen = false
  /** Rows up to this one are with the backend, by another way: they count as delivered, and are not sent. */
  #found = 0
  /** The open batch may have been stored: it was sent by us, or perhaps by the one before us. */
  #unsure: boolean
  #packed: { batch: number; bytes: Uint8Array } | null = null
  readonly #pauses: Pauses
  #finish: { last: number; status: string } | null = null

  constructor(options: OutboxOptions, standing: Standing) {
    this.#options = options
    this.standing = standing
    this.#pauses = new Pauses(options.random)
    this.#next = standing.settled + 1
    this.#unsure = standing.open !== null
  }

  /** Since when (the clock of `handle`) the oldest row waits here; null: none does. */
  get waitsSince(): number | null { return this.#waiting.length === 0 ? null : this.#since }

  /** Whether it waits because server or budget want it to (the clock of `handle`). */
  isPaused(now: number): boolean { return this.#pauses.isAsked(now) }

  /** Nothing waits here, or is on its way. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#doing === 'nothing' && this.standing.open === null
  }

  /** Number of the row that it takes next. */
  get next(): number { return this.#next }

  /** Whether there is room for it: two batches, or the whole of the open one; or a window to thin. */
  get wants(): boolean {
    if (this.next <= (this.standing.open?.to ?? 0)) return true
    const { rowsMax, bytesMax } = this.#options.can
    if (this.#pace !== null) {
      return this.#waiting.length < OUTBOX_WINDOW_ROWS && this.#bytes < OUTBOX_WINDOW_BYTES
    }
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
    else if (event.type === 'tick') {
      this.#pace = event.pace ?? this.#pace
      if (!this.wants) this.#compact()
    }
    else if (event.type === 'noted') this.#noted(now)
    else if (event.type === 'result') this.#result(event.call, event.outcome, now, out)
    else if (event.type === 'finish') this.#over(event.last, event.status, now)
    this.#hang(now, out)
    if (this.#doing === 'nothing' && this.#pauses.mayCall(now)) this.#advance(now, wall, out)
    return out
  }

  #over(last: number, status: string, now: number): void {
    if (this.#finish === null) this.#pauses.restart(now)
    this.#finish = { last, status }
  }

  #take(part: Part, now: number): void {
    if (part.n !== this.next) return
    this.#next++
    if (keptOf(this.standing.plan, part.n, part.n) === 0) return
    if (this.#waiting.length === 0) this.#since = now
    this.#waiting.push(part)
    this.#bytes += part.data.length
    this.#values += part.values
    const { pointsMax } = this.#options.can
    if (pointsMax === undefined || !isRow(part) || part.figures.nth <= freeOf(pointsMax)) return
    if (part.n <= Math.max(this.standing.plan?.to ?? 0, this.#found)) return
    this.#cappedMs = Math.max(this.#cappedMs ?? 0, capMs(part.figures.sinceMs, pointsMax))
  }

  /** Of rows that wait, those that their series and the backend can take. */
  #choose(rows: readonly Row[]): readonly Row[] {
    const { pointsMax } = this.#options.can
    return thin(pointsMax === undefined ? rows : cap(rows, pointsMax), this.#share())
  }

  #keep(waiting: Part[]): void {
    this.#waiting = waiting
    this.#bytes = waiting.reduce((sum, { data }) => sum + data.length, 0)
    this.#values = valuesOf(waiting)
  }

  #noted(now: number): void {
    if (this.#doing !== 'commit') return
    this.#doing = 'nothing'
    const { open, settled } = this.standing
    if (open === null) this.#packed = null
    const gone = this.#waiting.findIndex(({ n }) => n > settled)
    if (gone === 0 || this.#waiting.length === 0) return
    this.#keep(gone < 0 ? [] : this.#waiting.slice(gone))
    this.#since = now
  }

  #result(call: number, outcome: Outcome, now: number, out: OutboxEffect[]): void {
    // Of a call that was given up: what it says comes too late to be acted upon.
    const doing = this.#doing
    if (call !== this.#call || doing === 'nothing' || doing === 'commit') return
    this.#doing = 'nothing'
    this.isStuck = outcome.is === 'later' && outcome.stuck === true
    if (outcome.is === 'wait') return this.#pauses.budget(outcome.afterMs, now)
    if (outcome.is === 'later' || outcome.is === 'unsure') return this.#failed(doing, outcome, now)
    const { open } = this.standing
    if (outcome.is === 'refused') {
      this.fault = outcome.message
      // Nothing can be set aside in place of a session that is refused: perhaps it is not one day.
      if (doing === 'open') return this.#failed(doing, { is: 'later', message: outcome.message }, now)
    } else this.fault = ''
    this.#pauses.went()
    if (doing === 'open') {
      this.#isOpen = true
      this.#found = outcome.is === 'done' ? outcome.found ?? 0 : 0
    }
    else if (doing === 'end') this.#ended(outcome.is === 'refused' ? outcome.message : null, out)
    else if (outcome.is === 'refused') {
      this.#commit({ is: 'rejected', batch: open!.batch, message: outcome.message }, out)
    } else this.#commit({ is: 'delivered', batch: open!.batch, cursor: outcome.cursor ?? null }, out)
  }

  #failed(doing: Doing, outcome: Extract<Outcome, { is: 'later' | 'unsure' }>, now: number): void {
    this.fault = outcome.message
    if (doing === 'send' && outcome.is === 'unsure') this.#unsure = true
    // Whatever is amiss, a session that is opened anew starts from what is known to be delivered.
    this.#isOpen &&= outcome.is !== 'unsure'
    this.#pauses.failed(outcome, now)
  }

  #hang(now: number, out: OutboxEffect[]): void {
    const doing = this.#doing
    const ms = doing === 'open' ? OUTBOX_SEND_MS : this.#options.can.sendMs ?? OUTBOX_SEND_MS
    if (doing === 'nothing' || doing === 'commit' || now - this.#calledAt < ms) return
    out.push({ do: 'giveUp', call: this.#call })
    this.#doing = 'nothing'
    this.#failed(doing, { is: 'unsure', message: `no answer in ${ms / 1000} s` }, now)
  }

  #advance(now: number, wall: number, out: OutboxEffect[]): void {
    const { open, settled } = this.standing
    if (open === null && (this.#thin(out) || this.#plan(now, out))) return
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
    const from = this.standing.settled + 1
    this.#commit({ is: 'thinned', from, ...extent(late), cause: 'late' }, out)
    return true
  }

  #isDue(now: number): boolean {
    if (this.#waiting.length === 0) return false
    if (this.standing.plan !== null) return true
    // What is left out is decided when it is known what is there already.
    if (this.#isOver()) return !this.#isOpen
    const { rowsMax, bytesMax, valuesMax = Infinity, ageMs } = this.#options.can
    const full = this.#waiting.length >= rowsMax || this.#bytes >= bytesMax || this.#values >= valuesMax
    return full || this.#finish !== null || now - this.#since >= ageMs
  }

  /** What the backend can take of what waits: all that its pace allows in a while, or since it was made. */
  #share(): number {
    if (this.#pace === null || this.#waiting[0]?.figures == null) return Infinity
    const span = this.#waiting.at(-1)!.at - this.#waiting[0].at
    const { now, perMs } = this.#pace
    return now + perMs * Math.max(OUTBOX_LAG_MS, OUTBOX_SPAN_PART * span)
  }

  /** More waits than the backend can take, so that none of it is sent before some of it is left out. */
  #isOver(): boolean {
    if (this.standing.plan !== null || (this.#waiting[0]?.n ?? 0) <= this.#found) return false
    return this.#dropped > 0 || this.#cappedMs !== null || this.#values > this.#share()
  }

  /**
   * Of a window that is full, what no decision can keep goes, so that there is room for more: it is read
   * again if it never comes to the decision.
   */
  #compact(): void {
    // A decision that is not applied yet needs its rows.
    if (this.#doing === 'commit') return
    const { plan, open } = this.standing
    const decided = Math.max(plan?.to ?? 0, open?.to ?? 0)
    const rows = this.#waiting.filter((part): part is Row => part.n > decided && isRow(part))
    const fits = this.#cappedMs === null && valuesOf(rows) <= this.#share()
    if (!this.#isOpen || fits || this.#waiting[0]!.n <= this.#found) return
    const kept = new Set<Part>(this.#choose(rows))
    this.#dropped += pointsOf(rows) - pointsOf([...kept])
    this.#keep(this.#waiting.filter((part) => part.n <= decided || !isRow(part) || kept.has(part)))
  }

  /**
   * Which of the rows that wait are sent: a decision, once they have waited for others to compare with. All,
   * where none can be left out.
   */
  #plan(now: number, out: OutboxEffect[]): boolean {
    if (!this.#isOpen || this.#waiting.length === 0 || !this.#isOver()) return false
    const waits = Math.max(OUTBOX_THIN_MS, this.#cappedMs ?? 0)
    if (now - this.#since < waits && this.#finish === null) return false
    const kept = this.#choose(this.#waiting.filter(isRow))
    this.#cappedMs = null
    const last = kept.at(-1)?.n ?? 0
    const points = pointsOf(this.#waiting.filter(({ n }) => n <= last)) - pointsOf(kept) + this.#dropped
    const rest = this.#waiting.filter(({ n }) => n > last)
    this.#keep([...kept, ...rest])
    this.#dropped = 0
    const from = this.standing.settled + 1
    this.#commit({ is: 'thinned', from, to: last, points, cause: 'budget', keep: keepOf(from, kept) }, out)
    return true
  }

  /** The next batch: a decision, so a note before anything else. */
  #cut(wall: number, out: OutboxEffect[]): void {
    const { rowsMax, bytesMax } = this.#options.can
    const parts = this.#run(false, rowsMax, bytesMax)
    const { bytes, digest } = this.#pack(parts, wall)
    const batch = this.standing.batches + 1
    this.#packed = { batch, bytes }
    this.#unsure = false
    const { to, points } = extent(parts)
    const from = this.standing.settled + 1
    this.#commit({ is: 'batch', batch, from, to, points, digest, at: wall }, out)
  }

  #send(open: OpenBatch, now: number, out: OutboxEffect[]): void {
    const { batch } = open
    if (open.to <= this.#found) {
      return this.#commit({ is: 'delivered', batch, cursor: this.standing.cursor }, out)
    }
    if (this.#packed?.batch !== batch) {
      const parts = this.#waiting.filter(({ n }) => n <= open.to)
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
    const found = (this.#waiting[0]?.n ?? Infinity) <= this.#found ? this.#found : Infinity
    const planned = Math.min(this.standing.plan?.to ?? Infinity, found)
    let [bytes, values] = [0, 0]
    for (const part of this.#waiting) {
      if ((part.amends && !amends) !== thinned || part.n > planned) break
      bytes += part.data.length
      values += part.values
      const full = bytes > bytesMax || (!thinned && values > valuesMax)
      if (parts.length >= rowsMax || (parts.length > 0 && full)) break
      parts.push(part)
    }
    return parts
  }
}

type Rest = OutboxNote extends infer Note ? Note extends unknown ? Omit<Note, 'backend'> : never : never

const extent = (parts: readonly Part[]): { to: number; points: number } => ({
  to: parts.at(-1)!.n, points: pointsOf(parts),
})

const pointsOf = (parts: readonly Part[]): number => parts.reduce((sum, { points }) => sum + points, 0)
