/**
 * Room ledger: the durable, ordered list of everything the aggregator admitted and decided in one run.
 *
 * In: batches (blobs as they came by wire) and notes (decisions, as JSON). Out: the same, in order of `pos`.
 * The writer's term is in the file too (`fence`): one that was stopped or cut off until its lock was lost
 * finds a higher one in its next transaction and writes nothing more.
 * Invariants: one append is one transaction, on disk when it returns, whole or absent after any crash; pos
 * grows by one from 1; nothing is changed or deleted; an entry is given back as it was appended, or as
 * damaged. One writer at a time (the aggregator's lock); readers at any time.
 * It does not look into blobs or notes (aggregator/replay.ts).
 */
import { randomBytes } from 'node:crypto'
import { existsSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { RankzeroError } from '../errors.ts'
import { LEDGER_BUSY_MS, LEDGER_READ_ENTRIES } from '../limits.ts'
import type { InstanceId } from '../record/index.ts'
import { checkOf, type Check } from './check.ts'
import {
  openSqlite, rollBack, sqliteCode, storeError, type Sqlite, type SqlRow, type Statement,
} from './sqlite.ts'

export interface BatchEntry {
  pos: number
  /** Aggregator's clock, ms. */
  at: number
  type: 'batch'
  instance: InstanceId
  firstSeq: number
  lastSeq: number
  /** Blob of wire/batch-build.ts. */
  data: Uint8Array
}

export interface NoteEntry {
  pos: number
  at: number
  type: 'note'
  kind: string
  /** JSON. */
  body: unknown
}

export type Entry = BatchEntry | NoteEntry
export type EntryDraft = Omit<BatchEntry, 'pos'> | Omit<NoteEntry, 'pos'>

/** Kind of the note that is read in the place of entries that are gone or do not pass their check. */
export const DAMAGED = 'damaged'
export interface DamagedBody { what: string }

export interface LedgerOptions {
  readonly?: boolean
  /** The file system spans hosts; default: what statfs says. */
  network?: boolean
}

export interface Ledger {
  /** Minted when the file was created. */
  readonly id: string
  readonly path: string
  /** Returns the pos of the last one. Throws LEDGER and keeps nothing of `entries`; may be called again. */
  append(entries: readonly EntryDraft[]): number
  /** In order of pos. Reads in steps: an append during the iteration is allowed and seen. */
  entries(fromPos?: number): Iterable<Entry>
  meta(): Record<string, string>
  setMeta(key: string, value: string): void
  /** Of the last writer that fenced the file; 0: none did. */
  term(): number
  /** From here on this process writes under `term`, and not at all once a higher one is in the file. */
  fence(term: number): void
  /** Idempotent. */
  close(): void
}

/** Version 1 had no checks; it is read, and written on, without. */
const SCHEMA_VERSION = 2
const KNOWN_VERSIONS = [1, SCHEMA_VERSION]
/** On average half a page is lost per blob; smaller pages halve the throughput. */
const PAGE_BYTES = 4096
/** Checkpoint at 8 MiB of WAL: at SQLite's 1,000 every fourth full group commit would pay for one. */
const CHECKPOINT_PAGES = 2000
const SCHEMA = `
  CREATE TABLE batches(pos INTEGER PRIMARY KEY, at INTEGER NOT NULL, instance TEXT NOT NULL,
    first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);
  CREATE TABLE notes(pos INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, crc INTEGER NOT NULL,
    body TEXT NOT NULL);
  CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};`

const readOf = (crc: string): string => `
  SELECT pos, at, instance, first_seq, last_seq, ${crc} AS crc, data FROM batches WHERE pos >= ?
  UNION ALL SELECT pos, at, kind, NULL, NULL, ${crc}, body FROM notes WHERE pos >= ?
  ORDER BY pos LIMIT ${LEDGER_READ_ENTRIES}`

/** Creates the file when it is not there (not when readonly). The directory must exist. */
export function openLedger(path: string, options: LedgerOptions = {}): Ledger {
  const readonly = options.readonly === true
  if (readonly && !existsSync(path)) {
    throw new RankzeroError('LEDGER', `no ledger at ${path}`, 'name a run directory that holds ledger.sqlite',
      { detail: { path, errno: 'ENOENT' } })
  }
  let db: Sqlite | undefined
  try {
    db = openSqlite(path, { readonly, busyMs: LEDGER_BUSY_MS })
    // A page that cannot be right is an error at once, not rows that are missing.
    db.exec('PRAGMA cell_size_check = ON')
    if (!readonly) prepareFile(db, path, options.network ?? isNetwork(dirname(path)))
    return new SqliteLedger(db, path, versionOf(db, path))
  } catch (error) {
    db?.close()
    throw storeError('cannot open the ledger', path, error)
  }
}

function prepareFile(db: Sqlite, path: string, network: boolean): void {
  db.exec(`PRAGMA page_size = ${PAGE_BYTES}`)
  // WAL needs memory shared by all readers, which a network file system does not give: there one process
  // only.
  if (network) db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = TRUNCATE')
  else db.exec('PRAGMA journal_mode = WAL')
  db.exec(`PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  if (hasTables(db)) return
  db.exec('BEGIN IMMEDIATE')
  // Another process may have made it since; then this transaction has nothing to do.
  if (!hasTables(db)) {
    if (pragma(db, 'schema_version') > 0) throw strange(path)
    db.exec(SCHEMA)
    const insert = db.prepare('INSERT INTO meta VALUES (?, ?)')
    insert.run('ledger', randomBytes(16).toString('hex'))
    insert.run('version', String(SCHEMA_VERSION))
  }
  db.exec('COMMIT')
}

function hasTables(db: Sqlite): boolean {
  return db.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'batches'`).get() !== undefined
}

/** The header says it, and a row: a header with one damaged byte is no newer version. */
function versionOf(db: Sqlite, path: string): number {
  const inHeader = pragma(db, 'user_version')
  if (KNOWN_VERSIONS.includes(inHeader)) return inHeader
  if (!hasTables(db)) {
    if (pragma(db, 'schema_version') > 0) throw strange(path)
    throw new RankzeroError('LEDGER', `${path} is empty`, 'nothing was acknowledged in it; sync the run',
      { detail: { path } })
  }
  const inRow = Number(db.prepare(`SELECT value FROM meta WHERE key = 'version'`).get()?.['value'] ?? 0)
  if (KNOWN_VERSIONS.includes(inRow)) return inRow
  throw new RankzeroError('LEDGER', `${path} has ledger version ${inHeader}, this is ${SCHEMA_VERSION}`,
    'install a newer rankzero', { detail: { path, version: inHeader } })
}

const strange = (path: string): RankzeroError => new RankzeroError(
  'DAMAGED', `${path} has other tables than a ledger: it is something else, or damaged`,
  'keep a copy, and move it away', { detail: { path } })

function pragma(db: Sqlite, name: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0)
}

