/**
 * Room wire, batches, writing: consecutive records of one instance become one blob, by columns.
 *
 * In: records in seq order (a RecordSink). Out: the bytes that travel in BATCH and stay in spool and ledger.
 * Invariants: seqs are consecutive from firstSeq; `bytes` is never less than the finished blob; every
 * double comes back bit for bit (NaNs become the canonical one). It keeps the records until `reset`:
 * `finish` may be called again.
 */
import { RankzeroError } from '../errors.ts'
import { BATCH_POINTS_MAX, BATCH_RECORDS_MAX, LAYOUT_NAMES_MAX } from '../limits.ts'
import type { InstanceId, Kind, RecordSink } from '../record/index.ts'
import { crc32 } from '../record/crc32.ts'
import {
  BATCH_MAGIC, BATCH_VERSION, Coding, Column, CRC_BYTES, GROUP_BYTES_MAX, HEAD_BYTES_MAX, HEAD_FIXED_BYTES,
  INSTANCE_AT, PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX, WEIGHTED, Writer,
} from './batch-format.ts'

interface GroupDraft {
  layout: number
  columns: number
  /** Indices into the record arrays. */
  records: number[]
  weighted: boolean
}

interface PayloadDraft {
  seq: number
  kind: Kind
  time: number
  body: Uint8Array
}

/** More is not kept between two batches: a large payload made it so large. */
const SCRATCH_BYTES_MAX = 1 << 20

/** Per record: its seq, step, time, weight, and where its values begin in the arena. */
const FIELDS = 5
const SEQ = 0
const STEP = 1
const TIME = 2
const WEIGHT = 3
const VALUES_AT = 4

export class BatchBuilder implements RecordSink {
  readonly instance: InstanceId
  /** 0 until the first record of a new builder decides it. */
  firstSeq = 0
  /** Records, of all kinds. */
  count = 0
  points = 0
  /** Upper bound of the size of the finished blob. */
  bytes = HEAD_BYTES_MAX
  readonly #head: Uint8Array
  #values = new Float64Array(4096)
  #valueCount = 0
  #records = new Float64Array(FIELDS * 256)
  #recordCount = 0
  #groups = new Map<number, GroupDraft>()
  #payloads: PayloadDraft[] = []

  constructor(instance: InstanceId) {
    this.instance = instance
    this.#head = new Uint8Array(HEAD_FIXED_BYTES)
    new DataView(this.#head.buffer).setUint16(0, BATCH_MAGIC, true)
    this.#head[2] = BATCH_VERSION
    for (let i = 0; i < 16; i++) {
      this.#head[INSTANCE_AT + i] = Number.parseInt(instance.slice(2 * i, 2 * i + 2), 16)
    }
  }

  get lastSeq(): number {
    return this.firstSeq + this.count - 1
  }

  /** Forgets all records; the next one must have this seq (0: any). */
  reset(firstSeq: number): void {
    this.firstSeq = firstSeq
    this.count = 0
    this.points = 0
    this.bytes = HEAD_BYTES_MAX
    this.#valueCount = 0
    this.#recordCount = 0
    this.#groups.clear()
    this.#payloads.length = 0
  }

  values(
    seq: number, layout: number, step: number, weight: number, time: number,
    values: Float64Array, at: number, count: number,
  ): void {
    this.#admit(seq, count)
    const arena = this.#room(count)
    const start = this.#valueCount
    for (let i = 0; i < count; i++) arena[start + i] = values[at + i]!
    this.#valueCount = start + count
    const records = this.#records
    const record = this.#recordCount++
    const field = FIELDS * record
    records[field + SEQ] = seq
    records[field + STEP] = step
    records[field + TIME] = time
    records[field + WEIGHT] = weight
    records[field + VALUES_AT] = start
    // An id never has two sizes in one instance; if a damaged writer made two, they become two groups.
    const key = layout * (LAYOUT_NAMES_MAX + 1) + count
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { layout, columns: count, records: [], weighted: false }
      this.#groups.set(key, group)
      this.bytes += GROUP_BYTES_MAX + (count >> 2) + 1
    }
    group.records.push(record)
    if (weight === weight) group.weighted = true
    this.points += count
    this.bytes += RECORD_BYTES_MAX + 8 * count
  }

  payload(seq: number, kind: Kind, time: number, body: Uint8Array): void {
    this.#admit(seq, 0)
    this.#payloads.push({ seq, kind, time, body: body.slice() })
    this.bytes += PAYLOAD_BYTES_MAX + body.length
  }

