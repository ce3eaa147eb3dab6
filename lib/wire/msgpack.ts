/**
 * msgpack of the control frames: plain maps, no records, no extension types.
 *
 * In: plain data, or bytes from a peer. Out: bytes, or plain data whose size is bounded by the bytes that
 * came. `unpack` walks the structure first: msgpackr allocates an array of the announced length before it
 * reads the elements and recurses per level, so five hostile bytes could take gigabytes, and nesting the
 * stack.
 */
import { Packr, type Options } from 'msgpackr'
import { WIRE_DEPTH_MAX } from '../limits.ts'
import { damaged } from './damaged.ts'

// skipValues is missing from msgpackr's typings: an optional field that is undefined is left out, not sent
// as nil.
const options: Options & { skipValues: unknown[] } = {
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  moreTypes: false,
  int64AsType: 'number',
  skipValues: [undefined],
}
const packr = new Packr(options)

export function pack(value: unknown): Uint8Array {
  return packr.pack(value)
}

export function unpack(bytes: Uint8Array): unknown {
  checkStructure(bytes)
  try {
    return packr.unpack(bytes)
  } catch (cause) {
    throw bad('msgpack that cannot be read', cause)
  }
}

/**
 * Throws unless `bytes` is exactly one value, not deeper than WIRE_DEPTH_MAX, whose elements are all there.
 */
export function checkStructure(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const open = new Float64Array(WIRE_DEPTH_MAX + 1) // values still expected, per level
  let depth = 0
  let at = 0
  open[0] = 1
  while (depth >= 0) {
    if (open[depth] === 0) {
      depth--
      continue
    }
    open[depth]!--
    const token = readToken(view, at)
    at = token.next
    if (at > bytes.length || token.children > bytes.length - at) {
      throw bad(`msgpack that announces more than its ${bytes.length} bytes`)
    }
    if (token.children === 0) continue
    if (++depth > WIRE_DEPTH_MAX) throw bad(`msgpack deeper than ${WIRE_DEPTH_MAX} levels`)
    open[depth] = token.children
  }
  if (at !== bytes.length) throw bad(`${bytes.length - at} bytes after its msgpack`)
}

interface Token {
  /** Offset after this value's head and scalar bytes. */
  next: number
  /** Values that follow inside it; every one takes at least a byte. */
  children: number
}

/** Length field of the sized types 0xc4..0xdf: bytes of the length, and what it counts. */
const SIZED: Record<number, readonly [width: 1 | 2 | 4, unit: 'bytes' | 'items' | 'pairs']> = {
  0xc4: [1, 'bytes'], 0xc5: [2, 'bytes'], 0xc6: [4, 'bytes'],
  0xd9: [1, 'bytes'], 0xda: [2, 'bytes'], 0xdb: [4, 'bytes'],
  0xdc: [2, 'items'], 0xdd: [4, 'items'],
  0xde: [2, 'pairs'], 0xdf: [4, 'pairs'],
}
const SCALAR: Record<number, number> = {
  0xc0: 0, 0xc2: 0, 0xc3: 0, 0xca: 4, 0xcb: 8,
  0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8,
}

function readToken(view: DataView, at: number): Token {
  if (at >= view.byteLength) throw bad('msgpack that ends early')
  const head = view.getUint8(at)
  const next = at + 1
  if (head < 0x80 || head >= 0xe0) return { next, children: 0 }
  if (head < 0x90) return { next, children: 2 * (head & 15) }
  if (head < 0xa0) return { next, children: head & 15 }
  if (head < 0xc0) return { next: next + (head & 31), children: 0 }
  const scalar = SCALAR[head]
  if (scalar !== undefined) return { next: next + scalar, children: 0 }
  const sized = SIZED[head]
  if (sized === undefined) throw bad(`msgpack type 0x${head.toString(16)}, which is not used`)
  const [width, unit] = sized
  if (next + width > view.byteLength) throw bad('msgpack that ends early')
  const length = width === 1 ? view.getUint8(next) : width === 2 ? view.getUint16(next) : view.getUint32(next)
  if (unit === 'bytes') return { next: next + width + length, children: 0 }
  return { next: next + width, children: unit === 'items' ? length : 2 * length }
}

function bad(found: string, cause?: unknown): Error {
  return damaged('a control frame', found, cause)
}
