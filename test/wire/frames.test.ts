import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FRAME_BYTES_MAX } from '../../lib/limits.ts'
import { crc32 } from '../../lib/record/crc32.ts'
import { decodeFrame, encodeFrame, FRAME_TYPES, type Bodies, type FrameType } from '../../lib/wire/index.ts'
import { pack } from '../../lib/wire/msgpack.ts'
import { frameSamples as samples } from './samples.ts'

const failing = (code: RegExp, message = ''): unknown => expect.objectContaining({
  code: expect.stringMatching(code) as string, message: expect.stringContaining(message) as string,
})
const DAMAGED = failing(/^DAMAGED$/)
const PROTOCOL = failing(/^PROTOCOL$/)
const EITHER = failing(/^(DAMAGED|PROTOCOL)$/)
const INSTANCE = 'ab'.repeat(16)

/** A whole frame around any payload. */
function framed(type: number, payload: Uint8Array, version = 1, reserved = 0): Uint8Array {
  const bytes = new Uint8Array(payload.length + 12)
  const view = new DataView(bytes.buffer)
  bytes.set([version, type, reserved, 0])
  bytes.set(payload, 8)
  view.setUint32(bytes.length - 4, crc32(bytes, 0, 0, bytes.length - 4), true)
  return bytes
}

describe('a frame', () => {
  it.each(samples)('$type is read as it was written', ({ type, term, body }) => {
    expect(decodeFrame(encodeFrame(type, term, body as Bodies[FrameType]))).toEqual({ type, term, body })
  })

  it('carries any names, numbers and times', () => {
    const name = fc.string({ unit: 'grapheme' }).filter((s) => s !== '__proto__')
    const whole = fc.maxSafeNat()
    fc.assert(fc.property(fc.dictionary(name, whole), whole, fc.nat(0xffff_ffff), (points, seq, term) => {
      const body = { instance: INSTANCE, from: 1, to: seq + 1, points: { ...points }, cause: 'spool cap' }
      fc.pre(seq < Number.MAX_SAFE_INTEGER)
      expect(decodeFrame(encodeFrame('SKIP', term, body))).toEqual({ type: 'SKIP', term, body })
    }))
    fc.assert(fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.maxSafeNat(), (at, now) => {
      const body = { sentAt: at + 0, now, state: 'live' } // + 0: msgpackr writes -0 as 0
      expect(decodeFrame(encodeFrame('BEAT', 0, body)).body).toStrictEqual(body)
    }))
  })

  it('has the body of a BATCH as a view, and bytes of its own', () => {
    const blob = Uint8Array.of(1, 2, 3)
    const bytes = encodeFrame('BATCH', 7, blob)
    expect(bytes.buffer.byteLength).toBe(bytes.length)
    const frame = decodeFrame(bytes)
    expect([...frame.body as Uint8Array]).toEqual([1, 2, 3])
    expect((frame.body as Uint8Array).buffer).toBe(bytes.buffer)
  })

  it('ignores fields that it does not know, and leaves out what is undefined', () => {
    const bytes = framed(FRAME_TYPES.ACK, pack({ instance: INSTANCE, seq: 4, later: [1] }))
    expect(decodeFrame(bytes).body).toEqual({ instance: INSTANCE, seq: 4 })
    const { body } = samples.find((s) => s.type === 'WELCOME')!
    const instances = [{ instance: INSTANCE, acked: 0, accepted: true, why: undefined }]
    const welcome = encodeFrame('WELCOME', 1, { ...body as Bodies['WELCOME'], instances })
    expect(Object.keys((decodeFrame(welcome).body as Bodies['WELCOME']).instances[0]!))
      .toEqual(['instance', 'acked', 'accepted'])
  })

  it('is not written when it is too large', () => {
    expect(() => encodeFrame('BATCH', 1, new Uint8Array(FRAME_BYTES_MAX))).toThrow(PROTOCOL)
  })
})

