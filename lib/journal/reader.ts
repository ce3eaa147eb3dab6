/**
 * The agent's end of a journal, also for sync and doctor: reads with pread, frees with a cell in the header.
 *
 * In: the files of one instance, of a live or a dead owner. Out: its records in seq order; trims; holes.
 * Invariants: only what was committed is delivered; what is trimmed was read here; cells and files change in
 * an order that a kill at any instant leaves readable (first the cell, then the deletion).
 * Only the holder of the agent's lock may call what writes. It keeps no copy of records.
 */
import { closeSync, existsSync, readSync, readdirSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { monotonicMs } from '../clock.ts'
import { RankzeroError, errnoOf, messageOf } from '../errors.ts'
import { openOwn, whyNotOurs } from '../files.ts'
import { HOLE_CONFIRM_MS } from '../limits.ts'
import { native } from '../native.ts'
import type { Origin, RecordSink } from '../record/index.ts'
import { AgentBlock, CELL, readOwner } from './cells.ts'
import { Cursor, type JournalFiles, type OwnerCells, type Position } from './cursor.ts'
import { HEADER, LOCK_POSIX, PAGE_BYTES, RUN_BYTES_MAX, decodeHeader, seedOf, type Header } from './format.ts'
import { heldHere, lockName } from './place.ts'
import { livesAs, removeFile, sweep } from './process.ts'
import { examine } from './recovery.ts'
import { SegmentFiles } from './segment-files.ts'
import type { Counters, Hole, JournalReader } from './types.ts'

/** Marks closer than this (bytes) are merged: a trim rounds down to a mark. */
const MARK_BYTES = 4096

/**
 * Paths of the journals in a directory; [] when there is none, or it is not ours alone (`refused` hears why).
 * Takes away what a killed init() left half made.
 */
export function listJournals(dir: string, refused: (why: string) => void = () => {}): string[] {
  const why = whyNotOurs(dir)
  if (why !== null) {
    refused(why)
    return []
  }
  let names: string[]
  try {
    names = readdirSync(dir)
  } catch {
    return []
  }
  sweep(dir, names)
  return names.filter((name) => /^[0-9a-f]{32}\.jnl$/.test(name)).sort().map((name) => join(dir, name))
}

/** Throws DAMAGED when the header does not check, JOURNAL when the file cannot be opened. */
export function openReader(path: string): JournalReader {
  let fd: number
  try {
    fd = openOwn(path, 'r+')
  } catch (error) {
    const gone = errnoOf(error) === 'ENOENT'
    const remedy = gone ? 'it was delivered and removed meanwhile' : 'check its owner and mode'
    throw new RankzeroError('JOURNAL', `${path}: ${messageOf(error)}`, remedy, { cause: error })
  }
  try {
    return new Reader(path, fd, readHeader(fd, path))
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function readHeader(fd: number, path: string): Header {
  const page = Buffer.alloc(PAGE_BYTES)
  const n = readSync(fd, page, 0, PAGE_BYTES, 0)
  const bytes = n < PAGE_BYTES ? 0 : page.readUInt32LE(HEADER.headerBytes)
  if (bytes <= PAGE_BYTES || bytes > 64 * PAGE_BYTES) return decodeHeader(page.subarray(0, n), path)
  const whole = Buffer.alloc(bytes)
  return decodeHeader(whole.subarray(0, readSync(fd, whole, 0, bytes, 0)), path)
}

class Reader implements JournalReader {
  readonly path: string
  readonly origin: Origin
  readonly #files: JournalFiles
  readonly #agent: AgentBlock
  readonly #cursor: Cursor
  /** Positions after read() calls, from the trimmed one on, ascending. */
  #marks: Position[]
  /** Marks behind a hole stay: a seek to after it must not meet it again. */
  readonly #pins = new WeakSet<Position>()
  /** First sight of a hole: damage is believed when it stays. */
  #seen: { from: number; since: number } | null = null
  #hole: { hole: Hole; after: Position } | null = null
  #closed = false

  constructor(path: string, fd: number, header: Header) {
    this.path = path
    this.origin = header.origin
    const { instance } = header.origin
    const segments = new SegmentFiles(instance, header.directories)
    this.#files = { fd, seed: seedOf(instance), header, segments }
    this.#agent = new AgentBlock(fd)
    const trimmed = this.#agent.get(CELL.trimmed)
    this.#cursor = new Cursor(this.#files, {
      next: trimmed + 1,
      counted: trimmed,
      points: this.#agent.get(CELL.points),
      ringOffset: this.#agent.get(CELL.tail),
      ringSeq: trimmed,
      segment: 0,
      segmentOffset: 0,
      passed: 0,
    })
    this.#marks = [{ ...this.#cursor.at }]
  }

  get next(): number {
    return this.#cursor.at.next
  }

  first(): number {
    return this.#agent.get(CELL.trimmed) + 1
  }

  counters(): Counters {
    const owner = this.#owner()
    const { next, points } = this.#cursor.at
    // The header may be older than the last records: the owner was killed in between, or writes it once a
    // second.
    const read = next - 1 > owner.seq
    return {
      seq: read ? next - 1 : owner.seq,
      logged: (read ? Math.max(points, owner.points) : owner.points) + owner.lost,
      lost: owner.lost,
      refused: owner.refused,
      acked: this.#agent.get(CELL.acked),
      trimmed: this.#agent.get(CELL.trimmed),
    }
  }

  read(sink: RecordSink, bytesMax: number): number {
    const bytes = this.#cursor.read(sink, bytesMax, this.#owner())
    if (bytes > 0) this.#mark(false)
    return bytes
  }

  seek(seq: number): void {
    const mark = this.#marks.findLast((m) => m.next <= seq) ?? this.#marks[0]!
    const at = this.#cursor.at
    this.#cursor.at = { ...(seq >= at.next ? at : mark), next: Math.max(seq, this.first()) }
    this.#hole = null
  }

  hole(): Hole | null {
    const owner = this.#owner()
    if (!owner.whole || (owner.seq < this.next && !this.#unreadBytes())) return null
    const { hole, after } = examine(this.#cursor, owner)
    if (hole === null) {
      this.#seen = null
      return null
    }
    const now = monotonicMs()
    if (this.#seen?.from !== hole.from) this.#seen = { from: hole.from, since: now }
    // A store of another processor may be on its way; a dead owner's are all there.
    if (now - this.#seen.since < HOLE_CONFIRM_MS && this.ownerAlive()) return null
    this.#hole = { hole, after }
    return hole
  }

  skipHole(): void {
    if (this.#hole === null) return
    this.#cursor.at = this.#hole.after
    this.#hole = null
    this.#seen = null
    this.#mark(true)
  }

  backlog(): number {
    const { ringBytes } = this.#files.header
    const owner = this.#owner()
    const ring = ringBytes > 0 ? Math.max(0, owner.head - this.#agent.get(CELL.tail)) : 0
    const mark = this.#marks[0]!
    if (ringBytes > 0 && owner.epoch === 0) return ring
    return ring + Math.max(0, this.#files.segments.bytesFrom(mark.segment) - mark.segmentOffset)
  }

  ack(seq: number): void {
    this.#free(seq, seq)
  }

  trim(seq: number): void {
    this.#free(seq, 0)
  }

  #free(seq: number, acked: number): void {
    const index = this.#marks.findLastIndex((m) => m.next - 1 <= seq)
    if (index < 0) return this.#agent.raise([[CELL.acked, acked]])
    this.#marks.splice(0, index)
    const mark = this.#marks[0]!
    // Gone back, then acknowledged after all: what lies before the mark may be overwritten from now on.
    if (this.next < mark.next) this.#cursor.at = { ...mark }
    const { ringBytes } = this.#files.header
    const owner = this.#owner()
    const ringIsEmpty = ringBytes > 0 && owner.epoch % 2 === 1 && mark.ringOffset >= owner.head
    this.#agent.raise([
      [CELL.acked, acked],
      [CELL.tail, mark.ringOffset],
      [CELL.trimmed, mark.next - 1],
      [CELL.points, mark.points],
      [CELL.overflowDone, ringIsEmpty ? owner.epoch : 0],
    ])
    if (ringBytes === 0 || owner.epoch > 0) this.#deleteSegments(mark, ringBytes > 0 && owner.epoch % 2 === 0)
  }

  beat(now: number): void {
    this.#agent.raise([[CELL.beat, now]])
  }

  setRun(run: string): void {
    const text = Buffer.from(run)
    if (text.length > RUN_BYTES_MAX) {
      const remedy = `use at most ${RUN_BYTES_MAX} bytes`
      throw new RankzeroError('USAGE', `run id of ${text.length} bytes: ${run}`, remedy)
    }
    writeSync(this.#files.fd, text, 0, text.length, HEADER.run + 4)
    // The length last: a reader sees no run id or the whole one.
    writeSync(this.#files.fd, Uint8Array.of(text.length), 0, 1, HEADER.run)
  }

  runId(): string | null {
    const bytes = Buffer.alloc(4 + RUN_BYTES_MAX)
    readSync(this.#files.fd, bytes, 0, bytes.length, HEADER.run)
    const length = bytes[0]!
    return length === 0 || length > RUN_BYTES_MAX ? null : bytes.toString('utf8', 4, 4 + length)
  }

  ownerAlive(): boolean {
    const { origin, lockMode } = this.#files.header
    if (this.#owner().closed) return false
    if (heldHere(origin.instance)) return true
    if (lockMode === LOCK_POSIX && native.kind === 'addon') {
      const lock = join(dirname(this.path), lockName(origin.instance))
      if (!existsSync(lock)) return false
      const holder = native.lockHolder(lock)
      if (holder !== -1) return holder !== 0
    }
    return livesAs(origin)
  }

  remove(): void {
    const { segments, header } = this.#files
    for (const n of segments.list()) segments.remove(n)
    removeFile(join(dirname(this.path), lockName(header.origin.instance)))
    // The journal last: while it is there, a scan comes back to finish this.
    removeFile(this.path)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#files.segments.close()
    closeSync(this.#files.fd)
  }

  #owner(): OwnerCells {
    return readOwner(this.#files.fd)
  }

  /** In file mode the header is up to a second old: bytes behind the cursor tell of damage earlier. */
  #unreadBytes(): boolean {
    const { header, segments } = this.#files
    const { segment, segmentOffset } = this.#cursor.at
    if (header.ringBytes > 0) return false
    return segments.facts(segment).bytes > segmentOffset || segments.find(segment + 1) !== null
  }

  #mark(pinned: boolean): void {
    const at = { ...this.#cursor.at }
    const marks = this.#marks
    const last = marks.at(-1)!
    if (at.next <= last.next) return
    const before = marks.at(-2)
    if (before !== undefined && !this.#pins.has(last) && at.passed - before.passed < MARK_BYTES) marks.pop()
    if (pinned) this.#pins.add(at)
    marks.push(at)
  }

  /**
   * First the cell, then the files: a reader that comes after a kill in between finds all that it looks for.
   */
  #deleteSegments(mark: Position, ringAgain: boolean): void {
    const { segments } = this.#files
    const at = this.#cursor.at
    const done = ringAgain && mark.segment > 0 && segments.facts(mark.segment).bytes === mark.segmentOffset
    for (const n of segments.list()) {
      if (n < mark.segment || (done && n === mark.segment)) segments.remove(n)
    }
    segments.open(at.segment)
  }
}
