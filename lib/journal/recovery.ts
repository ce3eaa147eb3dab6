/**
 * What to do where the next record does not check: find the next one that does, and how many points are gone.
 *
 * In: a cursor that cannot go on, the owner's counters. Out: a new position, or a hole.
 * Invariants: nothing that checks is skipped; the points of a hole are exact when the header's counters reach
 * past it.
 */
import type { Hole } from './types.ts'
import { Cursor, type JournalFiles, type OwnerCells, type Position } from './cursor.ts'
import { findRecord } from './window.ts'

interface Found {
  seq: number
  move(at: Position): void
}

/** The first valid record after the cursor's place, in seq order, wherever it is. */
function search(files: JournalFiles, at: Position, owner: OwnerCells): Found | null {
  const ring = files.header.ringBytes > 0 ? searchRing(files, at) : null
  const segment = searchSegments(files, at)
  if (ring !== null && (segment === null || ring.seq < segment.seq)) return ring
  const inSegments = files.header.ringBytes > 0 && owner.epoch % 2 === 1
  if (segment === null || ring !== null || !inSegments) return segment
  // The writer is in segments and nothing in the ring checks any more: the ring counts as read.
  return {
    seq: segment.seq,
    move(to) {
      segment.move(to)
      to.ringOffset = Math.max(to.ringOffset, owner.head)
    },
  }
}

function searchRing({ fd, seed, header }: JournalFiles, at: Position): Found | null {
  const place = at.ringOffset % header.ringBytes
  const min = Math.max(at.ringSeq, at.counted) + 1
  const rest = header.ringBytes - place
  let found = findRecord(seed, fd, header.headerBytes + place, rest, min, Infinity)
  if (found === null) {
    found = findRecord(seed, fd, header.headerBytes, place, min, Infinity)
    if (found !== null) found.offset += rest
  }
  if (found === null) return null
  const { offset, seq } = found
  return {
    seq,
    move(to) {
      to.ringOffset = at.ringOffset + offset
      to.ringSeq = seq - 1
    },
  }
}

function searchSegments({ seed, segments }: JournalFiles, at: Position): Found | null {
  for (const n of segments.list()) {
    if (n < at.segment) continue
    const fd = segments.open(n)
    if (fd < 0) continue
    const start = n === at.segment ? at.segmentOffset : 0
    const found = findRecord(seed, fd, start, Infinity, at.counted + 1, Infinity)
    if (found === null) continue
    return {
      seq: found.seq,
      move(to) {
        to.segment = n
        to.segmentOffset = start + found.offset
      },
    }
  }
  return null
}

/**
 * Called when the cursor cannot go on. Finds the hole that begins at its next seq and the position behind it;
 * or moves the cursor when it was only lost (a damaged pad, a segment gone), or finds nothing beyond: then
 * null.
 */
export function examine(cursor: Cursor, owner: OwnerCells): { hole: Hole | null; after: Position } {
  const { files } = cursor
  const from = cursor.at.next
  const after = { ...cursor.at }
  const found = search(files, cursor.at, owner)
  found?.move(after)
  after.passed++
  if (found !== null && found.seq <= from) {
    cursor.at = after
    return { hole: null, after }
  }
  const to = found !== null ? found.seq - 1 : owner.seq
  if (to < from) return { hole: null, after }
  after.next = to + 1
  after.counted = to
  const points = owner.seq >= to ? missing(files, after, owner) : 0
  after.points += points
  return { hole: { from, to, points }, after }
}

/** Points that the owner counted less those before the hole and those that are readable after it. */
function missing(files: JournalFiles, after: Position, owner: OwnerCells): number {
  const probe = new Cursor(files, after, owner.seq)
  while (probe.at.next <= owner.seq) {
    if (probe.read(null, Infinity, owner) > 0) continue
    const found = search(files, probe.at, owner)
    if (found === null || found.seq > owner.seq) break
    found.move(probe.at)
    probe.at.next = Math.max(probe.at.next, found.seq)
  }
  return Math.max(0, owner.points - probe.at.points)
}
