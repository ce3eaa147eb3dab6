import { spawnSync } from 'node:child_process'
import {
  cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLedger, type Entry, type EntryDraft } from '../../lib/ledger/ledger.ts'
import { LEDGER_READ_ENTRIES } from '../../lib/limits.ts'
import { Child, DIST, nodeChild } from './processes.ts'

const INSTANCE = 'ab'.repeat(16)
let dir: string
let path: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rz-ledger-'))
  path = join(dir, 'ledger.sqlite')
})
afterEach(() => rmSync(dir, { recursive: true }))

const batch = (seq: number, data: Uint8Array): EntryDraft =>
  ({ type: 'batch', at: 1_790_000_000_000 + seq, instance: INSTANCE, firstSeq: seq, lastSeq: seq, data })
const note = (kind: string, body: unknown): EntryDraft =>
  ({ type: 'note', at: 1_790_000_000_000.25, kind, body })

interface Filled {
  first: Record<string, unknown>
  again: Record<string, unknown>
  after: number
  seen: number
}

interface Read {
  last?: number
  code?: string
  message?: string
  remedy?: string
}

const child = resolve(import.meta.dirname, 'child', 'ledger.mjs')

/** Runs a shell script as root of its own mount namespace; null where that is not allowed. */
function inNamespace(script: string): string | null {
  if (spawnSync('unshare', ['-m', 'true']).status !== 0) return null
  const args = [dir, process.execPath, child, DIST, path]
  const ran = spawnSync('unshare', ['-m', 'sh', '-ec', script, 'sh', ...args])
  expect(ran.stderr.toString()).toBe('')
  return ran.stdout.toString()
}

