/**
 * The batch blob, its constants and number codings; both directions of each coding stand side by side here.
 * PROTOCOL.md draws the layout. Offsets and modes are format: a change needs a new BATCH_VERSION.
 */
import { damaged } from './damaged.ts'

/** Bytes 0..3: 'R', 'B', version, 0. Bytes 4..20: the instance. */
export const BATCH_MAGIC = 0x4252
export const BATCH_VERSION = 1
export const INSTANCE_AT = 4
export const HEAD_FIXED_BYTES = 20
export const CRC_BYTES = 4
/** Fixed part, five varints of the head (8 each), crc. */
export const HEAD_BYTES_MAX = HEAD_FIXED_BYTES + 5 * 8 + CRC_BYTES
/** Three varints (5 + 3 + 3), the mode byte, tag byte of the weights. */
export const GROUP_BYTES_MAX = 13
/** seq 3 (deltas below 65,536), step 8, time 8, weight 8. */
export const RECORD_BYTES_MAX = 27
/** seq 3, kind 1, time 8, length 4; the body comes on top. */
export const PAYLOAD_BYTES_MAX = 16

/** How a sequence of numbers is coded; two bits of a mode byte. */
export const Coding = { runs: 0, deltas: 1, raw: 2 } as const
/** How a column of values is coded; two bits of its tag. */
export const Column = { same32: 0, same64: 1, f32: 2, f64: 3 } as const
/**
 * Mode byte of a group: seq in bits 0-1, step in 2-3, time in 4-5, and this bit when a weight column
 * follows.
 */
export const WEIGHTED = 64

/** Bytes that Writer.signed needs. */
function signedBytes(n: number): number {
  let bytes = 1
  for (let m = Math.abs(n); m >= 64; m = Math.floor(m / 128)) bytes++
  return bytes
}

const isWhole = (n: number): boolean => Number.isSafeInteger(n) && n >= 0 && !Object.is(n, -0)

/** Appends to bytes that the caller made large enough. */
export class Writer {
  readonly bytes: Uint8Array
  readonly view: DataView
  at = 0

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }

  u8(n: number): void {
    this.bytes[this.at++] = n
  }

  f64(n: number): void {
    this.view.setFloat64(this.at, n, true)
    this.at += 8
  }

  /** LEB128: 7 bits per byte, lowest first; 0 .. 2^53-1. */
  varint(n: number): void {
    while (n > 127) {
      this.bytes[this.at++] = (n % 128) | 128
      n = Math.floor(n / 128)
    }
    this.bytes[this.at++] = n
  }

  /**
   * Sign and 6 bits in the first byte, so that a magnitude up to 2^53-1 needs no 54th bit as zigzag would.
   */
  signed(n: number): void {
    const magnitude = Math.abs(n)
    const sign = n < 0 ? 64 : 0
    if (magnitude < 64) {
      this.bytes[this.at++] = sign | magnitude
      return
    }
    this.bytes[this.at++] = 128 | sign | magnitude % 64
    this.varint(Math.floor(magnitude / 64))
  }

  /**
   * Writes `from[0 .. count)` in the smallest coding and returns it; `base` stands before the first element.
   */
  sequence(from: Float64Array, count: number, base: number): number {
    let deltaBytes = 0
    for (let i = 0, last = base; i < count; i++) {
      if (!isWhole(from[i]!)) return this.#raw(from, count)
      deltaBytes += signedBytes(from[i]! - last)
      last = from[i]!
    }
    const start = this.at
    if (this.#runs(from, count, base, start + deltaBytes)) return Coding.runs
    this.at = start
    for (let i = 0, last = base; i < count; i++) {
      this.signed(from[i]! - last)
      last = from[i]!
    }
    return Coding.deltas
  }

  /** False, and of no use, when runs reach beyond `limit`. */
  #runs(from: Float64Array, count: number, base: number, limit: number): boolean {
    for (let i = 0, last = base; i < count;) {
      const delta = from[i]! - last
      last = from[i]!
      let repeat = 1
      while (i + repeat < count && from[i + repeat]! - last === delta) {
        last = from[i + repeat]!
        repeat++
      }
      this.signed(delta)
      this.varint(repeat)
      if (this.at > limit) return false
      i += repeat
    }
    return true
  }

  #raw(from: Float64Array, count: number): number {
    for (let i = 0; i < count; i++) this.f64(from[i]!)
    return Coding.raw
  }
}

/** Reads bytes[at .. end); every step outside throws DAMAGED. */
export class Reader {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly end: number
  at: number

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.at = at
    this.end = end
  }

  /** Moves over `size` bytes and returns where they began. */
  take(size: number): number {
    const at = this.at
    if (size > this.end - at) throw bad(`it ends ${size - (this.end - at)} bytes early`)
    this.at = at + size
    return at
  }

  u8(): number {
    return this.bytes[this.take(1)]!
  }

  varint(max: number, what: string): number {
    let n = 0
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.u8()
      n += (byte & 127) * scale
      if (byte < 128) {
        if (n > max) throw bad(`${what} is ${n}, at most ${max} can be`)
        return n
      }
    }
    throw bad(`${what} has more than 8 bytes`)
  }

  signed(): number {
    const byte = this.u8()
    const magnitude = byte < 128 ? byte & 63 : (byte & 63) + 64 * this.varint(2 ** 47 - 1, 'a delta')
    return (byte & 64) !== 0 ? -magnitude : magnitude
  }

  sequence(coding: number, count: number, base: number): Float64Array {
    // A run of any length takes 2 bytes: what bounds this array is that the caller held `count` to
    // BATCH_RECORDS_MAX.
    const out = new Float64Array(count)
    if (coding === Coding.raw) {
      const from = this.take(8 * count)
      for (let i = 0; i < count; i++) out[i] = this.view.getFloat64(from + 8 * i, true)
      return out
    }
    if (coding !== Coding.runs && coding !== Coding.deltas) throw bad(`number coding ${coding} is unknown`)
    for (let i = 0, last = base; i < count;) {
      const delta = this.signed()
      let repeat = coding === Coding.deltas ? 1 : this.varint(count - i, 'a run')
      if (repeat === 0) throw bad('a run is empty')
      for (; repeat > 0; repeat--) {
        last += delta
        if (last < 0 || last > Number.MAX_SAFE_INTEGER) throw bad(`a number runs to ${last}`)
        out[i++] = last
      }
    }
    return out
  }
}

export function bad(found: string): Error {
  return damaged('a batch', found)
}
