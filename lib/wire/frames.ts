/**
 * Room wire, frames: one message between agent and aggregator.
 *
 *    0         1        2            4                         8
 *   +---------+--------+------------+-------------------------+------- - -+-------------+
 *   | version |  type  |  0 (u16)   |       term (u32)        |   body    | crc32 (u32) |
 *   +---------+--------+------------+-------------------------+------- - -+-------------+
 *
 * In: a type, the sender's term and a body; or bytes from a peer. Out: bytes; or a checked frame.
 * Invariants: little-endian; the crc covers everything before it; a decoded body passed its schema; nothing
 * outside the bytes is read and nothing larger than they are is allocated. Terms are compared by the
 * receiver, not here.
 */
import type { z } from 'zod'
import { RankzeroError } from '../errors.ts'
import { FRAME_BYTES_MAX } from '../limits.ts'
import { crc32 } from '../record/crc32.ts'
import { schemas } from './bodies.ts'
import { damaged } from './damaged.ts'
import { pack, unpack } from './msgpack.ts'

/** First byte of every frame and `protocol` in HELLO. */
export const PROTOCOL_VERSION = 1
const HEAD_BYTES = 8
const CRC_BYTES = 4
const SAME_VERSION = 'install the same version of rankzero on all nodes'

export const FRAME_TYPES = {
  HELLO: 1, WELCOME: 2, BATCH: 3, SKIP: 4, ACK: 5, BEAT: 6, END: 7, REFUSE: 8, REDIRECT: 9,
} as const

type Schemas = typeof schemas
/** BATCH carries the blob of BatchBuilder.finish() as it is. */
export type Bodies = { [T in keyof Schemas]: z.infer<Schemas[T]> } & { BATCH: Uint8Array }
export type FrameType = keyof Bodies
export type Frame = { [T in FrameType]: { type: T; term: number; body: Bodies[T] } }[FrameType]

const typeOf = new Map(Object.entries(FRAME_TYPES).map(([name, n]) => [n as number, name as FrameType]))

/** Fresh bytes: they may be handed to a socket that sends without copying. */
export function encodeFrame<T extends FrameType>(type: T, term: number, body: Bodies[T]): Uint8Array {
  const payload = type === 'BATCH' ? body as Uint8Array : pack(body)
  const size = HEAD_BYTES + payload.length + CRC_BYTES
  if (size > FRAME_BYTES_MAX) {
    throw new RankzeroError('PROTOCOL', `a ${type} frame of ${size} bytes exceeds ${FRAME_BYTES_MAX}`,
      'send fewer records or instances per frame')
  }
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, PROTOCOL_VERSION)
  view.setUint8(1, FRAME_TYPES[type])
  view.setUint32(4, term, true)
  bytes.set(payload, HEAD_BYTES)
  view.setUint32(size - CRC_BYTES, crc32(bytes, 0, 0, size - CRC_BYTES), true)
  return bytes
}

/**
 * Throws DAMAGED for bytes that are no whole frame, PROTOCOL for a whole frame of another version or
 * against the rules. The body of a BATCH is a view into `bytes`; its own crc is checked by peekBatch and
 * decodeBatch.
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length < HEAD_BYTES + CRC_BYTES || bytes.length > FRAME_BYTES_MAX) {
    throw damaged('a frame', `its size is ${bytes.length} bytes`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const end = bytes.length - CRC_BYTES
  if (view.getUint32(end, true) !== crc32(bytes, 0, 0, end)) {
    throw damaged('a frame', 'its crc does not match')
  }
  const version = view.getUint8(0)
  if (version !== PROTOCOL_VERSION) {
    throw new RankzeroError('PROTOCOL', `peer speaks protocol ${version}, this side ${PROTOCOL_VERSION}`,
      SAME_VERSION, { detail: { version } })
  }
  const code = view.getUint8(1)
  const type = typeOf.get(code)
  const reserved = view.getUint16(2, true)
  if (type === undefined || reserved !== 0) {
    throw new RankzeroError('PROTOCOL', `frame type ${code} (reserved ${reserved}) is unknown`, SAME_VERSION)
  }
  const term = view.getUint32(4, true)
  const body = bytes.subarray(HEAD_BYTES, end)
  if (type === 'BATCH') return { type, term, body }
  return { type, term, body: checkedBody(type, body) } as Frame
}

function checkedBody(type: keyof Schemas, body: Uint8Array): unknown {
  const parsed = schemas[type].safeParse(unpack(body))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const field = [type, ...issue?.path ?? []].map(String).join('.')
  throw new RankzeroError('PROTOCOL', `${field}: ${issue?.message ?? 'not valid'}`, SAME_VERSION)
}
