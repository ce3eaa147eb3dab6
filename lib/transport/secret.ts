/**
 * The run secret: 32 random bytes as text in a file that only its owner can read. Its path travels, it never
 * does.
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync, constants, existsSync, fstatSync, linkSync, openSync, readSync, rmSync, writeFileSync,
} from 'node:fs'
import { errnoOf, messageOf, RankzeroError } from '../errors.ts'
import { keysOf, SECRET_BYTES, type RunKeys } from './keys.ts'

/** 64 hex digits or 44 characters of base64, and some white space. */
const TEXT_BYTES_MAX = 256
const howTo = (path: string): string =>
  `make one with: (umask 077; head -c 32 /dev/urandom | base64 > ${path})`

/** @throws RankzeroError USAGE: no such file, not ours, open to others, or no secret in it. */
export function readKeys(path: string): RunKeys {
  return keysOf(secretOf(readOwn(path), path))
}

/** The secret that is there, or a new one: of several that make it at once, all read the same. */
export function ensureKeys(path: string): RunKeys {
  if (!existsSync(path)) make(path)
  return readKeys(path)
}

function make(path: string): void {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    rmSync(temporary, { force: true })
    // Flushed: a name that survives a power loss without its bytes would lock everybody out.
    const text = `${randomBytes(SECRET_BYTES).toString('hex')}\n`
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx', flush: true })
    linkSync(temporary, path)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    const why = `the run secret ${path} cannot be made: ${messageOf(error)}`
    throw new RankzeroError('PROTOCOL', why, howTo(path), { cause: error })
  } finally {
    rmSync(temporary, { force: true })
  }
}

function readOwn(path: string): string {
  let fd: number
  try {
    // A FIFO would keep us waiting for a writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw unusable(path, messageOf(error), howTo(path))
  }
  try {
    const facts = fstatSync(fd)
    const { uid, mode } = facts
    if (!facts.isFile()) throw unusable(path, 'it is no plain file', howTo('a path of yours'))
    const own = process.getuid?.() ?? uid
    if (uid !== own) {
      throw unusable(path, `it belongs to user ${uid}, not to ${own}`, howTo('a path of yours'))
    }
    if ((mode & 0o077) !== 0) {
      const shown = (mode & 0o777).toString(8)
      throw unusable(path, `its mode is ${shown}, so others may read or write it`, `chmod 600 ${path}`)
    }
    const bytes = Buffer.alloc(TEXT_BYTES_MAX)
    return bytes.toString('latin1', 0, readSync(fd, bytes, 0, TEXT_BYTES_MAX, 0))
  } finally {
    closeSync(fd)
  }
}

function secretOf(text: string, path: string): Buffer {
  const trimmed = text.trim()
  const isHex = /^[0-9a-fA-F]{64}$/.test(trimmed)
  const bytes = isHex ? Buffer.from(trimmed, 'hex')
    : /^[A-Za-z0-9+/]{43}=?$/.test(trimmed) ? Buffer.from(trimmed, 'base64') : Buffer.alloc(0)
  if (bytes.length === SECRET_BYTES) return bytes
  throw unusable(path, 'it does not hold 32 bytes as hex digits or base64', howTo(path))
}

const unusable = (path: string, why: string, remedy: string): RankzeroError =>
  new RankzeroError('USAGE', `the run secret ${path} cannot be used: ${why}`, remedy)
