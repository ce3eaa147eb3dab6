/**
 * The owner's end of a journal: begin and commit, the hot path of every log() call.
 *
 * In: values, payloads, layouts. Out: records in the ring, or in segments when there is no ring or it is
 * full.
 * Invariants: seq grows by one per record; the commit word is stored last; a definition precedes its values;
 * what finds no room is counted, by metric, and never throws; begin and commit allocate nothing.
 * It starts no timer and no agent (logger) and deletes no file (agent).
 */
import { monotonicMs, wallMs } from '../clock.ts'
import { RECORD_BYTES_MAX, SEGMENT_RETRY_MS } from '../limits.ts'
import { Kind } from '../record/index.ts'
import { crcWords } from './crc.ts'
import {
  AGENT, BODY, FLAG_WEIGHT, HEAD_BYTES, OWNER, RECORD, STEP, TIME, pad8, scratchOf, seedOf, type Views,
} from './format.ts'
import { Layouts, Losses, type Definition } from './layouts.ts'
import { OwnerHeader } from './owner-header.ts'
import { Ring } from './ring.ts'
import { Segments } from './segments.ts'
import type { JournalWriter } from './types.ts'

// Constants of this module are folded into begin and commit, imported ones are loaded each time.
const { commit: COMMIT, size: SIZE, seq: SEQ, mark: MARK, layout: LAYOUT, count: COUNT } = RECORD
const { even: EVEN, odd: ODD, head: HEAD } = OWNER
const [STEP_AT, TIME_AT, BODY_AT, HEAD_SIZE, WEIGHT] = [STEP, TIME, BODY, HEAD_BYTES, FLAG_WEIGHT]

/** What place.ts found or made. */
export interface WriterPlace {
  instance: string
  path: string
  /** The mapping of header and ring, or null: then `fd` is the header's file. */
  map: ArrayBuffer | null
  headerBytes: number
  fd: number
  directories: string[]
  overflowCap: number
  mayUse(directory: string): boolean
  /** Frees lock and mapping. */
  release(): void
}

/** Who it is, reports of losses and the end come through although the cap is reached. */
const ABOVE_CAP: readonly Kind[] = [Kind.open, Kind.lost, Kind.refused, Kind.end]
const SCRATCH_BYTES = 64 * 1024

export class Writer implements JournalWriter {
  readonly instance: string
  path!: string
  mapped!: boolean
  f64!: Float64Array
  #i32!: Int32Array
  #u8!: Uint8Array
  /** Where the next record starts, and the bytes that it may take; 0 sends begin to #makeRoom. */
  #word = 0
  #room = 0
  #size = 0
  #flags = 0
  #seqLow = 0
  #seqHigh = 0
  #inRing!: boolean
  #points = 0
  #epoch = 0
  readonly #seed: number
  #header!: OwnerHeader
  #ring!: Ring | null
  #segments!: Segments
  #place!: WriterPlace
  readonly #layouts = new Layouts()
  readonly #losses = new Losses()
  /** Definitions that found no room: no values before they are written. */
  #undefined: Definition[] = []
  #lapStart = 0
  #retryAt = -Infinity
  #directory = -1
  #closed = false

  constructor(place: WriterPlace) {
    this.instance = place.instance
    this.#seed = seedOf(place.instance)
    this.#settle(place)
  }