describe('what is no frame', () => {
  it.each(samples)('$type: damage of any one byte is found', ({ type, term, body }) => {
    const bytes = encodeFrame(type as FrameType, term, body as Bodies[FrameType])
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at]! ^= 1 + at % 255
      expect(() => decodeFrame(damaged)).toThrow(DAMAGED)
    }
  })

  it('random bytes are DAMAGED', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(() => decodeFrame(bytes)).toThrow(DAMAGED)
    }))
    expect(() => decodeFrame(new Uint8Array(FRAME_BYTES_MAX + 1))).toThrow(DAMAGED)
  })

  it('another version, an unknown type and used reserved bytes are PROTOCOL with a remedy', () => {
    const empty = pack({})
    for (const bytes of [framed(5, empty, 2), framed(0, empty), framed(77, empty), framed(5, empty, 1, 1)]) {
      expect(() => decodeFrame(bytes)).toThrow(PROTOCOL)
      expect(() => decodeFrame(bytes)).toThrow(expect.objectContaining({
        remedy: 'install the same version of rankzero on all nodes',
      }))
    }
  })

  it('a body against its schema is PROTOCOL and names the field', () => {
    const bad = { instance: 'xyz', seq: 4 }
    const ack = framed(FRAME_TYPES.ACK, pack(bad))
    expect(() => decodeFrame(ack)).toThrow(failing(/^PROTOCOL$/, 'ACK.instance'))
    const values = [-1, 0.5, 2 ** 53, NaN, '4', null, undefined]
    for (const seq of values) {
      expect(() => decodeFrame(framed(FRAME_TYPES.ACK, pack({ instance: INSTANCE, seq })))).toThrow(PROTOCOL)
    }
    const backwards = pack({ instance: INSTANCE, from: 3, to: 2, points: {}, cause: '' })
    expect(() => decodeFrame(framed(FRAME_TYPES.SKIP, backwards))).toThrow(PROTOCOL)
  })
})

describe('hostile msgpack with a true crc', () => {
  const ascii = (head: number[], n: number): Uint8Array =>
    Uint8Array.of(...head, ...new Array<number>(n).fill(0x61))
  it.each([
    ['an array of 2^32-1', Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ['an array of 2^25 and ten values', Uint8Array.of(0xdd, 2, 0, 0, 0, ...new Array<number>(10).fill(0))],
    ['a map of 2^31', Uint8Array.of(0xdf, 0x80, 0, 0, 0)],
    ['a text longer than the frame', ascii([0xdb, 0x7f, 0xff, 0xff, 0xff], 20)],
    ['arrays 100,000 deep', new Uint8Array(100_000).fill(0x91)],
    ['maps 50,000 deep', new Uint8Array(100_000).map((_, i) => i % 2 === 0 ? 0x81 : 0)],
    ['an extension type', Uint8Array.of(0xc7, 2, 0x72, 0, 0)],
    ['a record definition of msgpackr', Uint8Array.of(0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 1)],
    ['the byte that is never used', Uint8Array.of(0xc1)],
    ['nothing', new Uint8Array(0)],
    ['two values', Uint8Array.of(0x80, 0x80)],
    ['an object key as a map key', Uint8Array.of(0x81, 0x91, 1, 1)],
  ])('%s is refused', (_, payload) => {
    for (const type of Object.values(FRAME_TYPES)) {
      if (type === FRAME_TYPES.BATCH) continue
      expect(() => decodeFrame(framed(type, payload))).toThrow(EITHER)
    }
  })

  it('mutated bodies give a checked frame, DAMAGED or PROTOCOL, and nothing else', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 })
    fc.assert(fc.property(fc.constantFrom(...samples), flips, ({ type, term, body }, changes) => {
      if (type === 'BATCH') return
      const payload = encodeFrame(type as FrameType, term, body as Bodies[FrameType]).slice(8, -4)
      for (const [at, byte] of changes) payload[at % payload.length] = byte
      try {
        expect(decodeFrame(framed(FRAME_TYPES[type], payload)).type).toBe(type)
      } catch (error) {
        expect(error).toEqual(EITHER)
      }
    }), { numRuns: 2000 })
  })

  it('does not reach a prototype', () => {
    const hostile = JSON.parse('{"__proto__": 3}') as object
    const skip = pack({ instance: INSTANCE, from: 1, to: 1, points: hostile, cause: 'x' })
    const { points } = decodeFrame(framed(FRAME_TYPES.SKIP, skip)).body as Bodies['SKIP']
    expect(Object.values(points)).toEqual([3])
    expect(({} as Record<string, unknown>)['3']).toBeUndefined()
  })
})
