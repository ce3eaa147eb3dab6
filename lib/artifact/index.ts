/**
 * Room artifact: contents of assets, each stored once, under the digest of its bytes.
 *
 * How an asset gets to a tracker: `run.asset()` copies the bytes into `<dir>/.assets/<sha256>` (`<dir>`:
 * parent of the run directories) while it hashes them, and logs a record `asset` with name, size and digest.
 * The record goes the road of all records, so it is in the ledger once; the bytes stay where they are, and
 * whoever uploads them reads them there. A reference has no bytes: its record names a URI.
 *
 * In: a path or bytes. Out: size and digest; later the bytes, checked against them.
 * Invariants: equal bytes are stored once, whoever logs them; what has its final name is whole and durable; a
 * file that changes while it is read is an error.
 * Bytes cross no network here: what a node without a shared directory has stored stays there, and counts as
 * pending at the head until `.assets` is copied. Nothing is ever removed: other runs may have the same bytes.
 */
import { createHash, type Hash } from 'node:crypto'
import {
  closeSync, fstatSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, statSync, unlinkSync, writeSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { openPlain, whyNotOurs } from '../files.ts'
import { ASSET_BYTES_MAX, ASSET_CHUNK_BYTES } from '../limits-asset.ts'

/** What is known of some bytes: their number and their sha256, 64 lower-case hex digits. */
export interface Content {
  size: number
  sha256: string
}

export const storeOf = (parent: string): string => join(parent, '.assets')
export const contentPath = (parent: string, { sha256 }: Content): string => join(storeOf(parent), sha256)

/** Whether the bytes are at hand. `parent`: of the run directories. */
export function isThere(parent: string, content: Content): boolean {
  try {
    return statSync(contentPath(parent, content)).size === content.size
  } catch {
    return false
  }
}

/**
 * Stores the bytes of a file, or these. Takes as long as a copy does.
 * @throws Error in words: it cannot be read or stored, is too large, or has changed meanwhile.
 */
export function keep(parent: string, source: string | Uint8Array): Content {
  const store = storeOf(parent)
  mkdirSync(parent, { recursive: true })
  mkdirSync(store, { recursive: true, mode: 0o700 })
  const why = whyNotOurs(store)
  if (why !== null) throw new Error(why)
  const unfinished = join(store, `.${process.pid}-${Math.random().toString(36).slice(2)}`)
  const out = openSync(unfinished, 'wx', 0o600)
  try {
    const content = hashed(source, (bytes) => writeAll(out, bytes))
    // Equal bytes are there already.
    if (isThere(parent, content)) unlinkSync(unfinished)
    else {
      fsyncSync(out)
      renameSync(unfinished, contentPath(parent, content))
      syncDirectory(store)
    }
    return content
  } catch (error) {
    try {
      unlinkSync(unfinished)
    } catch {
      // What went wrong first is what is told; the file is gone, or stays as one that a kill has cut off.
    }
    throw error
  } finally {
    closeSync(out)
  }
}

/** Size and digest of a file that stays where it is. @throws as keep. */
export const digestOf = (path: string): Content => hashed(path, () => {})

/** Exactly those bytes. @throws Error when they are not there, or are others. */
export async function* contentOf(parent: string, content: Content): AsyncGenerator<Uint8Array> {
  const file = await open(contentPath(parent, content), 'r')
  try {
    const hash = createHash('sha256')
    let size = 0
    for (;;) {
      // A new one each: what was given away may not have been sent yet.
      const buffer = Buffer.allocUnsafe(ASSET_CHUNK_BYTES)
      const { bytesRead } = await file.read(buffer, 0, buffer.length)
      size += bytesRead
      hash.update(buffer.subarray(0, bytesRead))
      const isLast = bytesRead === 0 || size >= content.size
      if (isLast && (size !== content.size || hash.digest('hex') !== content.sha256)) {
        throw new Error(`${contentPath(parent, content)} is damaged: it does not have the bytes of its name`)
      }
      // The last of it is given away only when all of it is right.
      if (bytesRead > 0) yield buffer.subarray(0, bytesRead)
      if (isLast) return
    }
  } finally {
    await file.close()
  }
}

function hashed(source: string | Uint8Array, take: (bytes: Uint8Array) => void): Content {
  const hash = createHash('sha256')
  if (typeof source !== 'string') {
    tellTooLarge('the data', source.length)
    take(source)
    return { size: source.length, sha256: hash.update(source).digest('hex') }
  }
  const file = openPlain(source)
  try {
    const before = fstatSync(file, { bigint: true })
    tellTooLarge(source, Number(before.size))
    const size = readAll(file, hash, take)
    const after = fstatSync(file, { bigint: true })
    // Not the time of change: a file that is replaced by rename has a new one, and is whole all the same.
    if (before.mtimeNs !== after.mtimeNs || before.size !== after.size || BigInt(size) !== after.size) {
      throw new Error(`${source} changed while it was read: log it when it is complete`)
    }
    return { size, sha256: hash.digest('hex') }
  } finally {
    closeSync(file)
  }
}

function readAll(file: number, hash: Hash, take: (bytes: Uint8Array) => void): number {
  const chunk = Buffer.allocUnsafe(ASSET_CHUNK_BYTES)
  let size = 0
  for (;;) {
    const count = readSync(file, chunk, 0, chunk.length, null)
    if (count === 0) return size
    size += count
    tellTooLarge('the file', size)
    hash.update(chunk.subarray(0, count))
    take(chunk.subarray(0, count))
  }
}

function tellTooLarge(what: string, size: number): void {
  if (size <= ASSET_BYTES_MAX) return
  throw new Error(`${what} has ${size} bytes, more than ${ASSET_BYTES_MAX}: log a reference to it`)
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done)
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  fsyncSync(directory)
  closeSync(directory)
}
