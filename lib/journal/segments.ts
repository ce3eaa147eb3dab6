/**
 * Segments as the writer sees them: append-only files of records, made when there is no ring or it is full.
 *
 * In: whole records. Out: files `<instance>.<n>.seg`, n from 1, in the first directory that takes them.
 * Invariants: n+1 is made only when n will never be written again; a failed write leaves no part of a record
 * behind.
 * It never deletes: the agent does, once everything in a segment is safe elsewhere.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { whyNotOurs } from '../files.ts'
import { SEGMENT_BYTES } from '../limits.ts'
import { makeDirectory, removeFile } from './process.ts'

export const segmentName = (instance: string, n: number): string => `${instance}.${n}.seg`

/**
 * Segments are deleted whole, so a low cap needs several below it; smaller than this they are all overhead.
 */
const SEGMENT_BYTES_MIN = 16 * 1024

export class Segments {
  /** Size at which a segment is closed. */
  readonly limit: number
  readonly #instance: string
  readonly #directories: readonly string[]
  readonly #mayUse: (directory: string) => boolean
  #fd = -1
  #path = ''
  #n = 0
  #bytes = 0
  #outstanding = 0
  readonly #closed: { lastSeq: number; bytes: number }[] = []

  constructor(
    instance: string, directories: readonly string[], cap: number, mayUse: (directory: string) => boolean,
  ) {
    this.#instance = instance
    this.#directories = directories
    this.#mayUse = mayUse
    this.limit = Math.min(SEGMENT_BYTES, Math.max(SEGMENT_BYTES_MIN, cap / 4))
  }

  /** Bytes in segments that the agent has not deleted. */
  get outstanding(): number {
    return this.#outstanding
  }

  /** The open segment takes `size` more bytes; one that is empty takes any record. */
  fits(size: number): boolean {
    return this.#fd >= 0 && (this.#bytes === 0 || this.#bytes + size <= this.limit)
  }

  /** Closes the open segment and opens the next, in the first directory after `skip` others that takes it. */
  open(lastSeq: number, skip: number): number {
    this.finish(lastSeq)
    for (let i = skip; i < this.#directories.length; i++) {
      const directory = this.#directories[i]!
      if (!this.#mayUse(directory)) continue
      try {
        makeDirectory(directory)
        if (whyNotOurs(directory) !== null) continue
        this.#path = join(directory, segmentName(this.#instance, this.#n + 1))
        this.#fd = openSync(this.#path, 'wx', 0o600)
        this.#n++
        return i
      } catch {
        // The next directory may do; when none does the caller counts the loss.
      }
    }
    return -1
  }

  /** False when the file system refuses; the segment then ends before this record. */
  write(bytes: Uint8Array, size: number): boolean {
    let done = 0
    try {
      while (done < size) done += writeSync(this.#fd, bytes, done, size - done)
    } catch {
      if (done > 0) this.#cut()
      return false
    }
    this.#bytes += size
    this.#outstanding += size
    return true
  }

  /** No more records go to the open segment; an empty one is removed and its number used again. */
  finish(lastSeq: number): void {
    if (this.#fd < 0) return
    closeSync(this.#fd)
    this.#fd = -1
    if (this.#bytes > 0) {
      this.#closed.push({ lastSeq, bytes: this.#bytes })
    } else {
      this.#n--
      removeFile(this.#path)
    }
    this.#bytes = 0
  }

  /** The agent has deleted the segments whose records are all ≤ trimmed. */
  forget(trimmed: number): void {
    while (this.#closed.length > 0 && this.#closed[0]!.lastSeq <= trimmed) {
      this.#outstanding -= this.#closed.shift()!.bytes
    }
  }

  #cut(): void {
    try {
      ftruncateSync(this.#fd, this.#bytes)
    } catch {
      // Readers pass over a torn end when the next segment continues the sequence.
    }
  }
}
