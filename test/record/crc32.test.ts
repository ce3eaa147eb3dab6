import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc32 } from '../../lib/record/crc32.ts'

const bytes = fc.uint8Array({ maxLength: 100 })

/** The definition, bit by bit. */
function slow(data: Uint8Array): number {
  let c = ~0
  for (const byte of data) {
    c ^= byte
    for (let bit = 0; bit < 8; bit++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  }
  return ~c >>> 0
}

describe('crc32', () => {
  it('is that of zlib', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
    expect(crc32(new Uint8Array(0))).toBe(0)
    fc.assert(fc.property(bytes, (data) => {
      expect(crc32(data)).toBe(slow(data))
    }))
  })

  it('of a part, continued by the rest, is that of the whole', () => {
    fc.assert(fc.property(bytes, fc.nat(100), (data, cut) => {
      const at = Math.min(cut, data.length)
      expect(crc32(data, crc32(data, 0, 0, at), at)).toBe(crc32(data))
      expect(crc32(data.subarray(at))).toBe(crc32(data, 0, at))
    }))
  })
})
