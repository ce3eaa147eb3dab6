/**
 * Where a journal goes, and its files: created under temporary names, locked, filled, renamed into sight
 * last.
 *
 * In: origin, environment, what statfs tells. Out: a WriterPlace, or JOURNAL when no directory takes one.
 * Invariants: nothing is mapped that could fault later (only allocated tmpfs; ext4 and xfs on request);
 * shared memory is used only while it has room for everyone; the lock file is opened once in the owner and
 * never again; a disk that does not answer is passed over.
 */
import { closeSync, openSync, renameSync, writeSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { answersSync } from '../aside.ts'
import { RankzeroError, messageOf } from '../errors.ts'
import { whyNotOurs } from '../files.ts'
import { RING_BYTES, SEGMENT_BYTES, SHM_FACTOR, SHM_FREE_BYTES_MIN } from '../limits.ts'
import { native } from '../native.ts'
import { HOST_FITS, LOCK_NONE, LOCK_POSIX, encodeHeader } from './format.ts'
import { makeDirectory, removeFile, temporarySuffix } from './process.ts'
import type { JournalOptions } from './types.ts'
import type { WriterPlace } from './writer.ts'

/**
 * Instances whose lock this process holds: it must not test them itself, closing the test would free the
 * lock.
 */
const held = new Set<string>()
export const heldHere = (instance: string): boolean => held.has(instance)

export const journalName = (instance: string): string => `${instance}.jnl`
export const lockName = (instance: string): string => `${instance}.lock`

export function shmDir(env: NodeJS.ProcessEnv): string {
  return env['RANKZERO_SHM_DIR'] || `/dev/shm/rankzero-${process.getuid?.() ?? userInfo().username}`
}

/** By its name alone: asking the file system is what may hang. */
export const isInMemory = (directory: string): boolean => directory.startsWith('/dev/shm/')

/** Where journals and segments go when shared memory does not take them. */
export function pendingDirs(dir: string): string[] {
  return [join(dir, '.pending'), join(homedir(), '.rankzero', 'pending')]
}

/**
 * Room in shared memory for `bytes` of each local rank, with others living there too (NCCL, data loaders).
 */
function roomy(directory: string, bytes: number, ranks: number): boolean {
  const { free } = native.statfs(directory)
  return free >= SHM_FREE_BYTES_MIN || free >= SHM_FACTOR * bytes * ranks
}

/** The directories that may take a journal, in the order in which they are tried. */
const placesOf = (o: JournalOptions): string[] => [shmDir(o.env), ...pendingDirs(o.origin.dir)]

/** Those on disks, which may hang. */
export const disksOf = (o: JournalOptions): string[] => placesOf(o).filter((one) => !isInMemory(one))

/** Where an instance has no files: nothing is written, and what is logged is counted as lost. */
export function nowhere({ origin: { instance }, overflowCap }: JournalOptions): WriterPlace {
  const none = { map: null, headerBytes: 0, fd: -1, directories: [], mayUse: () => false, release: () => {} }
  return { instance, path: '', overflowCap, ...none }
}

/** `answers`: whether a disk does. @throws RankzeroError JOURNAL when no directory takes a journal. */
export function findPlace(
  o: JournalOptions, answers: (directory: string) => boolean = answersSync,
): WriterPlace {
  const shm = shmDir(o.env)
  const ranks = Math.max(1, o.localWorldSize)
  const ringBytes = o.ringBytes ?? RING_BYTES
  const pending = pendingDirs(o.origin.dir)
  const refusals: string[] = []
  const mayUse = (directory: string): boolean => directory !== shm || roomy(shm, SEGMENT_BYTES, ranks)
  if (!HOST_FITS) {
    throw new RankzeroError('JOURNAL', 'this machine is big-endian', 'run on a little-endian machine')
  }
  for (const directory of placesOf(o)) {
    try {
      if (!isInMemory(directory) && !answers(directory)) throw new Error('its disk does not answer')
      own(directory, o.say)
      if (directory === shm && !roomy(shm, ringBytes, ranks)) throw new Error('too little is free')
      const mapped = directory === shm && mayMap(shm, o.env) ? ringBytes : 0
      const directories = directory === shm ? [shm, ...pending] : pending
      return create(o, directory, directories, mapped, mayUse)
    } catch (error) {
      refusals.push(`${directory}: ${messageOf(error)}`)
    }
  }
  throw new RankzeroError(
    'JOURNAL',
    `no directory takes a journal (${refusals.join('; ')})`,
    'make one of them writable, or set RANKZERO_SHM_DIR or RANKZERO_DIR to a directory that is',
  )
}

/** The file system decides what may be mapped: elsewhere a store may stall for write-back or fault. */
function mayMap(directory: string, env: NodeJS.ProcessEnv): boolean {
  const { type } = native.statfs(directory)
  return type === 'tmpfs' || (env['RANKZERO_SHM_DIR'] !== undefined && (type === 'ext4' || type === 'xfs'))
}

/** A name in /dev/shm can be taken by anyone first: use only what is ours. */
function own(directory: string, say: JournalOptions['say']): void {
  makeDirectory(directory)
  const why = whyNotOurs(directory)
  if (why === null) return
  say?.(`the journal goes elsewhere: ${why}`)
  throw new Error(why)
}

function create(
  o: JournalOptions, directory: string, directories: string[], ringBytes: number,
  mayUse: WriterPlace['mayUse'],
): WriterPlace {
  const { instance } = o.origin
  const path = join(directory, journalName(instance))
  const lock = join(directory, lockName(instance))
  const suffix = temporarySuffix()
  const lockFd = native.lockFile(lock + suffix)
  const files = [lock + suffix, path + suffix, lock]
  let map: ArrayBuffer | null = null
  let fd = -1
  try {
    const lockMode = lockFd === null ? LOCK_NONE : LOCK_POSIX
    const header = { origin: o.origin, ringBytes, directories, lockMode }
    let page = encodeHeader(header)
    map = ringBytes > 0 ? native.mapCreate(path + suffix, page.length + ringBytes) : null
    if (map === null) {
      page = encodeHeader({ ...header, ringBytes: 0 })
      fd = openSync(path + suffix, 'wx+', 0o600)
      if (writeSync(fd, page) < page.length) throw new Error('no space for the header')
    } else {
      new Uint8Array(map).set(page)
    }
    if (lockFd !== null) renameSync(lock + suffix, lock)
    renameSync(path + suffix, path)
    held.add(instance)
    const release = (): void => releaseAll(instance, lockFd, fd, map)
    const headerBytes = page.length
    return { instance, path, map, headerBytes, fd, directories, overflowCap: o.overflowCap, mayUse, release }
  } catch (error) {
    releaseAll(instance, lockFd, fd, map)
    for (const file of files) removeFile(file)
    throw error
  }
}

function releaseAll(instance: string, lockFd: number | null, fd: number, map: ArrayBuffer | null): void {
  if (map !== null) native.unmap(map)
  if (fd >= 0) closeSync(fd)
  if (lockFd !== null) closeSync(lockFd)
  held.delete(instance)
}
