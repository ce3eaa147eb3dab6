/**
 * Reading by pread into one buffer shared by all readers of this process (an agent may have hundreds): never
 * mmap, so that a truncated or vanished file is an error and not a SIGBUS.
 *
 * Out: `walk` over consecutive records, `findRecord` at any place after damage.
 * Invariants: a record is seen only whole and with its commit word right; views hold until the next call.
 */
import { readSync } from 'node:fs'
import { RECORD_BYTES_MAX } from '../limits.ts'
import { Kind } from '../record/index.ts'
import { HEAD_BYTES, RECORD, checkRecord, scratchOf, seqAt } from './format.ts'

export const window = scratchOf(RECORD_BYTES_MAX)

/** The first look at a place is small, as little is there most of the time; each further one is larger. */
const LOOK_BYTES = 4096
const GROWTH = 4
const CHUNK_BYTES = 128 * 1024

function load(fd: number, position: number, bytes: number): number {
  return readSync(fd, window.u8, 0, Math.min(bytes, window.u8.length), position)
}

/** Kind of the record at word `w` of the window. */
export const kindAt = (w: number): number => (window.i32[w + RECORD.mark]! >>> 16) & 255

/** Sees a record at word `w` of the window; false stops before it. */
export type Visit = (w: number, size: number, seq: number) => boolean

/** Visits valid records from `position` on, within `limit` bytes; returns the bytes passed. */
export function walk(seed: number, fd: number, position: number, limit: number, visit: Visit): number {
  let passed = 0
  let want = LOOK_BYTES
  while (passed + HEAD_BYTES <= limit) {
    const asked = Math.min(want, limit - passed)
    const n = load(fd, position + passed, asked)
    let at = 0
    let size = 0
    for (; at < n; at += size) {
      size = checkRecord(seed, window.i32, at >> 2, n - at)
      if (size <= 0) break
      if (!visit(at >> 2, size, seqAt(window.i32, at >> 2))) return passed + at
    }
    passed += at
    // What comes meanwhile is for the next call; a record that claims more than was read is loaded whole.
    const nothing = size >= 0 && n - at >= HEAD_BYTES
    if (nothing || n < asked || -size > limit - passed) break
    want = Math.max(Math.min(want * GROWTH, CHUNK_BYTES), -size)
  }
  return passed
}

/**
 * Offset and seq of the first valid record at or after `position` with min ≤ seq ≤ max; null: none in `limit`
 * bytes.
 */
export function findRecord(
  seed: number, fd: number, position: number, limit: number, min: number, max: number,
): { offset: number; seq: number } | null {
  for (let passed = 0; passed + HEAD_BYTES <= limit; ) {
    const n = load(fd, position + passed, limit - passed)
    if (n < HEAD_BYTES) return null
    let at = 0
    for (; at + HEAD_BYTES <= n; at += 8) {
      const w = at >> 2
      const seq = seqAt(window.i32, w)
      if (seq < min || seq > max || kindAt(w) === Kind.pad) continue
      const size = checkRecord(seed, window.i32, w, n - at)
      if (size > 0) return { offset: passed + at, seq }
      // It goes on beyond the window: load again from here.
      if (size < 0 && at > 0) break
    }
    passed += Math.max(at, 8)
  }
  return null
}
