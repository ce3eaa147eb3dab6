/**
 * Where everything is in a journal; FORMAT.md shows it as pictures, golden.json as bytes.
 *
 * In: header pages and records as typed arrays. Out: offsets, header encode and decode, the check of one
 * record.
 * Invariants: little-endian; records are 8-aligned; a word that another process polls is an aligned double.
 */
import { endianness } from 'node:os'
import { RankzeroError } from '../errors.ts'
import { RECORD_BYTES_MAX } from '../limits.ts'
import { crc32 } from '../record/crc32.ts'
import { Kind, KIND_MAX, type Origin } from '../record/index.ts'
import { crcWords } from './crc.ts'

export const MAGIC = 'RANKZERO'
export const VERSION = 1
export const ENDIAN_MARK = 0x01020304
/** Typed arrays are the host's endianness, the format is little-endian. */
export const HOST_FITS = endianness() === 'LE'

/** Byte offsets in the header. */
export const HEADER = {
  magic: 0,
  version: 8,
  endian: 12,
  instance: 16,
  ringBytes: 32,
  headerBytes: 36,
  originBytes: 40,
  directoriesBytes: 44,
  lockMode: 48,
  /** crc32 of bytes 0..60 and of the text. */
  crc: 60,
  owner: 128,
  agent: 256,
  run: 384,
  text: 512,
} as const
export const PAGE_BYTES = 4096
/** Longest run id in the header, in bytes; its length is the word before. */
export const RUN_BYTES_MAX = HEADER.text - HEADER.run - 4

/**
 * Cells of the owner: 9 doubles from byte 128, those of each commit in one cache line. Indexes into a
 * Float64Array over the header.
 */
export const OWNER = {
  /**
   * Two pairs (seq, points of all records up to it); records of odd seq use the second, points stored first.
   */
  even: 16,
  odd: 18,
  lost: 20,
  refused: 21,
  /** Odd while the writer is in segments. */
  epoch: 22,
  /** Ring offset (ever growing) after the last record. */
  head: 23,
  /** 1 when the owner has closed the journal, though its process may live on. */
  closed: 24,
} as const
export const OWNER_CELLS = 9

/** Cells of the agent: 6 doubles from byte 256, and the same again 64 bytes on. Written first copy first. */
export const AGENT = { tail: 32, trimmed: 33, points: 34, acked: 35, overflowDone: 36, beat: 37 } as const
export const AGENT_CELLS = 6
export const AGENT_COPY = 8

/** Word indexes (32 bits) in a record. */
export const RECORD = { commit: 0, size: 1, seq: 2, mark: 3, layout: 4, count: 5 } as const
export const HEAD_BYTES = 40
/** Double indexes in a record; a weight, when there is one, comes before the values. */
export const STEP = 3
export const TIME = 4
export const BODY = 5
export const FLAG_WEIGHT = 1

export const LOCK_NONE = 0
export const LOCK_POSIX = 1

/** The same bytes as doubles, words and bytes. */
export interface Views {
  readonly f64: Float64Array
  readonly i32: Int32Array
  readonly u8: Uint8Array
}

export function scratchOf(bytes: number): Views {
  const buffer = new ArrayBuffer(pad8(bytes))
  return { f64: new Float64Array(buffer), i32: new Int32Array(buffer), u8: new Uint8Array(buffer) }
}

export const pad8 = (bytes: number): number => (bytes + 7) & ~7

/** The inverted crc that the records of an instance start from. */
export function seedOf(instance: string): number {
  return ~crc32(Buffer.from(instance, 'hex'))
}

/**
 * The commit word of the record at word `w`. A pad is checked over its head only: what follows it is stale.
 */
export function commitOf(seed: number, words: Int32Array, w: number, size: number): number {
  const kind = (words[w + RECORD.mark]! >>> 16) & 255
  const end = w + ((kind === Kind.pad ? HEAD_BYTES : size) >>> 2)
  return ~crcWords(seed, words, w + 1, end) || 1
}

/**
 * Size of the valid record at word `w` when `bytes` of it are at hand; 0 when it is none; when it goes on
 * beyond `bytes`, minus the size that it claims.
 */
export function checkRecord(seed: number, words: Int32Array, w: number, bytes: number): number {
  if (bytes < HEAD_BYTES) return 0
  const size = words[w + RECORD.size]!
  if (size < HEAD_BYTES || size > RECORD_BYTES_MAX || size & 7) return 0
  const mark = words[w + RECORD.mark]!
  const kind = (mark >>> 16) & 255
  const count = words[w + RECORD.count]!
  const weighted = (mark >>> 24) & FLAG_WEIGHT
  if (kind !== Kind.pad) {
    const body = kind === Kind.values ? 8 * (count + weighted) : pad8(count)
    if (kind > KIND_MAX || count < 0 || HEAD_BYTES + body !== size) return 0
    if (size > bytes) return -size
  }
  return commitOf(seed, words, w, size) === words[w]! ? size : 0
}

