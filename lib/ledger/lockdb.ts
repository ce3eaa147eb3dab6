/**
 * Room ledger, lock databases: one process at a time holds a path, until it releases it or is gone.
 *
 * In: a path. Out: the held lock with its term and a small state, or null while another process holds it.
 * Invariants: the lock is fcntl's, inside SQLite's exclusive locking mode, so the kernel frees it with its
 * process and a stopped holder keeps it; the term grows by each `advance`, on disk, and never falls.
 * POSIX frees a lock when its process closes *any* descriptor of the file: nothing but this opens lock files.
 * It does not wait and does not say who holds (lock/).
 */
import { closeSync, openSync, rmSync, statSync } from 'node:fs'
import { sleepSync } from '../clock.ts'
import { errnoOf } from '../errors.ts'
import { LOCK_COMMIT_MS, LOCK_TRIES, LOCK_TRY_PAUSE_MS } from '../limits.ts'
import { openSqlite, rollBack, sqliteCode, storeError, type Sqlite } from './sqlite.ts'

export interface LockDb {
  readonly path: string
  readonly term: number
  /** What the last `advance` of any holder said; {} before the first. */
  state(): Record<string, string>
  /** Replaces the state, adds one to the term; both are on disk when it returns the new term. */
  advance(state: Record<string, string>): number
  /** Idempotent. `unlink` removes the file of a lock that never had a term; one with a term keeps it. */
  release(options?: { unlink?: boolean }): void
}

/** The directory must exist. Throws LEDGER when the file cannot be used at all. */
export function tryLock(path: string): LockDb | null {
  for (let busy = 0; ;) {
    const got = attempt(path)
    if (got !== 'busy' && got !== 'moved') return got
    // Busy may mean that candidates met over the journal of a killed holder: look again, apart in time.
    if (got === 'busy' && ++busy === LOCK_TRIES) return null
    sleepSync(Math.random() * LOCK_TRY_PAUSE_MS)
  }
}

/**
 * BEGIN IMMEDIATE takes one byte lock atomically, so of several candidates exactly one gets it; BEGIN
 * EXCLUSIVE then waits for the others' short read locks, and exclusive mode keeps both. No journal on disk:
 * a candidate that still has an unlinked file open would take, by its name, the journal of the new file for
 * its own (seen: two holders).
 */
function attempt(path: string): LockDb | 'busy' | 'moved' {
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

  constructor(db: Sqlite, path: string) {
    this.#db = db
    this.path = path
    if (db.prepare(`SELECT name FROM sqlite_master WHERE name = 'lock'`).get() === undefined) return
    const row = db.prepare('SELECT term, state FROM lock').get()
    this.#term = Number(row?.['term'])
    this.#state = JSON.parse(String(row?.['state'])) as Record<string, string>
  }

  get term(): number {
    return this.#term
  }

  state(): Record<string, string> {
    return { ...this.#state }
  }

  advance(state: Record<string, string>): number {
    const term = this.#term + 1
    try {
      // On disk from here on: a lock with a term is never unlinked.
      this.#db.exec('PRAGMA journal_mode = TRUNCATE; BEGIN')
      this.#db.exec('CREATE TABLE IF NOT EXISTS lock(id INTEGER PRIMARY KEY, term INTEGER, state TEXT)')
      this.#db.prepare('INSERT OR REPLACE INTO lock VALUES (1, ?, ?)').run(term, JSON.stringify(state))
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
