import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isDamaged, openLedger, type Entry, type EntryDraft } from '../../lib/ledger/index.ts'
import { openSqlite } from '../../lib/ledger/sqlite.ts'

const INSTANCE = 'ab'.repeat(16)
const DRAFTS: EntryDraft[] = [
  { type: 'note', at: 1.5, kind: 'joined', body: { rank: 0 } },
  { type: 'batch', at: 2, instance: INSTANCE, firstSeq: 1, lastSeq: 9, data: Buffer.from('a blob, its crc') },
  { type: 'note', at: 3, kind: 'seal', body: [1, 2] },
]
let dir: string
let path: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rz-checks-'))
  path = join(dir, 'ledger.sqlite')
})
afterEach(() => rmSync(dir, { recursive: true }))

function sql(text: string): void {
  const db = openSqlite(path, { readonly: false, busyMs: 0 })
  db.exec(text)
  db.close()
}

function sqlValue(text: string): unknown {
  const db = openSqlite(path, { readonly: true, busyMs: 0 })
  const row = db.prepare(text).get()
  db.close()
  return Object.values(row ?? {})[0]
}

function read(): Entry[] {
  const ledger = openLedger(path, { readonly: true })
  const entries = [...ledger.entries()]
  ledger.close()
  return entries
}

const whole = (): Entry[] => DRAFTS.map((draft, i) => ({ ...draft, pos: i + 1 }))
const damaged = (pos: number, what: string): Entry =>
  ({ pos, at: 0, type: 'note', kind: 'damaged', body: { what } })

describe('what SQLite does not check', () => {
  beforeEach(() => {
    const ledger = openLedger(path)
    ledger.append(DRAFTS)
    ledger.close()
    expect(read()).toEqual(whole())
  })

  it.each([
    ['notes SET at = 2', 1], [`notes SET kind = 'joinee'`, 1], [`notes SET body = '{"rank":1}'`, 1],
    ['notes SET crc = crc + 1', 1], ['batches SET at = 3', 2], ['batches SET crc = 0', 2],
    [`batches SET instance = '${'ac'.repeat(16)}'`, 2], ['batches SET first_seq = 2', 2],
    ['batches SET last_seq = 8', 2], ['batches SET data = 7', 2],
    [`batches SET data = CAST('a blob, its crd' AS BLOB)`, 2],
  ])('is found: UPDATE %s', (change, pos) => {
    sql(`UPDATE ${change} WHERE pos = ${pos}`)
    const right = whole()
    right[pos - 1] = damaged(pos, `entry ${pos} does not pass its check`)
    expect(read()).toEqual(right)
  })

  it('is found when entries are gone, or come to another place', () => {
    sql('UPDATE notes SET pos = 1000 WHERE pos = 3; DELETE FROM batches')
    expect(read()).toEqual([whole()[0], damaged(2, 'entry 1000 does not pass its check')])
    sql('DELETE FROM notes WHERE pos = 1')
    expect(read()).toEqual([damaged(1, 'entry 1000 does not pass its check')])
  })

  it('is told as missing where it was, and the rest is read', () => {
    sql('DELETE FROM batches')
    expect(read()).toEqual([whole()[0], damaged(2, 'entries 2 to 2 are missing'), whole()[2]])
  })

  it('the last entry is missed when its cell was zeroed, which leaves a row without a place', () => {
    const bytes = readFileSync(path)
    const page = Number(sqlValue(`SELECT rootpage FROM sqlite_master WHERE name = 'notes'`)) - 1
    // A leaf of a table: 8 bytes of header, of which 3-4 count the cells, then where each begins.
    const at = page * 4096
    const last = bytes.readUInt16BE(at + 8 + 2 * (bytes.readUInt16BE(at + 3) - 1))
    writeFileSync(path, bytes.fill(0, at + last, at + last + 12))
    const lost = '1 more entries are there, but not in their place'
    expect(read()).toEqual([...whole().slice(0, 2), damaged(3, lost)])
  })

  it('and an entry of another ledger does not pass', () => {
    sql(`UPDATE meta SET value = '${randomBytes(16).toString('hex')}' WHERE key = 'ledger'`)
    expect(read().map((entry) => entry.type === 'note' && entry.kind)).toEqual(Array(3).fill('damaged'))
  })

  it('one byte of the header is no newer version, and none of its tables is no ledger', () => {
    sql('PRAGMA user_version = 66')
    expect(read()).toEqual(whole())
    sql('DROP TABLE batches')
    let error: unknown
    try {
      read()
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'DAMAGED', message: expect.stringContaining(path) })
    expect(isDamaged(error)).toBe(true)
  })
})

it('a ledger of version 1, which had no checks, is read and written on', () => {
  sql(`
    CREATE TABLE batches(pos INTEGER PRIMARY KEY, at INTEGER NOT NULL, instance TEXT NOT NULL,
      first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE TABLE notes(pos INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL);
    CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = 1;
    INSERT INTO meta VALUES ('ledger', '${'cd'.repeat(16)}');
    INSERT INTO notes VALUES (1, 1.5, 'joined', '{"rank":0}')`)
  const ledger = openLedger(path)
  expect(ledger.id).toBe('cd'.repeat(16))
  ledger.append(DRAFTS.slice(1))
  ledger.close()
  expect(read()).toEqual(whole())
  sql(`UPDATE notes SET body = '[1,' WHERE pos = 3`)
  expect(read()[2]).toEqual(damaged(3, 'entry 3 is no JSON'))
})
