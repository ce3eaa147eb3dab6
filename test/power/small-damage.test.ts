/** Damaged small files: each is read as it was, or not at all; a lock's term never falls. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { tryLock } from '../../lib/ledger/index.ts'
import { readJson, writeJson } from '../../lib/lock/index.ts'
import { readKeys } from '../../lib/transport/index.ts'
import { ROUNDS, SEED } from '../scenario/harness.ts'
import { cuts, flips, places, zeros } from './damage.ts'

const COUNT = ROUNDS >= 100 ? Infinity : 200 * ROUNDS
const work = mkdtempSync('/dev/shm/rz-power-')
afterAll(() => rmSync(work, { recursive: true, force: true }))

const FILES: [name: string, value: object][] = [
  ['endpoint.json', {
    meeting: 'ab'.repeat(16), run: '20261126-000000.000-abcdef', dir: '/tmp/runs/20261126-000000.000-abcdef',
    host: '127.0.0.1', hostname: 'node1', port: 40_001, pid: 4711, procStart: 815, term: 3,
    ledger: 'cd'.repeat(16), key: 'k', state: 'live',
  }],
  ['holder.json', {
    project: 'p', key: 'k"}', run: 'r', dir: '/tmp/ü', host: 'node1', pid: 4711, since: 1.5e12, beat: 1.6e12,
  }],
]

test.each(FILES)('%s: every byte flipped, every length, zeroed', (name, value) => {
  const path = join(work, name)
  writeJson(path, value)
  const bytes = readFileSync(path)
  const every = places(bytes.length, 0, Infinity, SEED)
  expect(readJson(path)).toEqual(value)
  const damages = [
    ...flips(bytes, every), ...flips(bytes, every.toReversed()), ...cuts(bytes, every), ...zeros(bytes, 64),
  ]
  let harmless = 0
  for (const damage of damages) {
    writeFileSync(path, damage.bytes)
    const found = readJson<Record<string, unknown>>(path)
    if (found === null) continue
    // Of the check itself something may be left over; all else is as it was.
    expect(found, damage.name).toMatchObject(value)
    harmless++
  }
  expect(harmless).toBeLessThan(damages.length / 5)
})

test('a secret: another one, or none with its path and what to do', () => {
  const path = join(work, 'secret')
  writeFileSync(path, `${'5a'.repeat(32)}\n`, { mode: 0o600 })
  const bytes = readFileSync(path)
  const every = places(bytes.length, 0, Infinity, SEED)
  for (const damage of [...flips(bytes, every), ...cuts(bytes, every), ...zeros(bytes, 16)]) {
    writeFileSync(path, damage.bytes)
    try {
      readKeys(path)
    } catch (error) {
      expect(error, damage.name).toMatchObject({ code: 'USAGE', message: expect.stringContaining(path) })
    }
  }
})

test('a lock: its term stays or rises, and a file set aside is named', () => {
  const path = join(work, 'term.lock')
  const first = tryLock(path)!
  for (let i = 0; i < 6; i++) first.advance({ meeting: 'm', pid: '1' })
  first.release()
  const bytes = readFileSync(path)
  const heads = Array.from({ length: 120 }, (_, i) => [i, 4096 + i, bytes.length - 1 - i]).flat()
  const at = [...new Set([...heads, ...places(bytes.length, 0, COUNT, SEED)])].filter((i) => i < bytes.length)
  const told = { whole: 0, aside: 0 }
  const damages = [
    ...flips(bytes, at), ...cuts(bytes, places(bytes.length, 0, 60, SEED)), ...zeros(bytes, 512),
  ]
  for (const damage of damages) {
    for (const name of readdirSync(work)) if (name.startsWith('term.lock')) rmSync(join(work, name))
    writeFileSync(path, damage.bytes)
    const lock = tryLock(path)!
    const { aside, term } = lock
    const state = lock.state()
    lock.release()
    if (aside === null && damage.bytes.length > 0) {
      expect({ term, ...state }, damage.name).toMatchObject({ term: 6, meeting: 'm', pid: '1' })
      told.whole++
    } else if (aside !== null) {
      expect(readdirSync(work), damage.name).toContain(aside.slice(work.length + 1))
      const next = tryLock(path)!
      expect(next.advance({}), damage.name).toBeGreaterThan(1e9)
      next.release()
      told.aside++
    }
  }
  console.log(`lock: ${JSON.stringify(told)} of ${at.length} bytes flipped and more, seed ${SEED}`)
}, 600_000)
