/**
 * Room ledger, lock databases: one process at a time holds a path, until it releases it or is gone, however
 * it goes.
 *
 * In: a path. Out: the held lock with its term and a small state, or null while another process holds it.
 * Invariants: the lock is fcntl's, inside SQLite's exclusive locking mode, so the kernel frees it and a
 * stopped holder keeps it; the term grows by each `advance`, on disk, and never falls while the file lives.
 * POSIX frees a lock when its process closes *any* descriptor of the file: nothing in rankzero opens a lock
 * file but this.
 * It does not wait and does not say who holds (lock/).
 */
import { rmSync } from 'node:fs'
import { sleepSync } from '../clock.ts'
import { LOCK_COMMIT_MS, LOCK_TRIES, LOCK_TRY_PAUSE_MS } from '../limits.ts'
import { openSqlite, sqliteCode, storeError, type Sqlite } from './sqlite.ts'

export interface LockDb {
  readonly path: string
  readonly term: number
  /** What the last `advance` of any holder said; {} before the first. */
  state(): Record<string, string>
  /** Replaces the state, adds one to the term; both are on disk when it returns the new term. */
  advance(state: Record<string, string>): number
  /**
   * Idempotent. With `unlink` the file goes, and its term with it: only for locks whose term nobody keeps.
   */
  release(options?: { unlink?: boolean }): void
}

/** The directory must exist. Throws LEDGER when the file cannot be used at all. */
export function tryLock(path: string): LockDb | null {
  for (let tries = 1; ; tries++) {
    const got = attempt(path)
    if (got !== 'busy' && got !== 'moved') return got
    // Busy may mean that candidates met over the leftover journal of a killed holder: look again, apart in
    // time.
    if (got === 'busy' && tries >= LOCK_TRIES) return null
    sleepSync(Math.random() * LOCK_TRY_PAUSE_MS)
  }
}

/**
 * BEGIN IMMEDIATE takes one byte lock atomically, so of several candidates exactly one gets it; its commit
 * then waits for the others' short read locks, and exclusive mode keeps what the commit took.
 */
function attempt(path: string): LockDb | 'busy' | 'moved' {
  let db: Sqlite | undefined
  try {
    db = openSqlite(path, { readonly: false, busyMs: 0 })
    // TRUNCATE: a journal of mode DELETE is removed by name at close, when the name may be the next holder's.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL')
    db.exec('BEGIN IMMEDIATE')
    db.exec(`PRAGMA busy_timeout = ${LOCK_COMMIT_MS}`)
    db.exec('CREATE TABLE IF NOT EXISTS lock(id INTEGER PRIMARY KEY, term INTEGER, state TEXT)')
    // A real write: SQLite then checks that the path still names the locked inode (SQLITE_READONLY_DBMOVED).
    db.exec(`INSERT INTO lock VALUES (1, 0, '{}') ON CONFLICT (id) DO UPDATE SET term = term`)
    db.exec('COMMIT')
    return new HeldLock(db, path)
  } catch (error) {
    db?.close()
    const code = sqliteCode(error)
    if (code.startsWith('SQLITE_BUSY')) return 'busy'
    if (code === 'SQLITE_READONLY_DBMOVED') return 'moved'
    throw storeError('cannot use the lock', path, error)
  }
}

class HeldLock implements LockDb {
  readonly path: string
  readonly #db: Sqlite
  #term: number
  #state: Record<string, string>
  #held = true

  constructor(db: Sqlite, path: string) {
    this.#db = db
    this.path = path
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
      this.#db.prepare('UPDATE lock SET term = ?, state = ?').run(term, JSON.stringify(state))
    } catch (error) {
      throw storeError('cannot write the lock', this.path, error)
    }
    this.#term = term
    this.#state = { ...state }
    return term
  }

  release(options: { unlink?: boolean } = {}): void {
    if (!this.#held) return
    this.#held = false
    // While the lock is held: afterwards the names may be another holder's. The journal first, for the same
    // reason.
    rmSync(`${this.path}-journal`, { force: true })
    if (options.unlink === true) rmSync(this.path, { force: true })
    this.#db.close()
  }
}