export function seqAt(words: Int32Array, w: number): number {
  return (words[w + RECORD.seq]! >>> 0) + (words[w + RECORD.mark]! & 0xffff) * 0x1_0000_0000
}

export interface Header {
  origin: Origin
  ringBytes: number
  headerBytes: number
  /** Where segments may be, in the order in which the owner tries them. */
  directories: string[]
  lockMode: number
}

/** The immutable part; cells are zero. */
export function encodeHeader(h: Omit<Header, 'headerBytes'>): Uint8Array {
  const origin = Buffer.from(JSON.stringify(h.origin))
  const directories = Buffer.from(JSON.stringify(h.directories))
  const used = HEADER.text + origin.length + directories.length
  const page = Buffer.alloc(Math.ceil(used / PAGE_BYTES) * PAGE_BYTES)
  page.write(MAGIC, HEADER.magic, 'latin1')
  page.writeUInt32LE(VERSION, HEADER.version)
  page.writeUInt32LE(ENDIAN_MARK, HEADER.endian)
  page.write(h.origin.instance, HEADER.instance, 'hex')
  page.writeUInt32LE(h.ringBytes, HEADER.ringBytes)
  page.writeUInt32LE(page.length, HEADER.headerBytes)
  page.writeUInt32LE(origin.length, HEADER.originBytes)
  page.writeUInt32LE(directories.length, HEADER.directoriesBytes)
  page.writeUInt32LE(h.lockMode, HEADER.lockMode)
  origin.copy(page, HEADER.text)
  directories.copy(page, HEADER.text + origin.length)
  page.writeUInt32LE(headerCrc(page, used), HEADER.crc)
  return page
}

function headerCrc(page: Buffer, used: number): number {
  return crc32(page.subarray(HEADER.text, used), crc32(page.subarray(0, HEADER.crc)))
}

/** What every reader of an origin relies on; the wire checks the rest. */
const ORIGIN_TYPES: Partial<Record<keyof Origin, string>> = {
  instance: 'string', meeting: 'string', role: 'string', rank: 'number', node: 'string', bootId: 'string',
  pidns: 'number', pid: 'number', procStart: 'number', startedAt: 'number', dir: 'string', cli: 'string',
}

/** Null: no origin of this instance, or no directories. */
function readTexts(
  bytes: Buffer, middle: number, end: number,
): Pick<Header, 'origin' | 'directories'> | null {
  const instance = bytes.toString('hex', HEADER.instance, HEADER.instance + 16)
  try {
    const origin = JSON.parse(bytes.toString('utf8', HEADER.text, middle)) as Origin
    const directories = JSON.parse(bytes.toString('utf8', middle, end)) as string[]
    const whole = origin.instance === instance && (origin.run === null || typeof origin.run === 'string')
      && Object.entries(ORIGIN_TYPES).every(([name, type]) => typeof origin[name as keyof Origin] === type)
      && Array.isArray(directories) && directories.every((path) => typeof path === 'string')
    return whole ? { origin, directories } : null
  } catch {
    return null
  }
}

/** `bytes` is the start of the file, at least as long as the header says. Throws DAMAGED. */
export function decodeHeader(bytes: Buffer, path: string): Header {
  const bad = (what: string, remedy: string): RankzeroError =>
    new RankzeroError('DAMAGED', `${path}: ${what}`, remedy)
  const aside = 'move the file away; without its header its records cannot be attributed'
  if (bytes.length < PAGE_BYTES || bytes.toString('latin1', 0, 8) !== MAGIC) throw bad('not a journal', aside)
  const version = bytes.readUInt32LE(HEADER.version)
  if (version !== VERSION) {
    throw bad(`journal format ${version}, this is ${VERSION}`, 'use the rankzero version that wrote it')
  }
  const originBytes = bytes.readUInt32LE(HEADER.originBytes)
  const used = HEADER.text + originBytes + bytes.readUInt32LE(HEADER.directoriesBytes)
  if (used > bytes.length || headerCrc(bytes, used) !== bytes.readUInt32LE(HEADER.crc)) {
    throw bad('the header fails its checksum', aside)
  }
  const texts = readTexts(bytes, HEADER.text + originBytes, used)
  if (texts === null) throw bad('the header does not say whose it is', aside)
  return {
    ...texts,
    ringBytes: bytes.readUInt32LE(HEADER.ringBytes),
    headerBytes: bytes.readUInt32LE(HEADER.headerBytes),
    lockMode: bytes.readUInt32LE(HEADER.lockMode),
  }
}