  /** The blob, in bytes of its own. */
  finish(): Uint8Array {
    if (this.count === 0) throw internal('a batch without records was finished')
    const out = scratchOf(this.bytes)
    out.bytes.set(this.#head)
    out.at = HEAD_FIXED_BYTES
    out.varint(this.firstSeq)
    out.varint(this.count)
    out.varint(this.points)
    out.varint(this.#groups.size)
    out.varint(this.#payloads.length)
    const bases: Bases = { seq: this.firstSeq - 1, step: 0, time: 0 }
    for (const group of this.#groups.values()) this.#writeGroup(out, group, bases)
    if (this.#payloads.length > 0) this.#writePayloads(out, bases)
    const crc = crc32(out.bytes, 0, 0, out.at)
    out.view.setUint32(out.at, crc, true)
    return out.bytes.slice(0, out.at + CRC_BYTES)
  }

  #admit(seq: number, points: number): void {
    if (this.count === 0 && this.firstSeq === 0) this.firstSeq = seq
    if (seq !== this.firstSeq + this.count || seq < 1) {
      throw internal(`record ${seq} of ${this.instance} came where ${this.firstSeq + this.count} was due`)
    }
    if (this.count >= BATCH_RECORDS_MAX || this.points + points > BATCH_POINTS_MAX) {
      throw internal(`a batch of ${this.instance} is full: ${this.count} records, ${this.points} points`)
    }
    this.count++
    if (FIELDS * (this.#recordCount + 1) > this.#records.length) this.#records = doubled(this.#records, 0)
  }

  #room(count: number): Float64Array {
    const needed = this.#valueCount + count
    if (needed > this.#values.length) this.#values = doubled(this.#values, needed)
    return this.#values
  }

  #writeGroup(out: Writer, group: GroupDraft, bases: Bases): void {
    const n = group.records.length
    out.varint(group.layout)
    out.varint(group.columns)
    out.varint(n)
    const modeAt = out.at++
    const seqMode = out.sequence(this.#field(group, SEQ), n, bases.seq)
    const steps = this.#field(group, STEP)
    const stepMode = out.sequence(steps, n, bases.step)
    const times = this.#field(group, TIME)
    const timeMode = out.sequence(times, n, bases.time)
    // Layouts logged in turn have nearly the same steps and times: the next group starts from this one's.
    if (stepMode !== Coding.raw) bases.step = steps[0]!
    if (timeMode !== Coding.raw) bases.time = times[0]!
    out.bytes[modeAt] = seqMode | (stepMode << 2) | (timeMode << 4) | (group.weighted ? WEIGHTED : 0)
    const columns = group.columns + (group.weighted ? 1 : 0)
    const tagsAt = out.at
    out.at += (columns + 3) >> 2
    out.bytes.fill(0, tagsAt, out.at) // a sequence that tried runs first leaves bytes beyond its end
    const rows = this.#field(group, VALUES_AT)
    for (let c = 0; c < group.columns; c++) {
      out.bytes[tagsAt + (c >> 2)]! |= writeColumn(out, this.#values, rows, c) << (2 * (c & 3))
    }
    if (group.weighted) {
      const c = group.columns
      for (let i = 0; i < n; i++) rows[i] = i
      out.bytes[tagsAt + (c >> 2)]! |= writeColumn(out, this.#field(group, WEIGHT), rows, 0) << (2 * (c & 3))
    }
  }

  #field(group: GroupDraft, field: number): Float64Array {
    const { records } = group
    const out = new Float64Array(records.length)
    for (let i = 0; i < out.length; i++) out[i] = this.#records[FIELDS * records[i]! + field]!
    return out
  }

  #writePayloads(out: Writer, bases: Bases): void {
    const list = this.#payloads
    const modeAt = out.at++
    const seqMode = out.sequence(Float64Array.from(list, (p) => p.seq), list.length, bases.seq)
    const timeMode = out.sequence(Float64Array.from(list, (p) => p.time), list.length, bases.time)
    out.bytes[modeAt] = seqMode | (timeMode << 4)
    for (const p of list) {
      out.u8(p.kind)
      out.varint(p.body.length)
    }
    for (const p of list) {
      out.bytes.set(p.body, out.at)
      out.at += p.body.length
    }
  }
}

let scratch = new Writer(0)

/** What is written is copied out at once: all builders use the same memory, and none clears it. */
function scratchOf(bytes: number): Writer {
  if (bytes > SCRATCH_BYTES_MAX) return new Writer(bytes)
  if (scratch.bytes.length < bytes) scratch = new Writer(bytes)
  return scratch
}

interface Bases {
  seq: number
  step: number
  time: number
}

/** Writes the values at rows[i] + column in the smallest exact coding and returns it. */
function writeColumn(out: Writer, values: Float64Array, rows: Float64Array, column: number): number {
  const n = rows.length
  const first = values[rows[0]! + column]!
  let same = true
  let single = true
  for (let i = 0; i < n && (same || single); i++) {
    const v = values[rows[i]! + column]!
    if (!Object.is(v, first)) same = false
    if (Math.fround(v) !== v && v === v) single = false
  }
  const { view } = out
  let at = out.at
  const count = same ? 1 : n
  if (single) {
    for (let i = 0; i < count; i++, at += 4) view.setFloat32(at, values[rows[i]! + column]!, true)
  } else {
    for (let i = 0; i < count; i++, at += 8) view.setFloat64(at, values[rows[i]! + column]!, true)
  }
  out.at = at
  return same ? (single ? Column.same32 : Column.same64) : single ? Column.f32 : Column.f64
}

function doubled(from: Float64Array, least: number): Float64Array<ArrayBuffer> {
  const to = new Float64Array(Math.max(2 * from.length, least))
  to.set(from)
  return to
}

function internal(message: string): RankzeroError {
  return new RankzeroError('INTERNAL', message, 'report this with the versions of rankzero on all nodes')
}
