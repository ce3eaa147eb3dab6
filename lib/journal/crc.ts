/**
 * CRC-32 (IEEE, as in zlib) over 32-bit words, eight bytes a turn. In JavaScript because a call into zlib or
 * into the addon costs more than a whole record; Python reads the same with zlib.crc32.
 */
import { CRC_TABLES } from '../record/crc32.ts'

/** A constant of this module is folded into the loop, an imported one is not: a quarter of its time. */
const TABLES = CRC_TABLES

/**
 * `state` is the inverted crc of the bytes before (`~crc`), and so is the result. Words are little-endian.
 */
export function crcWords(state: number, words: Int32Array, from: number, to: number): number {
  const t = TABLES
  let c = state | 0
  let i = from
  if ((to - from) & 1) {
    const a = c ^ words[i]!
    c = t[768 + (a & 255)]! ^ t[512 + ((a >>> 8) & 255)]! ^ t[256 + ((a >>> 16) & 255)]! ^ t[a >>> 24]!
    i++
  }
  for (; i < to; i += 2) {
    const a = c ^ words[i]!
    const b = words[i + 1]!
    c =
      t[1792 + (a & 255)]! ^ t[1536 + ((a >>> 8) & 255)]! ^
      t[1280 + ((a >>> 16) & 255)]! ^ t[1024 + (a >>> 24)]! ^
      t[768 + (b & 255)]! ^ t[512 + ((b >>> 8) & 255)]! ^ t[256 + ((b >>> 16) & 255)]! ^ t[b >>> 24]!
  }
  return c
}
