/**
 * Agent, spool format: what waits on disk for a head. Pure; spool.ts does the writing and reading.
 *
 *    0            4            8     9        12                     12+n
 *   +------------+------------+-----+---------+----------- - - ------+------------+
 *   | 'RZSP' u32 | length n   | type| 0  0  0 | body, n bytes        | crc32 u32  |
 *   +------------+------------+-----+---------+----------- - - ------+------------+
 *
 * In: bodies; or the bytes of a file. Out: entries; or the entries that pass their check.
 * Invariants: little-endian; the crc covers bytes 4 to 12+n, seeded with the crc of the instance's text, so
 * an entry in another instance's file does not pass; after damage reading goes on at the next mark, and a
 * torn tail ends it.
 */
import { FRAME_BYTES_MAX } from '../limits.ts'
import { crc32 } from '../record/crc32.ts'
import type { Departure, InstanceId, LostPoints, Origin } from '../record/index.ts'
import type { Layout } from '../wire/index.ts'

/** Numbers are in the format. */
export const Entry = { origin: 1, batch: 2, skip: 3, facts: 4 } as const
export type EntryType = (typeof Entry)[keyof typeof Entry]

/**
 * First in each file, which explains itself when nothing else is left, and again when the run gets known: the
 * last one counts. `ledger` acknowledged what came
 * before, and `layouts` were defined there.
 */
export interface OriginBody { origin: Origin; ledger: string | null; layouts?: Layout[] }
export interface SkipBody { from: number; to: number; points: LostPoints; cause: string }
/**
 * Last after each write: counters as they were then; `departure` once the owner is gone and nothing can
 * follow.
 */
export interface FactsBody {
  seq: number
  logged: number
  lost: number
  refused: number
  departure: Departure | null
  at: number
}

export interface FoundEntry {
  type: EntryType
  /** Of the whole entry, in the bytes given. */
  at: number
  length: number
  /** A view. */
  body: Uint8Array
}

const MARK_BYTES = [0x52, 0x5a, 0x53, 0x50]
const MARK = 0x50535a52
const HEAD_BYTES = 12
const CRC_BYTES = 4
const text = new TextEncoder()
const latin = new TextDecoder()

export function encodeEntry(instance: InstanceId, type: EntryType, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + body.length + CRC_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MARK, true)
  view.setUint32(4, body.length, true)
  view.setUint8(8, type)
  bytes.set(body, HEAD_BYTES)
  view.setUint32(HEAD_BYTES + body.length, checkOf(instance, bytes, 4, HEAD_BYTES + body.length), true)
  return bytes
}

export function encodeJsonEntry(instance: InstanceId, type: EntryType, body: object): Uint8Array {
  return encodeEntry(instance, type, text.encode(JSON.stringify(body)))
}

export function jsonOf<T>(body: Uint8Array): T {
  return JSON.parse(latin.decode(body)) as T
}

/** All entries that pass their check, in order; `damaged` counts the bytes between them. */
export function scanEntries(
  instance: InstanceId, bytes: Uint8Array,
): { entries: FoundEntry[]; damaged: number } {
  const entries: FoundEntry[] = []
  let at = 0
  let damaged = 0
  while (at < bytes.length) {
    const entry = entryAt(instance, bytes, at)
    if (entry) {
      entries.push(entry)
      at += entry.length
    } else {
      const next = nextMark(bytes, at + 1)
      damaged += next - at
      at = next
    }
  }
  return { entries, damaged }
}

export function entryAt(instance: InstanceId, bytes: Uint8Array, at: number): FoundEntry | null {
  if (at + HEAD_BYTES + CRC_BYTES > bytes.length) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const size = view.getUint32(at + 4, true)
  const end = at + HEAD_BYTES + size
  if (view.getUint32(at, true) !== MARK) return null
  if (size > FRAME_BYTES_MAX || end + CRC_BYTES > bytes.length) return null
  if (view.getUint32(end, true) !== checkOf(instance, bytes, at + 4, end)) return null
  const type = view.getUint8(at + 8) as EntryType
  return { type, at, length: HEAD_BYTES + size + CRC_BYTES, body: bytes.subarray(at + HEAD_BYTES, end) }
}

function checkOf(instance: InstanceId, bytes: Uint8Array, from: number, to: number): number {
  const name = text.encode(instance)
  return crc32(bytes, crc32(name, 0, 0, name.length), from, to)
}

function nextMark(bytes: Uint8Array, from: number): number {
  for (let at = from; at + 4 <= bytes.length; at++) {
    if (MARK_BYTES.every((byte, i) => bytes[at + i] === byte)) return at
  }
  return bytes.length
}
