/**
 * Room wire, batches, reading: a blob of batch-build.ts back into columns.
 *
 * In: bytes from a peer, a spool or a ledger. Out: the batch, or DAMAGED.
 * Invariants: the crc is checked first; nothing outside the blob is read; at most BATCH_POINTS_MAX points
 * and BATCH_RECORDS_MAX records are allocated, whatever the bytes say; every seq from first to last comes
 * exactly once.
 * It does not know metric names: layout records are payloads like others.
 */
import { BATCH_POINTS_MAX, BATCH_RECORDS_MAX, FRAME_BYTES_MAX } from '../limits.ts'
import { Kind, type InstanceId } from '../record/index.ts'
import { crc32 } from '../record/crc32.ts'
import {
  bad, BATCH_MAGIC, BATCH_VERSION, Coding, Column, CRC_BYTES, HEAD_FIXED_BYTES, INSTANCE_AT, Reader, WEIGHTED,
} from './batch-format.ts'

export interface BatchHead {
  instance: InstanceId
  firstSeq: number
  lastSeq: number
  points: number
}

/** The records of one layout, in seq order. */
export interface Group {
  layout: number
  /** Records. */
  count: number
  seqs: Float64Array
  steps: Float64Array
  times: Float64Array
  /** NaN where a record had none; null when none had. */
  weights: Float64Array | null
  /** Names of the layout. */
  width: number
  /** Column by column: value `c` of record `i` is at `c * count + i`. One array, as a thousand cost more. */
  values: Float64Array
}

export interface BatchPayload {
  seq: number
  kind: Kind
  time: number
  /** UTF-8 JSON; a view into the blob. */
  body: Uint8Array
}

export interface Batch extends BatchHead {
  groups: Group[]
  /** In seq order. */
  payloads: BatchPayload[]
}

interface Parts extends BatchHead {
  records: number
  groups: number
  payloads: number
}

export function peekBatch(blob: Uint8Array): BatchHead {
  const { instance, firstSeq, lastSeq, points } = readHead(open(blob))
  return { instance, firstSeq, lastSeq, points }
}

export function decodeBatch(blob: Uint8Array): Batch {
  const reader = open(blob)
  const head = readHead(reader)
  const seen = new Uint8Array(head.records)
  const bases = { step: 0, time: 0 }
  const groups: Group[] = []
  let points = 0
  for (let i = 0; i < head.groups; i++) {
    const group = readGroup(reader, head, bases, seen, head.points - points)
    points += group.values.length
    groups.push(group)
  }
  const payloads = head.payloads === 0 ? [] : readPayloads(reader, head, bases.time, seen)
  if (reader.at !== reader.end) throw bad(`${reader.end - reader.at} bytes are left over`)
  if (points !== head.points) throw bad(`${points} points are in it, ${head.points} were announced`)
  // Seqs are unique (`mark`), so the count tells whether any is missing.
  const records = groups.reduce((sum, group) => sum + group.count, payloads.length)
  if (records !== head.records) throw bad(`${records} records are in it, ${head.records} were announced`)
  const { instance, firstSeq, lastSeq } = head
  return { instance, firstSeq, lastSeq, points, groups, payloads }
}

const DIGITS = [...'0123456789abcdef'].map((digit) => digit.charCodeAt(0))

function hexOf(bytes: Uint8Array, from: number, to: number): InstanceId {
  const codes: number[] = []
  for (let i = from; i < to; i++) codes.push(DIGITS[bytes[i]! >> 4]!, DIGITS[bytes[i]! & 15]!)
  return String.fromCharCode(...codes)
}

function open(blob: Uint8Array): Reader {
  const end = blob.length - CRC_BYTES
  if (end < HEAD_FIXED_BYTES || blob.length > FRAME_BYTES_MAX) throw bad(`its size is ${blob.length} bytes`)
  const reader = new Reader(blob, 0, end)
  if (reader.view.getUint32(end, true) !== crc32(blob, 0, 0, end)) throw bad('its crc does not match')
  return reader
}

function readHead(reader: Reader): Parts {
  const { view, bytes } = reader
  if (view.getUint16(0, true) !== BATCH_MAGIC || bytes[2] !== BATCH_VERSION || bytes[3] !== 0) {
    throw bad(`it does not begin as a batch of version ${BATCH_VERSION}`)
  }
  const instance = hexOf(bytes, INSTANCE_AT, HEAD_FIXED_BYTES)
  reader.at = HEAD_FIXED_BYTES
  const firstSeq = reader.varint(Number.MAX_SAFE_INTEGER - BATCH_RECORDS_MAX, 'firstSeq')
  const records = reader.varint(BATCH_RECORDS_MAX, 'the number of records')
  const points = reader.varint(BATCH_POINTS_MAX, 'the number of points')
  const groups = reader.varint(records, 'the number of groups')
  const payloads = reader.varint(records, 'the number of payloads')
  if (firstSeq === 0 || records === 0) throw bad('it has no first record')
  return { instance, firstSeq, lastSeq: firstSeq + records - 1, points, records, groups, payloads }
}

