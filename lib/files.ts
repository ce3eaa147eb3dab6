/**
 * Files and directories that another user, or a mistake, could have put where ours are looked for.
 *
 * In: paths. Out: a descriptor or bytes; or why not, with what to do.
 * Invariants: no open waits (a FIFO, a device) and no read is longer than its bound; what decides over our
 * data is a plain file of our own, reached without a link; a directory for such files is ours, and nobody
 * else may write in it.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, statSync } from 'node:fs'
import { errnoOf, messageOf } from './errors.ts'

const OTHERS_MAY_WRITE = 0o022
const { O_RDONLY, O_RDWR, O_NOFOLLOW, O_NONBLOCK } = constants

const ownUid = (found: number): number => process.getuid?.() ?? found

/** Why a directory cannot be trusted, with the remedy; null: it is ours alone, or is not there. */
export function whyNotOurs(path: string): string | null {
  try {
    for (const facts of [lstatSync(path), statSync(path)]) {
      const own = ownUid(facts.uid)
      if (facts.uid !== own) return `${path} belongs to user ${facts.uid}, not to ${own}: it is not used`
    }
    const facts = statSync(path)
    if (!facts.isDirectory()) return `${path} is no directory`
    if ((facts.mode & OTHERS_MAY_WRITE) === 0) return null
    const shown = (facts.mode & 0o777).toString(8)
    return `${path} has mode ${shown}, so others may write in it: it is not used; chmod 700 ${path}`
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? null : messageOf(error)
  }
}

/** A descriptor of a plain file of ours. @throws the system's error, or one that says whose it is. */
export function openOwn(path: string, flags: 'r' | 'r+'): number {
  const fd = openPlain(path, (flags === 'r' ? O_RDONLY : O_RDWR) | O_NOFOLLOW)
  const { uid } = fstatSync(fd)
  if (uid === ownUid(uid)) return fd
  closeSync(fd)
  throw new Error(`${path} belongs to user ${uid}, not to ${ownUid(uid)}`)
}

/** The bytes of a plain file, ours or not, of at most `bytesMax`. @throws as openOwn. */
export function readPlain(path: string, bytesMax: number): Buffer {
  const fd = openPlain(path, O_RDONLY)
  try {
    return readWhole(fd, path, bytesMax)
  } finally {
    closeSync(fd)
  }
}

/** The same of a file that must be ours. */
export function readOwn(path: string, bytesMax: number): Buffer {
  const fd = openOwn(path, 'r')
  try {
    return readWhole(fd, path, bytesMax)
  } finally {
    closeSync(fd)
  }
}

/** A descriptor of a plain file. @throws the system's error, or one that says that it is none. */
export function openPlain(path: string, flags = O_RDONLY): number {
  const fd = openSync(path, flags | O_NONBLOCK)
  if (fstatSync(fd).isFile()) return fd
  closeSync(fd)
  throw new Error(`${path} is no plain file`)
}

function readWhole(fd: number, path: string, bytesMax: number): Buffer {
  const { size } = fstatSync(fd)
  if (size > bytesMax) throw new Error(`${path} has ${size} bytes, more than ${bytesMax}`)
  const bytes = Buffer.alloc(size)
  let done = 0
  for (let n = 1; n > 0 && done < size; done += n) n = readSync(fd, bytes, done, size - done, done)
  return bytes.subarray(0, done)
}
