/**
 * Agent, one instance's data: its spool shelf first, then its journal, as one gapless row of units.
 *
 * In: the seq that is due. Out: the unit that starts there; a SKIP where records are gone for good.
 * Invariants: a unit starts at the seq that was asked for; a journal is trimmed only to what is acknowledged
 * or on disk; a batch has all that is there, up to its size.
 * It does not know connections; who is alive is told to it (deaths.ts).
 */
import { BATCH_BYTES, HELLO_NAMES_MAX, JOURNAL_CHECK_MS } from '../limits.ts'
import type { JournalReader } from '../journal/types.ts'
import {
  Kind, type Bodies, type Departure, type InstanceId, type Origin, type RecordSink,
} from '../record/index.ts'
import { BatchBuilder, type Layout } from '../wire/index.ts'
import type { FactsBody, SkipBody } from './core-spool.ts'
import type { Shelf } from './shelf.ts'
import { batchFrom, bytesOf, skipUnit, type Unit } from './unit.ts'

const utf8 = new TextDecoder()

export class Feed implements RecordSink {
  readonly origin: Origin
  readonly shelf: Shelf
  /** Null: only the spool is left of this instance. */
  readonly reader: JournalReader | null
  /** From its end record, as far as this agent has read it. */
  departure: Departure | null = null
  /** Its owner is gone (deaths.ts). */
  dead = false
  /** When the head last took something in (ms, monotonic). */
  progressAt: number
  #acked = 0
  /** What counts as all, for an agent that has to go: the last seq when it was told to. */
  #goal: number | null = null
  /**
   * Left by another node's agent, which may still be at work on the same files, and may have more on a disk
   * of its own: what is not seen here is not given up here.
   */
  readonly isForeign: boolean
  readonly #builder: BatchBuilder
  #layoutNames = 0
  #holeAt = -Infinity
  /** When the journal was last read to its end: no second look in the same round. */
  #emptyAt = -Infinity
  #ready: Unit | null = null
  /** The journal holds what is due: no look at the shelf until a rewind. */
  #inJournal = false

  constructor(
    origin: Origin, reader: JournalReader | null, shelf: Shelf, now: number, isForeign = false,
  ) {
    this.progressAt = now
    this.origin = origin
    this.reader = reader
    this.shelf = shelf
    this.departure = shelf.facts?.departure ?? null
    this.isForeign = isForeign
    this.#builder = new BatchBuilder(origin.instance)
  }

  /** Of records that were read here; for a ledger that never got them. */
  get layouts(): Layout[] { return [...this.shelf.layouts.values()] }

  get instance(): InstanceId { return this.origin.instance }

  /** Whether more may follow `seq`, or how it ended is not known: only its own node can say. */
  isPart(seq: number): boolean {
    const { facts } = this.shelf
    return this.isForeign && (facts === null || facts.departure === null || seq < facts.seq)
  }

  /** First seq that can still be had. */
  get first(): number {
    // Nobody took what came before: it lies elsewhere.
    if (this.isForeign && (this.shelf.ledger === null || this.shelf.first === 0)) return 1
    const inJournal = this.reader?.first() ?? Infinity
    const first = this.shelf.first === 0 ? inJournal : Math.min(this.shelf.first, inJournal)
    return Number.isFinite(first) ? first : (this.shelf.facts?.seq ?? 0) + 1
  }

  /** Seq after the last one written. */
  get next(): number {
    return this.counters().seq + 1
  }

  /** As the header has them, or as they were when the journal was last spooled. */
  counters(): { seq: number; logged: number; lost: number; refused: number } {
    const counters = this.reader?.counters() ?? this.shelf.facts ?? { seq: 0, logged: 0, lost: 0, refused: 0 }
    return { ...counters, seq: this.isForeign ? this.shelf.last : Math.max(counters.seq, this.shelf.last) }
  }

  /** The run that took it: no other head of this meeting may take it again, nor one after this agent. */
  joined(run: string): void {
    if (this.reader?.runId() === null) this.reader.setRun(run)
    try {
      if (!this.isForeign) this.shelf.joined(run)
    } catch {
      // A full disk: the journal says it, and so does each later file.
    }
    this.origin.run ??= run
  }

  /** What was built is void; the next unit starts elsewhere. */
  rewind(): void {
    this.#ready = null
    this.#inJournal = false
    this.#emptyAt = -Infinity
  }

