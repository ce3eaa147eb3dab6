/**
 * CRC-32 (IEEE 802.3, as in zlib): the one checksum of journal records, frames, batches and spool entries.
 *
 * In: bytes, and the crc of what came before (0 at the start). Out: an unsigned 32-bit number.
 * Short ones by slicing-by-8, eight table look-ups per eight bytes; long ones by zlib, whose call costs more.
 */
import { crc32 as crcOfZlib } from 'node:zlib'

const POLYNOMIAL = 0xedb88320
const LONG_BYTES = 1024

/** Eight tables of 256 words in one array: table k holds the effect of a byte that k more bytes follow. */
export const CRC_TABLES: Int32Array = makeTables()

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = (c & 1) !== 0 ? (c >>> 1) ^ POLYNOMIAL : c >>> 1
    tables[n] = c
  }
  for (let n = 256; n < 8 * 256; n++) {
    const before = tables[n - 256]!
    tables[n] = tables[before & 255]! ^ (before >>> 8)
  }
  return tables
}

/** The crc of `bytes[from .. to)`, continuing `seed`: crc32(b, crc32(a)) is the crc of a followed by b. */
export function crc32(bytes: Uint8Array, seed = 0, from = 0, to = bytes.length): number {
  if (to - from >= LONG_BYTES) return crcOfZlib(bytes.subarray(from, to), seed)
  const t = CRC_TABLES
  let c = ~seed
  let i = from
  for (const end = to - 7; i < end; i += 8) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    c = t[1792 + (c & 255)]! ^ t[1536 + ((c >>> 8) & 255)]! ^
      t[1280 + ((c >>> 16) & 255)]! ^ t[1024 + (c >>> 24)]! ^
      t[768 + bytes[i + 4]!]! ^ t[512 + bytes[i + 5]!]! ^ t[256 + bytes[i + 6]!]! ^ t[bytes[i + 7]!]!
  }
  for (; i < to; i++) c = t[(c ^ bytes[i]!) & 255]! ^ (c >>> 8)
  return ~c >>> 0
}
