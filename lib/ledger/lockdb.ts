/**
 * Room ledger, lock databases: one process at a time holds a path, until it releases it or is gone.
 *
 * In: a path. Out: the held lock with its term and a small state, or null while another process holds it.
 * Invariants: the lock is fcntl's, inside SQLite's exclusive locking mode, so the kernel frees it with its
 * process and a stopped holder keeps it; the term grows by each `advance`, on disk, and never falls: a file
 * that does not pass its check is set aside, and its successor begins above any term that it can have had.
 * POSIX frees a lock when its process closes *any* descriptor of the file: nothing but this opens lock files.
 * It does not wait and does not say who holds (lock/).
 */
import { closeSync, openSync, rmSync, statSync } from 'node:fs'
import { sleepSync, wallMs } from '../clock.ts'
import { errnoOf, RankzeroError } from '../errors.ts'
import { LOCK_COMMIT_MS, LOCK_TRIES, LOCK_TRY_PAUSE_MS } from '../limits.ts'
import { crc32 } from '../record/crc32.ts'
import { setAside } from './durable.ts'
import {
  isDamaged, openSqlite, rollBack, sqliteCode, storeError, type Sqlite, type SqlRow,
} from './sqlite.ts'

export interface LockDb {
  readonly path: string
  readonly term: number
  /** What the last `advance` of any holder said; {} before the first. */
  state(): Record<string, string>
  /** The damaged file that this one replaces, if this process found it. */
  readonly aside: string | null
  /**
   * Replaces the state, adds one to the term; both are on disk when it returns the new term. `above`: a term
   * that is known from elsewhere.
   */
  advance(state: Record<string, string>, above?: number): number
  /** Idempotent. `unlink` removes the file of a lock that never had a term; one with a term keeps it. */
  release(options?: { unlink?: boolean }): void
}

/** The directory must exist. Throws LEDGER when the file cannot be used at all. */
export function tryLock(path: string): LockDb | null {
  let aside: string | null = null
  for (let busy = 0, tries = 0; ;) {
    const before = identity(path)
    try {
      const got = attempt(path)
      if (got instanceof HeldLock) {
        // Terms counted from 1 never come near the seconds since 1970.
        if (aside !== null) got.replaces(aside, Math.floor(wallMs() / 1000))
        return got
      }
      if (got === 'busy' && ++busy === LOCK_TRIES) return null
    } catch (error) {
      if (!isDamaged(error) || ++tries === LOCK_TRIES) throw error
      // A live holder would have kept us from reading it. Another candidate may have replaced it since.
      if (before !== '' && identity(path) === before) aside = setAside(path, wallMs())
    }
    // Busy may mean that candidates met over the journal of a killed holder: look again, apart in time.
    sleepSync(Math.random() * LOCK_TRY_PAUSE_MS)
  }
}

/** Whether a process holds it now. Takes nothing that a candidate for it does not wait for. */
export function isHeld(path: string): boolean {
  let db: Sqlite | undefined
  try {
    db = openSqlite(path, { readonly: true, busyMs: 0 })
    db.prepare('PRAGMA schema_version').get()
    return false
  } catch (error) {
    return sqliteCode(error).startsWith('SQLITE_BUSY')
  } finally {
    db?.close()
  }
}

/**
 * BEGIN IMMEDIATE takes one byte lock atomically, so of several candidates exactly one gets it; BEGIN
 * EXCLUSIVE then waits for the others' short read locks, and exclusive mode keeps both. No journal on disk:
 * a candidate that still has an unlinked file open would take, by its name, the journal of the new file for
 * its own (seen: two holders).
 */