  /** The unit that starts at `seq`, or null when there is none yet. */
  unit(seq: number, now: number): Unit | null {
    if (this.#ready?.first !== seq) this.#ready = this.#make(seq, now)
    return this.#ready
  }

  /** Everything up to `seq` is durable at the head, in this ledger. */
  acked(seq: number, ledger: string | null, now: number): void {
    this.shelf.ledger = ledger
    if (seq > this.#acked) {
      this.#acked = seq
      this.progressAt = now
    }
    this.shelf.acked(seq, this.reader === null)
    this.reader?.ack(seq)
  }

  /** All that was written is acknowledged or on disk. */
  get safe(): boolean {
    const trimmed = (this.reader?.first() ?? 1) - 1
    return Math.max(this.#acked, this.shelf.last, trimmed) >= this.next - 1
  }

  /** All that was written, or all until `stopHere`, is acknowledged. */
  get delivered(): boolean {
    return this.#acked >= (this.#goal ?? this.next - 1)
  }

  stopHere(): void {
    this.#goal = this.next - 1
  }

  /** Bytes of journal that neither head nor disk has. */
  backlog(): number {
    return this.reader?.backlog() ?? 0
  }

  /** Moves up to `bytesMax` of journal to disk. True when something moved. @throws the system's error. */
  save(bytesMax: number, now: number): boolean {
    const { reader, shelf } = this
    // System metrics are not worth a disk.
    if (reader === null || this.origin.role === 'agent') return false
    this.rewind()
    let seq = Math.max(reader.first(), shelf.last + 1)
    const units: Unit[] = []
    for (let bytes = 0; bytes < bytesMax;) {
      const unit = this.#fromJournal(reader, seq, now)
      if (unit === null) break
      units.push(unit)
      bytes += bytesOf(unit)
      seq = unit.last + 1
    }
    this.rewind()
    if (units.length > 0) shelf.append(units, this.facts(null, now))
    else shelf.settle()
    if (shelf.last > 0) reader.trim(shelf.last)
    return units.length > 0
  }

  facts(departure: Departure | null, at: number): FactsBody {
    const { seq, logged, lost, refused } = this.counters()
    return { seq, logged, lost, refused, departure, at }
  }

  // RecordSink: what the journal delivers goes into the batch; the end record is also read here.

  values(
    seq: number, layout: number, step: number, weight: number, time: number,
    values: Float64Array, at: number, count: number,
  ): void {
    this.#builder.values(seq, layout, step, weight, time, values, at, count)
  }

  payload(seq: number, kind: Kind, time: number, body: Uint8Array): void {
    this.#builder.payload(seq, kind, time, body)
    if (kind === Kind.layout) this.#learn(body)
    if (kind !== Kind.end) return
    const { exit, error } = JSON.parse(utf8.decode(body)) as Bodies['end']
    this.departure = { exit, signal: null, cause: 'end-record', ...(error ? { error } : {}) }
  }

  #learn(body: Uint8Array): void {
    const { id, names } = JSON.parse(utf8.decode(body)) as Layout
    if (this.shelf.layouts.has(id) || this.#layoutNames + names.length > HELLO_NAMES_MAX) return
    this.shelf.layouts.set(id, { id, names })
    this.#layoutNames += names.length
  }

  #make(seq: number, now: number): Unit | null {
    const { reader, shelf } = this
    if (this.#inJournal) return this.#fromJournal(reader!, seq, now)
    const stored = shelf.covering(seq)
    if (stored && stored.first <= seq) {
      const body = shelf.load(stored)
      return body === null ? this.#make(seq, now) : this.#fromShelf(stored, body, seq)
    }
    const start = reader?.first() ?? Infinity
    if (start <= seq) {
      this.#inJournal = true
      return this.#fromJournal(reader!, seq, now)
    }
    if (this.isForeign && seq < shelf.first) return null
    const available = Math.min(stored?.first ?? Infinity, start, this.next)
    return available > seq ? skipUnit(seq, available - 1, 'no longer on its node') : null
  }

  #fromShelf(stored: { first: number; last: number }, body: Uint8Array | SkipBody, seq: number): Unit {
    const { first, last } = stored
    if (!(body instanceof Uint8Array)) {
      // Its points were booked with the part before.
      const rest = first === seq ? body : { ...body, from: seq, points: {} }
      return { type: 'SKIP', first: seq, last, body: rest }
    }
    const rest = first === seq ? body : batchFrom(this.instance, body, seq)
    return { type: 'BATCH', first: seq, last, body: rest }
  }

  #fromJournal(reader: JournalReader, seq: number, now: number): Unit | null {
    const builder = this.#builder
    if (reader.next !== seq) reader.seek(seq)
    else if (this.#emptyAt === now && !this.dead) return null
    builder.reset(seq)
    for (let more = true; more && builder.bytes < BATCH_BYTES;) {
      more = reader.read(this, BATCH_BYTES) >= BATCH_BYTES
      if (!more) this.#emptyAt = now
    }
    if (builder.count === 0) return this.#hole(reader, now)
    return { type: 'BATCH', first: builder.firstSeq, last: builder.lastSeq, body: builder.finish() }
  }

  #hole(reader: JournalReader, now: number): Unit | null {
    if (!this.dead && now - this.#holeAt < JOURNAL_CHECK_MS) return null
    this.#holeAt = now
    const hole = reader.hole()
    if (hole === null) return null
    reader.skipHole()
    return skipUnit(hole.from, hole.to, 'damaged in the journal', hole.points)
  }
}