class SqliteLedger implements Ledger {
  readonly id: string
  readonly path: string
  readonly #db: Sqlite
  readonly #batch: Statement
  readonly #note: Statement
  readonly #read: Statement
  readonly #termOf: Statement
  /** Prepared once: a busy run commits fifty times a second. */
  readonly #begin: Statement
  readonly #commit: Statement
  /** Null: this ledger has no checks. */
  readonly #check: Check | null
  #pos: number
  #term: number | null = null
  #open = true

  constructor(db: Sqlite, path: string, version: number) {
    this.#db = db
    this.path = path
    this.id = this.meta()['ledger'] ?? ''
    if (!/^[0-9a-f]{32}$/.test(this.id)) throw strange(path)
    const checked = version === SCHEMA_VERSION
    this.#check = checked ? checkOf(this.id) : null
    this.#batch = db.prepare(`INSERT INTO batches VALUES (?, ?, ?, ?, ?, ${checked ? '?, ' : ''}?)`)
    this.#note = db.prepare(`INSERT INTO notes VALUES (?, ?, ?, ${checked ? '?, ' : ''}?)`)
    this.#read = db.prepare(readOf(checked ? 'crc' : 'NULL'))
    this.#termOf = db.prepare(`SELECT value FROM meta WHERE key = 'term'`)
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#pos = this.#last()
  }

  #last(): number {
    const last = (table: string): number =>
      Number(this.#db.prepare(`SELECT max(pos) AS pos FROM ${table}`).get()?.['pos'] ?? 0)
    return Math.max(last('batches'), last('notes'))
  }

