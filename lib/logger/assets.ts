/** The records of assets and of facts, of whatever a user passes. */
import { Buffer } from 'node:buffer'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { digestOf, keep } from '../artifact/index.ts'
import { NAME_CODEPOINTS_MAX, RECORD_BYTES_MAX, STEP_MAX } from '../limits.ts'
import { ASSET_TYPE_CHARS_MAX, ASSET_URI_CHARS_MAX, TAGS_MAX } from '../limits-asset.ts'
import type { Asset } from '../record/index.ts'
import { jsonBytes, plain } from './plain.ts'
import type { AssetOptions, AssetReference, AssetSource } from './types.ts'

type Described = Omit<Asset, 'size' | 'sha256' | 'uri'>

/** Stores the bytes, if it has any. @throws Error in words. */
export function assetBody(
  dir: string, source: AssetSource, options: Omit<AssetOptions, 'step'> & { step?: number | null },
): Asset {
  const file = typeof source === 'string'
  const bytes = source instanceof Uint8Array
    ? Buffer.from(source.buffer, source.byteOffset, source.length) : null
  if (!file && bytes === null && typeof (source as AssetReference | null)?.uri !== 'string') {
    throw new Error('it is no path, no bytes and no { uri }')
  }
  const uri = file || bytes !== null ? null : (source as AssetReference).uri
  const { name = file ? basename(source) : uri === null ? 'data' : basename(uri.split(/[?#]/)[0]!) } = options
  const body = described({ ...options, name })
  return uri === null ? { ...body, ...keep(dir, file ? source : bytes!) }
    : { ...body, ...referred(source as AssetReference), uri }
}

function described({ name, type = 'asset', step = null, metadata }: {
  name: string; type?: string; step?: number | null; metadata?: unknown
}): Described {
  if (typeof name !== 'string' || name === '' || name.length > NAME_CODEPOINTS_MAX) {
    throw new Error(`its name must have 1 to ${NAME_CODEPOINTS_MAX} characters`)
  }
  if (typeof type !== 'string' || type === '' || type.length > ASSET_TYPE_CHARS_MAX) {
    throw new Error(`${name}: its type must have 1 to ${ASSET_TYPE_CHARS_MAX} characters`)
  }
  if (step !== null && !(Number.isInteger(step) && step >= 0 && step <= STEP_MAX)) {
    throw new Error(`${name}: its step must be a whole number from 0 to 2^53-1`)
  }
  if (metadata === undefined || metadata === null) return { name, type, step }
  const copy = plain(metadata)
  if (typeof copy !== 'object' || Array.isArray(copy) || jsonBytes(copy) > RECORD_BYTES_MAX / 2) {
    throw new Error(`${name}: its metadata must be an object of less than ${RECORD_BYTES_MAX / 2} bytes`)
  }
  return { name, type, step, metadata: copy as Record<string, unknown> }
}

function referred({ uri, size, sha256 }: AssetReference): Pick<Asset, 'size' | 'sha256'> {
  if (uri === '' || uri.length > ASSET_URI_CHARS_MAX) {
    throw new Error(`a URI must have 1 to ${ASSET_URI_CHARS_MAX} characters`)
  }
  const isSize = size === undefined || (Number.isSafeInteger(size) && size >= 0)
  if (!isSize) throw new Error(`${uri}: its size is none`)
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) throw new Error(`${uri}: its sha256 is none`)
  const isLocal = size === undefined && sha256 === undefined && uri.startsWith('file:')
  return isLocal ? digestOf(fileURLToPath(uri)) : { size: size ?? null, sha256: sha256 ?? null }
}

/** What `facts` records hold, of a copy as JSON has it. */
export function isFacts(facts: unknown): facts is object {
  const { name = '', tags = [], others = {} } = facts as Record<string, unknown>
  return typeof name === 'string' && typeof others === 'object' && Array.isArray(tags)
    && tags.length <= TAGS_MAX && tags.every((tag) => typeof tag === 'string' && tag !== '')
}