describe('one process', () => {
  it('gives batches and notes back in the order of their appends', () => {
    const ledger = openLedger(path)
    const data = new Uint8Array([0, 255, 7])
    expect(ledger.append([note('joined', { rank: 0, 'ü': [null, 1.5] }), batch(1, data)])).toBe(2)
    expect(ledger.append([batch(2 ** 53 - 1, data), note('seal', 'x')])).toBe(4)
    expect(ledger.append([])).toBe(4)
    const plain = [...ledger.entries()]
      .map((e) => e.type === 'batch' ? { ...e, data: new Uint8Array(e.data) } : e)
    expect(plain).toEqual([
      { ...note('joined', { rank: 0, 'ü': [null, 1.5] }), pos: 1 }, { ...batch(1, data), pos: 2 },
      { ...batch(2 ** 53 - 1, data), pos: 3 }, { ...note('seal', 'x'), pos: 4 },
    ])
    expect([...ledger.entries(3)].map((e) => e.pos)).toEqual([3, 4])
    expect([...ledger.entries(5)]).toEqual([])
    ledger.close()
  })

  it('keeps its id, its meta and its positions when it is opened again', () => {
    const first = openLedger(path)
    first.append([note('a', 1)])
    first.setMeta('run', 'r1')
    first.setMeta('run', 'r2')
    first.close()
    first.close()
    const second = openLedger(path)
    expect(second.id).toMatch(/^[0-9a-f]{32}$/)
    expect([second.id, second.meta()]).toEqual([first.id, { ledger: first.id, version: '2', run: 'r2' }])
    expect(second.append([note('b', 2)])).toBe(2)
    second.close()
  })

  it('reads on, over many steps, while entries are appended', () => {
    const ledger = openLedger(path)
    ledger.append(Array.from({ length: 2 * LEDGER_READ_ENTRIES }, (_, i) => note('n', i)))
    const seen: number[] = []
    for (const entry of ledger.entries()) {
      seen.push(entry.pos)
      if (entry.pos === 10) ledger.append([note('late', 0)])
    }
    expect(seen).toEqual(Array.from({ length: 2 * LEDGER_READ_ENTRIES + 1 }, (_, i) => i + 1))
    ledger.close()
  })

  it('takes all entries of an append or none', () => {
    const ledger = openLedger(path)
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    expect(() => ledger.append([note('good', 1), note('bad', cycle)])).toThrow()
    expect([...ledger.entries()]).toEqual([])
    expect(ledger.append([note('good', 2)])).toBe(1)
    ledger.close()
  })

  it('is one file without WAL after close, and its WAL is empty when a reader is still there', () => {
    const ledger = openLedger(path)
    ledger.append([batch(1, new Uint8Array(100_000))])
    const reader = openLedger(path, { readonly: true })
    expect(statSync(`${path}-wal`).size).toBeGreaterThan(100_000)
    ledger.close()
    expect(statSync(`${path}-wal`).size).toBe(0)
    expect([...reader.entries()]).toHaveLength(1)
    reader.close()
    openLedger(path).close()
    expect(readdirSync(dir)).toEqual(['ledger.sqlite'])
  })

  it('costs less than half a byte per point beyond the blobs', () => {
    const ledger = openLedger(path)
    const pointsPerBlob = 64 * 1024 / 4
    for (let i = 0; i < 8; i++) {
      const data = new Uint8Array(64 * 1024).fill(i)
      ledger.append(Array.from({ length: 16 }, (_, k) => batch(16 * i + k + 1, data)))
    }
    ledger.close()
    const overhead = statSync(path).size - 128 * 64 * 1024
    expect(overhead / (128 * pointsPerBlob)).toBeLessThan(0.5)
  })

  it('says which file is no ledger, and that a missing one is missing', () => {
    writeFileSync(path, 'a text of somebody else, long enough to be a database'.repeat(9))
    expect(() => openLedger(path)).toThrow(expect.objectContaining({
      code: 'LEDGER', message: expect.stringContaining(path), remedy: expect.stringMatching(/move it away/),
    }))
    const missing = join(dir, 'missing.sqlite')
    expect(() => openLedger(missing, { readonly: true })).toThrow(expect.objectContaining({
      code: 'LEDGER', message: `no ledger at ${missing}`,
    }))
    expect(existsSync(missing)).toBe(false)
    const nowhere = join(dir, 'no', 'ledger.sqlite')
    expect(() => openLedger(nowhere)).toThrow(expect.objectContaining({ code: 'LEDGER' }))
  })

  it('tells a second writer that it is one', () => {
    const one = openLedger(path)
    const two = openLedger(path)
    one.append([note('a', 1)])
    expect(() => two.append([note('b', 1)])).toThrow(expect.objectContaining({
      code: 'LEDGER', message: expect.stringContaining('another process writes'),
    }))
    expect([...one.entries()]).toHaveLength(1)
    two.close()
    one.close()
  })

  it('takes nothing more from a writer of a lower term', () => {
    const zombie = openLedger(path)
    zombie.fence(1)
    zombie.append([note('a', 1)])
    const heir = openLedger(path)
    expect(heir.term()).toBe(1)
    // It does not know yet that it is no longer alone.
    zombie.append([note('late', 1)])
    heir.fence(2)
    const fenced = expect.objectContaining({ code: 'FENCED' })
    expect(() => zombie.append([note('b', 1)])).toThrow(fenced)
    expect(() => zombie.setMeta('run', 'x')).toThrow(fenced)
    expect(() => zombie.fence(1)).toThrow(fenced)
    heir.append([note('c', 1)])
    expect([...heir.entries()]).toMatchObject(
      [{ pos: 1, kind: 'a' }, { pos: 2, kind: 'late' }, { pos: 3, kind: 'c' }])
    expect(heir.meta()).not.toHaveProperty('run')
    zombie.close()
    heir.close()
  })

  it('refuses to write when it was opened to be read', () => {
    openLedger(path).close()
    const reader = openLedger(path, { readonly: true })
    expect(() => reader.append([note('a', 1)])).toThrow(expect.objectContaining({ code: 'LEDGER' }))
    reader.close()
  })
})