  append(entries: readonly EntryDraft[]): number {
    let pos = this.#pos
    this.#transaction(() => {
      for (const e of entries) {
        pos++
        if (e.type === 'batch') {
          const { at, instance, firstSeq, lastSeq, data } = e
          const check = this.#check?.(columnsOf(pos, at, instance, firstSeq, lastSeq), data)
          this.#batch.run(pos, at, instance, firstSeq, lastSeq, ...check === undefined ? [] : [check], data)
        } else {
          const body = JSON.stringify(e.body)
          const check = this.#check?.(columnsOf(pos, e.at, e.kind, body))
          this.#note.run(pos, e.at, e.kind, ...check === undefined ? [] : [check], body)
        }
      }
    })
    this.#pos = pos
    return pos
  }

  * entries(fromPos = 1): Generator<Entry> {
    let missing = fromPos > 1 ? 0 : this.#count()
    for (let next = fromPos; ;) {
      const from = next
      const rows = this.#readFrom(from)
      for (const row of rows) {
        const entry = this.#entryOf(row)
        const { pos } = entry
        // What comes twice, or too late, may be the last of all without its place: it stays missing.
        if (pos < next) continue
        missing--
        if (entry.type === 'note' && entry.kind === DAMAGED && pos > next) {
          yield { ...entry, pos: next }
          continue
        }
        if (pos > next) yield damaged(next, `entries ${next} to ${pos - 1} are missing`)
        yield entry
        next = pos + 1
      }
      if (rows.length < LEDGER_READ_ENTRIES) {
        // A cell that was zeroed has no place in the order, and no search finds it.
        if (missing > 0) yield damaged(next, `${missing} more entries are there, but not in their place`)
        return
      }
      if (next === from) return yield damaged(next, `entries from ${next} on cannot be read in their order`)
    }
  }

  meta(): Record<string, string> {
    const rows = this.#db.prepare('SELECT key, value FROM meta').all()
    return Object.fromEntries(rows.map((row) => [String(row['key']), String(row['value'])]))
  }

  setMeta(key: string, value: string): void {
    this.#transaction(() => this.#db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(key, value))
  }

  term(): number {
    return Number(this.#termOf.get()?.['value'] ?? 0)
  }

  fence(term: number): void {
    this.#term = term
    this.setMeta('term', String(term))
    // From here on nobody of a lower term adds anything; until here somebody may have.
    this.#pos = this.#last()
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    try {
      // Out of WAL mode the ledger is one file, which can be read on a read-only directory.
      this.#db.exec('PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE')
    } catch {
      // A reader is there, or this is one: the file stays in WAL mode, complete all the same.
    }
    this.#db.close()
  }

  #entryOf(row: SqlRow): Entry {
    const [pos, at] = [Number(row['pos']), Number(row['at'])]
    const name = String(row['instance'])
    const data = row['data'] as string | Uint8Array
    const [firstSeq, lastSeq] = [Number(row['first_seq']), Number(row['last_seq'])]
    const isNote = typeof data === 'string'
    // A page with other bytes gives NULL and numbers in any column.
    if (!isNote && !(data instanceof Uint8Array)) return damaged(pos, `entry ${pos} does not pass its check`)
    const columns = isNote ? columnsOf(pos, at, name, data) : columnsOf(pos, at, name, firstSeq, lastSeq)
    if (this.#check !== null && this.#check(columns, isNote ? undefined : data) !== row['crc']) {
      return damaged(pos, `entry ${pos} does not pass its check`)
    }
    if (!isNote) return { pos, at, type: 'batch', instance: name, firstSeq, lastSeq, data }
    try {
      return { pos, at, type: 'note', kind: name, body: JSON.parse(data) }
    } catch {
      return damaged(pos, `entry ${pos} is no JSON`)
    }
  }

  /** Inside a transaction, so that nobody can fence between the look and the write. */
  #checkTerm(): void {
    const now = this.#term === null ? 0 : this.term()
    if (this.#term === null || now <= this.#term) return
    const why = `${this.path} is written under term ${now}, not ${this.#term} any more`
    throw new RankzeroError('FENCED', why, 'nothing: the process of the higher term goes on with the run',
      { detail: { path: this.path, term: now } })
  }

  #count(): number {
    const counted = 'SELECT (SELECT count(*) FROM batches) + (SELECT count(*) FROM notes) AS n'
    try {
      return Number(this.#db.prepare(counted).get()?.['n'] ?? 0)
    } catch (error) {
      throw storeError('cannot read the ledger', this.path, error)
    }
  }

  #readFrom(pos: number): SqlRow[] {
    try {
      return this.#read.all(pos, pos)
    } catch (error) {
      throw storeError('cannot read the ledger', this.path, error)
    }
  }

  #transaction(work: () => void): void {
    try {
      this.#begin.run()
      this.#checkTerm()
      work()
      this.#commit.run()
    } catch (error) {
      rollBack(this.#db)
      if (sqliteCode(error).startsWith('SQLITE_CONSTRAINT')) throw secondWriter(this.path, error)
      throw storeError('cannot write the ledger', this.path, error)
    }
  }
}

const columnsOf = (...columns: (string | number)[]): string => columns.join(' ')

const damaged = (pos: number, what: string): NoteEntry =>
  ({ pos, at: 0, type: 'note', kind: DAMAGED, body: { what } satisfies DamagedBody })

function secondWriter(path: string, cause: unknown): RankzeroError {
  return new RankzeroError('LEDGER', `another process writes ${path}: its next position is taken`,
    'stop this aggregator; the other one holds the run', { cause, detail: { path } })
}

/** Magic numbers of statfs(2): NFS, Lustre, GPFS, SMB, CIFS, SMB2, BeeGFS, Ceph, AFS, 9p, FUSE. */
const NETWORK = new Set([
  0x6969, 0x0bd00bd0, 0x47504653, 0x517b, 0xff534d42, 0xfe534d42, 0x19830326, 0x00c36400, 0x5346414f,
  0x01021997, 0x65735546,
])

function isNetwork(directory: string): boolean {
  try {
    return NETWORK.has(statfsSync(directory).type)
  } catch {
    return false // The directory is not there: opening will say so.
  }
}