function readGroup(
  reader: Reader, head: Parts, bases: { step: number; time: number }, seen: Uint8Array, pointsLeft: number,
): Group {
  const layout = reader.varint(0xffff_ffff, 'a layout')
  const names = reader.varint(pointsLeft, 'the number of columns')
  const count = reader.varint(head.records, 'the number of records in a group')
  if (count === 0 || names * count > pointsLeft) {
    throw bad(`a group has ${names} columns and ${count} records`)
  }
  const mode = reader.u8()
  if (mode >= 2 * WEIGHTED) throw bad(`group mode ${mode} is unknown`)
  const seqs = readSeqs(reader, mode & 3, count, head, seen)
  const stepMode = (mode >> 2) & 3
  const steps = reader.sequence(stepMode, count, bases.step)
  const timeMode = (mode >> 4) & 3
  const times = reader.sequence(timeMode, count, bases.time)
  if (stepMode !== Coding.raw) bases.step = steps[0]!
  if (timeMode !== Coding.raw) bases.time = times[0]!
  const weighted = (mode & WEIGHTED) !== 0
  const all = names + (weighted ? 1 : 0)
  const tagsAt = reader.take((all + 3) >> 2)
  const values = new Float64Array(names * count)
  const weights = weighted ? new Float64Array(count) : null
  for (let c = 0; c < all; c++) {
    const tag = (reader.bytes[tagsAt + (c >> 2)]! >> (2 * (c & 3))) & 3
    if (c < names) readColumn(reader, tag, values, c * count, count)
    else readColumn(reader, tag, weights!, 0, count)
  }
  return { layout, count, width: names, seqs, steps, times, weights, values }
}

/** Ascending within a group, inside the batch, and not in another group. */
function readSeqs(
  reader: Reader, coding: number, count: number, head: Parts, seen: Uint8Array,
): Float64Array {
  if (coding === Coding.raw) throw bad('seqs are not coded as numbers')
  const seqs = reader.sequence(coding, count, head.firstSeq - 1)
  for (let i = 0, last = head.firstSeq - 1; i < count; i++) {
    const seq = seqs[i]!
    if (seq <= last || seq > head.lastSeq || seen[seq - head.firstSeq] !== 0) {
      throw bad(`seq ${seq} is out of place in ${head.firstSeq}..${head.lastSeq}`)
    }
    seen[seq - head.firstSeq] = 1
    last = seq
  }
  return seqs
}

function readColumn(reader: Reader, tag: number, out: Float64Array, to: number, count: number): void {
  const { view } = reader
  const end = to + count
  switch (tag) {
    case Column.same32: return void out.fill(view.getFloat32(reader.take(4), true), to, end)
    case Column.same64: return void out.fill(view.getFloat64(reader.take(8), true), to, end)
    case Column.f32:
      for (let at = reader.take(4 * count); to < end; to++, at += 4) out[to] = view.getFloat32(at, true)
      return
    default:
      for (let at = reader.take(8 * count); to < end; to++, at += 8) out[to] = view.getFloat64(at, true)
  }
}

function readPayloads(reader: Reader, head: Parts, timeBase: number, seen: Uint8Array): BatchPayload[] {
  const n = head.payloads
  const mode = reader.u8()
  if ((mode & ~0x33) !== 0) throw bad(`payload mode ${mode} is unknown`)
  const seqs = readSeqs(reader, mode & 3, n, head, seen)
  const times = reader.sequence(mode >> 4, n, timeBase)
  const kinds = new Uint8Array(n)
  const sizes = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    kinds[i] = reader.u8()
    if (kinds[i] === Kind.pad || kinds[i] === Kind.values) throw bad(`kind ${kinds[i]} is no payload`)
    sizes[i] = reader.varint(FRAME_BYTES_MAX, 'the size of a payload')
  }
  const list: BatchPayload[] = []
  for (let i = 0; i < n; i++) {
    const at = reader.take(sizes[i]!)
    const body = reader.bytes.subarray(at, reader.at)
    list.push({ seq: seqs[i]!, kind: kinds[i] as Kind, time: times[i]!, body })
  }
  return list
}
