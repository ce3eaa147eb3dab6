/**
 * The seam to SQLite: better-sqlite3, else node:sqlite where Node has it. Nothing else in rankzero names
 * either.
 *
 * In: a path and a busy time-out. Out: the few synchronous calls that ledger and lock need.
 * Invariant: errors of both libraries leave here as they came; `sqliteCode` gives them one name.
 */
import { accessSync, constants, statfsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { messageOf, RankzeroError } from '../errors.ts'
import { ownFile } from '../package.ts'

export type Value = number | string | null | Uint8Array
export type SqlRow = Record<string, Value>

export interface Statement {
  run(...values: Value[]): unknown
  get(...values: Value[]): SqlRow | undefined
  all(...values: Value[]): SqlRow[]
}

export interface Sqlite {
  exec(sql: string): unknown
  prepare(sql: string): Statement
  close(): void
}

export interface SqliteOptions {
  readonly: boolean
  /** ms that a statement waits for a lock of another process. */
  busyMs: number
}

type Driver = (path: string, options: SqliteOptions) => Sqlite

interface BetterSqlite {
  new (path: string, options: { readonly: boolean; fileMustExist: boolean }): Sqlite
}
interface NodeSqlite {
  DatabaseSync: new (path: string, options: { readOnly: boolean }) => Sqlite
}

// Our own compiled copy first (native/install.js makes it where npm could not have one), then npm's.
const require = createRequire(ownFile('native/build/sqlite/any.js'))
let driver: Driver | undefined

/** Throws what the library throws; see `storeError`. */
export function openSqlite(path: string, options: SqliteOptions): Sqlite {
  driver ??= loadDriver()
  const db = driver(path, options)
  try {
    db.exec(`PRAGMA busy_timeout = ${options.busyMs}`)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** After a failure inside a transaction. */
export function rollBack(db: Sqlite): void {
  try {
    db.exec('ROLLBACK')
  } catch {
    // SQLite itself rolled back (it does on a full disk), or the transaction never began.
  }
}

function loadDriver(): Driver {
  try {
    const Better = require('better-sqlite3') as BetterSqlite
    // The compiled part is loaded by the first database: only that proves that it fits this Node.
    new Better(':memory:', { readonly: false, fileMustExist: false }).close()
    return (path, { readonly }) => new Better(path, { readonly, fileMustExist: readonly })
  } catch (cause) {
    const built = builtIn()
    if (built !== null) return (path, o) => new built.DatabaseSync(path, { readOnly: o.readonly })
    const why = `better-sqlite3 does not load on Node ${process.version}: ${messageOf(cause)}`
    const remedy = 'run `npm rebuild rankzero` with this Node, or use Node 22.13 or newer'
    throw new RankzeroError('LEDGER', why, remedy, { cause })
  }
}

function builtIn(): NodeSqlite | null {
  try {
    return require('node:sqlite') as NodeSqlite
  } catch {
    return null
  }
}

/** Result codes that the room tells apart; node:sqlite gives numbers, better-sqlite3 names. */
const NAMES: Record<number, string> = {
  1: 'SQLITE_ERROR', 5: 'SQLITE_BUSY', 6: 'SQLITE_LOCKED', 8: 'SQLITE_READONLY', 10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL', 14: 'SQLITE_CANTOPEN', 18: 'SQLITE_TOOBIG',
  19: 'SQLITE_CONSTRAINT', 20: 'SQLITE_MISMATCH',
  24: 'SQLITE_FORMAT', 26: 'SQLITE_NOTADB',
}

/** `SQLITE_BUSY`, `SQLITE_IOERR_WRITE` …, or '' when the error is not SQLite's. */
export function sqliteCode(error: unknown): string {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown }
  if (typeof errcode === 'number') return NAMES[errcode & 255] ?? `SQLITE_${errcode}`
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : ''
}

/** What only wrong bytes lead to, given statements that are right. */
const DAMAGE = [
  'SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_ERROR', 'SQLITE_TOOBIG', 'SQLITE_MISMATCH', 'SQLITE_FORMAT',
  'SQLITE_IOERR_SHORT_READ',
]

/** Of an error of this room: what the file holds is wrong, so that trying again cannot help. */
export function isDamaged(error: unknown): boolean {
  if (!(error instanceof RankzeroError)) return false
  const { path, code } = error.detail as { path?: string; code?: string }
  return error.code === 'DAMAGED' || (error.code === 'LEDGER' && isDamage(String(code ?? ''), path ?? ''))
}

/** The header can also claim that the file may only be read, which the file system knows better. */
function isDamage(code: string, path: string): boolean {
  if (code === 'SQLITE_READONLY') return isWritable(path) && isWritable(dirname(path))
  return DAMAGE.some((one) => code.startsWith(one))
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

const REMEDIES: [prefix: string, remedy: string][] = [
  ['SQLITE_BUSY', 'another process uses it: wait until that one ends, or ask it'],
  ['SQLITE_CORRUPT', 'keep a copy, check the disk, and read what is left with `sqlite3 FILE .recover`'],
  ['SQLITE_NOTADB', 'this is no file of rankzero: move it away'],
  ['SQLITE_READONLY', 'give this user write permission on the file and its directory'],
  ['SQLITE_CANTOPEN', 'check that its directory exists and may be written; if it is read-only, read a copy'],
]

/**
 * An error of SQLite as LEDGER: names what failed, the file, and what to do. `detail.errno` is ENOSPC for no
 * room.
 */
export function storeError(what: string, path: string, cause: unknown): RankzeroError {
  if (cause instanceof RankzeroError) return cause
  const code = sqliteCode(cause)
  if (code === 'SQLITE_FULL' || (code.startsWith('SQLITE_IOERR') && !hasRoom(path))) {
    const remedy = `free space on the file system of ${dirname(path)}; nothing acknowledged is lost`
    return new RankzeroError('LEDGER', `${what} ${path}: ENOSPC, no space left on the file system`, remedy,
      { cause, detail: { path, errno: 'ENOSPC' } })
  }
  const known = isDamage(code, path) && code !== 'SQLITE_NOTADB' ? 'SQLITE_CORRUPT' : code
  const remedy = REMEDIES.find(([prefix]) => known.startsWith(prefix))?.[1]
  return new RankzeroError('LEDGER', `${what} ${path}: ${messageOf(cause)}`,
    remedy ?? 'check that the directory exists, and its disk', { cause, detail: { path, code } })
}

/** The shared-memory file of the WAL reports a full disk as an I/O error. */
function hasRoom(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(path))
    return bavail * bsize >= 65_536
  } catch {
    return true
  }
}
