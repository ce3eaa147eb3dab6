/**
 * Room journal: what log() returned from, kept in shared memory until an agent has it safe elsewhere.
 *
 * In: values and payloads of one instance. Out: its records, in order, to any process that may read the
 * files.
 * Invariants: FORMAT.md. A full journal never blocks and never overwrites what is not safe; losses are
 * counted.
 * It starts nobody and sends nothing.
 */
import { randomBytes } from 'node:crypto'
import { answersSync } from '../aside.ts'
import { PAGE_BYTES } from './format.ts'
import { LateWriter } from './late.ts'
import { findPlace } from './place.ts'
import type { JournalOptions, JournalWriter } from './types.ts'
import { Writer } from './writer.ts'

export { isInMemory, pendingDirs, shmDir } from './place.ts'
export { bootId, pidNamespace, procStart } from './process.ts'
export { listJournals, openReader } from './reader.ts'
export type { Counters, Hole, JournalOptions, JournalReader, JournalWriter } from './types.ts'

/** 128 random bits, 32 hex digits. */
export function newInstanceId(): string {
  return randomBytes(16).toString('hex')
}

/** Opens the journal of this process; throws JOURNAL only when no directory takes one. */
export function createJournal(o: JournalOptions): JournalWriter {
  return new Writer(findPlace(o))
}

/** The same, and never throws: where no directory takes a journal now, one may later (late.ts). */
export function openJournal(o: JournalOptions): JournalWriter {
  const answered = new Set<string>()
  const answers = (disk: string): boolean => answersSync(disk) && answered.add(disk) !== undefined
  try {
    return new Writer(findPlace(o, answers))
  } catch (error) {
    return new LateWriter(o, answered, error)
  }
}

/** A journal that nobody reads, in the memory of this process alone, for so many bytes. */
export function scratchJournal(bytes: number): JournalWriter {
  const map = new ArrayBuffer(PAGE_BYTES + bytes)
  return new Writer({
    instance: newInstanceId(), path: '', map, headerBytes: PAGE_BYTES, fd: -1, directories: [],
    overflowCap: 0, mayUse: () => false, release: () => {},
  })
}