function attempt(path: string): HeldLock | 'busy' | 'moved' {
  let db: Sqlite | undefined
  try {
    createIfMissing(path)
    const before = identity(path)
    db = openSqlite(path, { readonly: false, busyMs: 0 })
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY')
    db.exec('BEGIN IMMEDIATE; COMMIT')
    db.exec(`PRAGMA busy_timeout = ${LOCK_COMMIT_MS}; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE; COMMIT`)
    // An unlinked file never comes back: the same one before the opening and now is the one that is locked.
    if (before !== '' && identity(path) === before) return new HeldLock(db, path)
    db.close()
    return 'moved'
  } catch (error) {
    db?.close()
    if (sqliteCode(error).startsWith('SQLITE_BUSY')) return 'busy'
    throw storeError('cannot use the lock', path, error)
  }
}

/** Only a file that was not there is opened and closed here: that cannot free a lock of this process. */
function createIfMissing(path: string): void {
  if (identity(path) !== '') return
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
  }
}

/** Tells files apart, even those that got the inode of an unlinked one; '' when there is none. */
function identity(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? '' : `${found.dev}:${found.ino}:${found.birthtimeNs}`
}

class HeldLock implements LockDb {
  readonly path: string
  readonly #db: Sqlite
  #term = 0
  #state: Record<string, string> = {}
  #held = true
  #aside: string | null = null

  constructor(db: Sqlite, path: string) {
    this.#db = db
    this.path = path
    const has = db.prepare(`SELECT name FROM sqlite_master WHERE name = 'lock'`).get() !== undefined
    const row = has ? db.prepare('SELECT term, state FROM lock').get() : undefined
    const neverHeld = !has && db.prepare('PRAGMA schema_version').get()?.['schema_version'] === 0
    if (neverHeld) return
    const read = rowOf(row)
    if (read === null) {
      throw new RankzeroError('DAMAGED', `the lock ${path} does not pass its check`, 'it is set aside',
        { detail: { path } })
    }
    this.#term = read.term
    this.#state = read.state
  }

  get aside(): string | null {
    return this.#aside
  }

  /** On disk at once: whoever takes the lock next must not begin at 1. */
  replaces(aside: string, term: number): void {
    this.advance({}, term)
    this.#aside = aside
  }

  get term(): number {
    return this.#term
  }

  state(): Record<string, string> {
    return { ...this.#state }
  }

  advance(state: Record<string, string>, above = 0): number {
    const term = Math.max(this.#term, above) + 1
    try {
      // On disk from here on: a lock with a term is never unlinked.
      this.#db.exec('PRAGMA journal_mode = TRUNCATE; BEGIN')
      this.#db.exec('CREATE TABLE IF NOT EXISTS lock(id INTEGER PRIMARY KEY, term INTEGER, state TEXT)')
      this.#db.prepare('INSERT OR REPLACE INTO lock VALUES (1, ?, ?)').run(term, stateText(term, state))
      this.#db.exec('COMMIT')
    } catch (error) {
      rollBack(this.#db)
      throw storeError('cannot write the lock', this.path, error)
    }
    this.#term = term
    this.#state = { ...state }
    return term
  }

  release(options: { unlink?: boolean } = {}): void {
    if (!this.#held) return
    this.#held = false
    // While the lock is held: afterwards the names may be another holder's.
    if (this.#term > 0) rmSync(`${this.path}-journal`, { force: true })
    else if (options.unlink === true) rmSync(this.path, { force: true })
    this.#db.close()
  }
}

/** The check is a field of the state, so that older files, which have none, are read too. */
const CHECK = '#'
const utf8 = new TextEncoder()
const checkOf = (term: number, text: string): string => crc32(utf8.encode(`${term} ${text}`)).toString(16)

function stateText(term: number, state: Record<string, string>): string {
  return JSON.stringify({ ...state, [CHECK]: checkOf(term, JSON.stringify(state)) })
}

function rowOf(row: SqlRow | undefined): { term: number; state: Record<string, string> } | null {
  const term = Number(row?.['term'])
  if (row === undefined || !Number.isSafeInteger(term) || term < 1) return null
  try {
    const { [CHECK]: check, ...state } = JSON.parse(String(row['state'])) as Record<string, string>
    return check === undefined || check === checkOf(term, JSON.stringify(state)) ? { term, state } : null
  } catch {
    return null
  }
}