  begin(count: number, weighted: boolean): number {
    const flags = weighted ? WEIGHT : 0
    const size = HEAD_SIZE + 8 * (count + flags)
    if (size > this.#room && !this.#makeRoom(size, false)) return -1
    this.#size = size
    this.#flags = flags
    return (this.#word >> 1) + BODY_AT + flags
  }

  commit(layout: number, count: number, step: number, weight: number, time: number): void {
    const w = this.#word
    const i32 = this.#i32
    const f64 = this.f64
    i32[w + LAYOUT] = layout
    i32[w + COUNT] = count
    f64[(w >> 1) + STEP_AT] = step
    f64[(w >> 1) + TIME_AT] = time
    if (this.#flags !== 0) f64[(w >> 1) + BODY_AT] = weight
    if (!this.#append(Kind.values, count)) this.drop(layout, count)
  }

  drop(layout: number, count: number): void {
    this.#losses.add(layout, count)
    this.#header.cells[OWNER.lost]! += count
  }

  define(id: number, names: readonly string[], time: number): boolean {
    const body = Buffer.from(JSON.stringify({ id, names }))
    if (HEAD_SIZE + pad8(body.length) > RECORD_BYTES_MAX) return false
    const definition = { id, names, body, time }
    this.#layouts.add(definition)
    this.#undefined.push(definition)
    this.#room = 0
    this.#defineAll()
    return true
  }

  payload(kind: Kind, body: object, time: number): boolean {
    if (kind === Kind.end) this.#reportLosses(time)
    return this.#payload(kind, 0, Buffer.from(JSON.stringify(body)), time)
  }

  tick(now: number): void {
    if (this.#closed) return
    this.#reportLosses(now)
    this.#header.store()
  }

  countRefused(n: number): void {
    this.#header.cells[OWNER.refused]! += n
  }

  acked(): number {
    return this.#header.agent(AGENT.acked)
  }

  seq(): number {
    return (this.#seqLow >>> 0) + this.#seqHigh * 0x1_0000_0000
  }

  beat(): number {
    return this.#header.agent(AGENT.beat)
  }

  runId(): string | null {
    return this.#header.runId()
  }

  backlogBytes(): number {
    this.#segments.forget(this.#header.agent(AGENT.trimmed))
    this.#ring?.refresh()
    return this.#segments.outstanding + (this.#ring ? this.#ring.bytes - this.#ring.free : 0)
  }

  get logged(): number {
    return this.#points + this.lost
  }

  get lost(): number {
    return this.#header.cells[OWNER.lost]!
  }

  close(): void {
    if (this.#closed) return
    this.#reportLosses(wallMs())
    this.#header.cells[OWNER.closed] = 1
    this.#header.store()
    this.#closed = true
    this.#room = 0
    this.#segments.finish(this.seq())
    this.#header.detach()
    this.#ring = null
    this.#use(scratchOf(0))
    this.#place.release()
  }

  /** Completes the record at #word and publishes it; false when no file system takes it. */
  #append(kind: Kind, points: number): boolean {
    const ring = this.#ring
    if (!this.#inRing || ring === null) {
      if (!this.#storeInSegment(kind)) return false
      this.#count(this.#header.cells, points)
      return true
    }
    this.#stamp(kind)
    // In the ring the header's cells are part of the same mapping.
    const { f64 } = this
    this.#count(f64, points)
    const size = this.#size
    this.#word += size >> 2
    this.#room -= size
    f64[HEAD] = ring.head += size
    return true
  }

  /**
   * Points before seq: a reader takes the pair with the higher seq, which is whole whenever we are killed.
   */
  #count(cells: Float64Array, points: number): void {
    const low = (this.#seqLow + 1) | 0
    if (low === 0) this.#seqHigh++
    this.#seqLow = low
    const pair = low & 1 ? ODD : EVEN
    cells[pair + 1] = this.#points += points
    cells[pair] = (low >>> 0) + this.#seqHigh * 0x1_0000_0000
  }

  #stamp(kind: Kind): void {
    const i32 = this.#i32
    const w = this.#word
    const size = this.#size
    const low = (this.#seqLow + 1) | 0
    const high = low === 0 ? this.#seqHigh + 1 : this.#seqHigh
    i32[w + SIZE] = size
    i32[w + SEQ] = low
    i32[w + MARK] = high | (kind << 16) | (this.#flags << 24)
    i32[w + COMMIT] = ~crcWords(this.#seed, i32, w + 1, w + (size >> 2)) || 1
  }

  #storeInSegment(kind: Kind): boolean {
    for (;;) {
      // The seq is taken anew each time: a new segment may have begun with definitions.
      this.#stamp(kind)
      if (this.#segments.write(this.#u8, this.#size)) return true
      if (!this.#openSegment(this.#directory + 1)) return false
    }
  }

  #payload(kind: Kind, layout: number, body: Uint8Array, time: number): boolean {
    const size = HEAD_SIZE + pad8(body.length)
    if (size > RECORD_BYTES_MAX) return false
    if (size > this.#room && !this.#makeRoom(size, ABOVE_CAP.includes(kind))) return false
    const done = this.#putPayload(kind, layout, body, time)
    if (this.#undefined.length > 0) this.#room = 0
    return done
  }

  #putPayload(kind: Kind, layout: number, body: Uint8Array, time: number): boolean {
    const w = this.#word
    const start = w * 4 + HEAD_SIZE
    const size = HEAD_SIZE + pad8(body.length)
    this.#size = size
    this.#flags = 0
    this.#u8.set(body, start)
    this.#u8.fill(0, start + body.length, w * 4 + size)
    this.#i32[w + LAYOUT] = layout
    this.#i32[w + COUNT] = body.length
    this.f64[(w >> 1) + STEP_AT] = 0
    this.f64[(w >> 1) + TIME_AT] = time
    return this.#append(kind, 0)
  }

  /** The slow path of begin: the end of a lap, a full ring, or a segment. */
  #makeRoom(size: number, aboveCap: boolean): boolean {
    if (this.#closed || size > RECORD_BYTES_MAX) return false
    if (!aboveCap && this.#undefined.length > 0 && !this.#defineAll()) return false
    const ring = this.#ring
    if (ring !== null) {
      if (!this.#inRing && this.#header.agent(AGENT.overflowDone) === this.#epoch) this.#enterRing(ring)
      if (this.#inRing) {
        if (this.#placeInRing(ring, size)) return true
        this.#enterSegments()
      }
    }
    return this.#placeInSegment(size, aboveCap)
  }

  #placeInRing(ring: Ring, size: number): boolean {
    if (!ring.place(size, this.seq() + 1)) return false
    this.#word = ring.word
    this.#room = ring.room
    if (ring.atLapStart && ring.head !== this.#lapStart) {
      this.#lapStart = ring.head
      if (this.#layouts.repeatBytes(ring.bytes) + size <= this.#room) this.#repeatDefinitions(ring.bytes)
    }
    return true
  }

  #placeInSegment(size: number, aboveCap: boolean): boolean {
    const segments = this.#segments
    const cap = this.#place.overflowCap + (aboveCap ? RECORD_BYTES_MAX : 0)
    if (segments.outstanding + size > cap) {
      segments.forget(this.#header.agent(AGENT.trimmed))
      if (segments.outstanding + size > cap) return false
    }
    if (!segments.fits(size)) {
      if (!aboveCap && monotonicMs() < this.#retryAt) return false
      if (!this.#openSegment(0)) return false
    }
    if (this.#u8.length < size) this.#use(scratchOf(size))
    return true
  }

  /**
   * A new segment, in the first directory after `skip` others that takes it, beginning with the definitions.
   */
  #openSegment(skip: number): boolean {
    this.#directory = this.#segments.open(this.seq(), skip)
    if (this.#directory < 0) {
      this.#retryAt = monotonicMs() + SEGMENT_RETRY_MS
      return false
    }
    const bytes = this.#layouts.repeatBytes(this.#segments.limit)
    if (bytes === 0) return true
    // The record that is on its way lies in the scratch: definitions are written from another.
    const views = { f64: this.f64, i32: this.#i32, u8: this.#u8 }
    const size = this.#size
    const flags = this.#flags
    this.#use(scratchOf(bytes))
    const written = this.#repeatDefinitions(this.#segments.limit)
    this.#use(views)
    this.#size = size
    this.#flags = flags
    return written
  }

  #repeatDefinitions(space: number): boolean {
    if (this.#layouts.repeatBytes(space) === 0) return true
    for (const { id, body, time } of this.#layouts.written()) {
      if (!this.#putPayload(Kind.layout, id, body, time)) return false
    }
    return true
  }

  #defineAll(): boolean {
    const waiting = this.#undefined
    this.#undefined = []
    for (let i = 0; i < waiting.length; i++) {
      const definition = waiting[i]!
      if (this.#payload(Kind.layout, definition.id, definition.body, definition.time)) {
        this.#layouts.wasWritten(definition)
        continue
      }
      this.#undefined = i === 0 ? waiting : waiting.slice(i)
      this.#room = 0
      return false
    }
    return true
  }

  #settle(place: WriterPlace): void {
    this.#place = place
    this.path = place.path
    this.mapped = place.map !== null
    this.#ring = place.map ? new Ring(place.map, place.headerBytes, this.#seed) : null
    this.#header = new OwnerHeader(this.#ring?.f64 ?? null, place.fd)
    this.#segments = new Segments(place.instance, place.directories, place.overflowCap, place.mayUse)
    this.#inRing = this.#ring !== null
    this.#use(this.#ring ?? scratchOf(SCRATCH_BYTES))
  }

  /** From nowhere to a place: no record was written before, and what was counted stays. */
  protected move(place: WriterPlace): void {
    const counted = this.#header.cells
    this.#settle(place)
    const { cells } = this.#header
    for (const cell of [OWNER.lost, OWNER.refused]) cells[cell] = counted[cell]!
    this.#retryAt = -Infinity
  }

  #enterSegments(): void {
    this.#inRing = false
    this.#header.cells[OWNER.epoch] = ++this.#epoch
    this.#use(scratchOf(SCRATCH_BYTES))
  }

  #enterRing(ring: Ring): void {
    this.#segments.finish(this.seq())
    this.#use(ring)
    this.#inRing = true
    this.#header.cells[OWNER.epoch] = ++this.#epoch
  }

  #use(views: Views): void {
    this.f64 = views.f64
    this.#i32 = views.i32
    this.#u8 = views.u8
    this.#word = 0
    this.#room = 0
  }

  #reportLosses(now: number): void {
    if (!this.#losses.some || this.#closed) return
    this.#losses.report(this.#layouts, (points) => {
      const body = Buffer.from(JSON.stringify({ points, cause: 'overflow' }))
      return this.#payload(Kind.lost, 0, body, now)
    })
  }
}