describe('real processes', () => {
  it('keeps every acknowledged append, and none in part, when the writer is killed', async () => {
    for (let round = 0; round < 10; round++) {
      const file = join(dir, `killed-${round}.sqlite`)
      const writer = nodeChild('ledger.mjs', 'append', file)
      let acked = 0
      for (let i = 0; i <= 3 * round; i++) acked = (await writer.next<{ pos: number }>())!.pos
      await writer.kill()
      acked = (await writer.rest<{ pos: number }>()).at(-1)?.pos ?? acked
      const ledger = openLedger(file)
      const entries = [...ledger.entries()]
      ledger.close()
      expect(entries.length).toBeGreaterThanOrEqual(acked)
      expect(entries.length % 9).toBe(0)
      expect(entries.every(isWhole)).toBe(true)
    }
  })

  it('can be read while another process writes it, and after that one was killed', async () => {
    const writer = nodeChild('ledger.mjs', 'append', path)
    for (let i = 0; i < 5; i++) {
      const { pos } = (await writer.next<{ pos: number }>())!
      const reader = openLedger(path, { readonly: true })
      const entries = [...reader.entries()]
      expect(entries.length).toBeGreaterThanOrEqual(pos)
      expect(entries.length % 9).toBe(0)
      reader.close()
    }
    await writer.kill()
    const reader = openLedger(path, { readonly: true })
    expect([...reader.entries()].length).toBeGreaterThanOrEqual(45)
    reader.close()
  })

  it('can be read on a read-only file system, closed or left by a killed writer', async (context) => {
    const writer = nodeChild('ledger.mjs', 'append', path)
    await writer.next()
    await writer.kill()
    const script = 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; "$2" "$3" "$4" read "$5"'
    const left = inNamespace(script)
    if (left === null) return context.skip()
    expect((JSON.parse(left) as Read).last).toBeGreaterThanOrEqual(9)
    openLedger(path).close()
    expect(readdirSync(dir)).toEqual(['ledger.sqlite'])
    expect((JSON.parse(inNamespace(script)!) as Read).last).toBeGreaterThanOrEqual(9)
  })

  it('says what to do when a killed ledger came in part to a read-only file system', async (context) => {
    const writer = nodeChild('ledger.mjs', 'append', path)
    await writer.next()
    await writer.kill()
    const all = join(dir, 'all')
    mkdirSync(all)
    for (const end of ['', '-wal']) cpSync(`${path}${end}`, join(all, `ledger.sqlite${end}`))
    path = join(all, 'ledger.sqlite')
    const script = 'd=$1/all; mount --bind "$d" "$d"; mount -o remount,ro,bind "$d"; "$2" "$3" "$4" read "$5"'
    const said = inNamespace(script)
    if (said === null) return context.skip()
    expect(JSON.parse(said)).toEqual({
      code: 'LEDGER', message: expect.stringContaining(path), remedy: expect.stringMatching(/copy/),
    })
  })

  it('names path and ENOSPC on a full disk, keeps what it acknowledged, and goes on with room', (context) => {
    const said = inNamespace('mount -t tmpfs -o size=6m tmpfs "$1"; "$2" "$3" "$4" full "$5"')
    if (said === null) return context.skip()
    const { first, again, after, seen } = JSON.parse(said) as Filled
    for (const failed of [first, again]) {
      expect(failed).toMatchObject({
        code: 'LEDGER', detail: { path, errno: 'ENOSPC' },
        message: expect.stringContaining(`${path}: ENOSPC`),
        remedy: expect.stringContaining(`free space on the file system of ${dir}`),
      })
    }
    expect(after).toBe(again['pos'] as number + 9)
    expect(seen).toBe(after)
  })

  it('has one process only on a network file system, and no WAL', async () => {
    const ledger = openLedger(path, { network: true })
    ledger.append([batch(1, new Uint8Array(10))])
    expect(existsSync(`${path}-wal`)).toBe(false)
    const reader = new Child(process.execPath, [child, DIST, 'read', path])
    const { code, remedy } = (await reader.next<Read>())!
    expect([code, remedy]).toEqual(['LEDGER', expect.stringMatching(/another process uses it/)])
    ledger.close()
    const after = new Child(process.execPath, [child, DIST, 'read', path])
    expect(await after.next()).toEqual({ last: 1 })
  }, 30_000)
})

/** The child fills each blob with its position and ends each group with a note of the group's first. */
function isWhole(entry: Entry): boolean {
  if (entry.type === 'note') return (entry.body as { from: number }).from === entry.pos - 8
  const { pos, firstSeq, data } = entry
  return firstSeq === pos && data.length === 20_000 && data.every((byte) => byte === pos % 251)
}
