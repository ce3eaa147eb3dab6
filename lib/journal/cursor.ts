/**
 * A place in a journal and the way forward from it, through ring and segments, in the order of seq.
 *
 * In: the files. Out: records to a sink. Invariants: what is delivered has exactly the next seq; the ring is
 * never read past what has been written in this lap (a stale record has a lower seq than the one before it).
 * It writes nothing: cells and deletions are reader.ts, damage is recovery.ts.
 */
import { Kind, type RecordSink } from '../record/index.ts'
import { BODY, FLAG_WEIGHT, HEAD_BYTES, RECORD, STEP, TIME, type Header } from './format.ts'
import { SegmentFiles } from './segment-files.ts'
import { findRecord, kindAt, walk, window } from './window.ts'

export interface Position {
  /** Seq to deliver next. */
  next: number
  /** `points` counts the points of all records up to this seq. */
  counted: number
  points: number
  /** Offset in the ring (ever growing) and the seq of the record before it. */
  ringOffset: number
  ringSeq: number
  segment: number
  segmentOffset: number
  /** Bytes passed since the reader was opened. */
  passed: number
}

/** What a cursor needs to know about the writer. */
export interface OwnerCells {
  /** False: the writer was too busy to be read whole; seq and points may be one record apart. */
  whole: boolean
  seq: number
  points: number
  lost: number
  refused: number
  epoch: number
  head: number
  closed: boolean
}

export interface JournalFiles {
  fd: number
  seed: number
  header: Header
  segments: SegmentFiles
}

export class Cursor {
  readonly files: JournalFiles
  at: Position
  /** Records after this seq are not read. */
  readonly #until: number
  #sink: RecordSink | null = null
  #left = 0
  #bytes = 0

  constructor(files: JournalFiles, at: Position, until = Infinity) {
    this.files = files
    this.#until = until
    this.at = { ...at }
  }

  /**
   * Delivers up to about `bytesMax` bytes of records; `sink` null only counts. Returns the bytes delivered.
   */
  read(sink: RecordSink | null, bytesMax: number, owner: OwnerCells): number {
    this.#sink = sink
    this.#left = bytesMax
    this.#bytes = 0
    for (;;) {
      const before = this.at.passed
      if (this.files.header.ringBytes > 0) this.#readRing()
      if (this.#left <= 0 || !this.#mayBeInSegments(owner)) return this.#bytes
      this.#readSegments()
      if (this.#left <= 0 || this.at.passed === before) return this.#bytes
    }
  }

  #mayBeInSegments(owner: OwnerCells): boolean {
    return this.files.header.ringBytes === 0 || owner.epoch % 2 === 1 || owner.seq >= this.at.next
  }

  #readRing(): void {
    const { fd, seed, header } = this.files
    const at = this.at
    while (this.#left > 0) {
      let start = at.ringOffset
      const left = header.ringBytes - (start % header.ringBytes)
      if (left < HEAD_BYTES) start += left
      const place = start % header.ringBytes
      const moved = walk(seed, fd, header.headerBytes + place, header.ringBytes - place, this.#visitRing)
      if (moved === 0) return
      at.ringOffset = start + moved
      at.passed += moved
      // Only at its end does it go on elsewhere.
      if (place + moved + HEAD_BYTES <= header.ringBytes) return
    }
  }

  readonly #visitRing = (w: number, size: number, seq: number): boolean => {
    const at = this.at
    if (seq <= at.ringSeq || this.#left <= 0) return false
    if (kindAt(w) === Kind.pad) return true
    if (seq > at.next || seq > this.#until) return false
    at.ringSeq = seq
    this.#take(w, size, seq)
    return true
  }

  #readSegments(): void {
    const { seed, segments } = this.files
    const at = this.at
    while (this.#left > 0) {
      const fd = this.#openSegment()
      if (fd < 0) return
      const moved = walk(seed, fd, at.segmentOffset, Infinity, this.#visitSegment)
      at.segmentOffset += moved
      at.passed += moved
      if (moved > 0) continue
      if (!segments.facts(at.segment).linked) {
        // Taken away by its writer, which could not write to it; the number may come again.
        segments.close()
        return
      }
      if (segments.find(at.segment + 1) === null || !this.#segmentIsRead(fd)) return
      at.segment++
      at.segmentOffset = 0
      at.passed++
    }
  }

  readonly #visitSegment = (w: number, size: number, seq: number): boolean => {
    if (seq > this.at.next || seq > this.#until || this.#left <= 0) return false
    this.#take(w, size, seq)
    return true
  }

  #openSegment(): number {
    const { segments } = this.files
    const fd = segments.open(this.at.segment)
    if (fd >= 0) return fd
    const later = segments.list().find((n) => n > this.at.segment)
    if (later === undefined) return -1
    this.at.segment = later
    this.at.segmentOffset = 0
    return segments.open(later)
  }

  /**
   * With the next segment there, nothing is added to this one any more. False when records still follow:
   * those that came since the last look, or those behind a damaged one; a torn end is passed over.
   */
  #segmentIsRead(fd: number): boolean {
    const { seed } = this.files
    return findRecord(seed, fd, this.at.segmentOffset, Infinity, this.at.next, Infinity) === null
  }

  #take(w: number, size: number, seq: number): void {
    const { i32, f64, u8 } = window
    const at = this.at
    const kind = kindAt(w) as Kind
    const count = i32[w + RECORD.count]!
    if (seq > at.counted) {
      at.counted = seq
      if (kind === Kind.values) at.points += count
    }
    if (seq < at.next) return
    at.next = seq + 1
    this.#left -= size
    this.#bytes += size
    if (this.#sink === null) return
    const d = w >> 1
    const time = f64[d + TIME]!
    if (kind !== Kind.values) {
      const start = w * 4 + HEAD_BYTES
      this.#sink.payload(seq, kind, time, u8.subarray(start, start + count))
      return
    }
    const weighted = (i32[w + RECORD.mark]! >>> 24) & FLAG_WEIGHT
    const weight = weighted === 0 ? NaN : f64[d + BODY]!
    const layout = i32[w + RECORD.layout]! >>> 0
    this.#sink.values(seq, layout, f64[d + STEP]!, weight, time, f64, d + BODY + weighted, count)
  }
}
