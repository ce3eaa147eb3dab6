/**
 * A damaged ledger: whatever happened to its bytes, nothing comes out that was not logged, and what is
 * missing is said. RANKZERO_TEST_ROUNDS above 3 tries more bytes; from 100 on every one.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audit, points, rows } from '../../lib/aggregator/replay.ts'
import type { Audit } from '../../lib/aggregator/core-types.ts'
import { RankzeroError } from '../../lib/errors.ts'
import { openLedger } from '../../lib/ledger/index.ts'
import { Place, ROUNDS, SEED, TRAINER, until } from '../scenario/harness.ts'
import { cuts, flips, places, zeros, type Damage } from './damage.ts'

const PAGE_BYTES = 4096
const COUNT = ROUNDS >= 100 ? Infinity : 300 * ROUNDS

interface Read { points: string[]; rows: string[]; audit: Audit }

let place: Place
let work: string
let whole: Buffer
let truth: Read
beforeAll(async () => {
  work = mkdtempSync('/dev/shm/rz-power-')
  place = new Place()
  const env = { T_STEPS: '40', T_METRICS: '2' }
  const options = ['--nproc', '2', '--key', 'k', '--exit-timeout', '60']
  await place.run(['run', ...options, '--', process.execPath, TRAINER], env)
  await until('the end of its processes', 60_000, () => place.processes().length === 0)
  whole = readFileSync(join(place.dir, place.runs()[0]!, 'ledger.sqlite'))
  truth = read(whole)
  expect(truth.audit).toMatchObject({ balanced: true, complete: true, status: 'finished' })
  expect(truth.points).toHaveLength(160)
}, 200_000)
afterAll(() => {
  place?.dispose()
  rmSync(work, { recursive: true, force: true })
})

function read(bytes: Buffer): Read {
  const path = join(work, 'ledger.sqlite')
  for (const end of ['-wal', '-shm']) rmSync(`${path}${end}`, { force: true })
  writeFileSync(path, bytes)
  const ledger = openLedger(path, { readonly: true })
  try {
    return {
      points: [...points(ledger)].map((point) => JSON.stringify(point)),
      rows: [...rows(ledger)].map((row) => JSON.stringify(row)),
      audit: audit(ledger),
    }
  } finally {
    ledger.close()
  }
}

const sortOf = (point: string): string => {
  const { metric, step, rank, value, weight, time, instance } = JSON.parse(point) as Record<string, unknown>
  return JSON.stringify([metric, step, rank, value, weight, time, instance])
}

/** What is wrong with how a damaged ledger was read; '' when all is as it should be. */
function judge(damage: Damage, tell: Record<string, number>): string {
  const count = (what: string): void => { tell[what] = (tell[what] ?? 0) + 1 }
  let found: Read
  try {
    found = read(damage.bytes)
  } catch (error) {
    if (!(error instanceof RankzeroError)) return `${damage.name}: ${(error as Error).stack}`
    count('refused')
    const names = error.message.includes(join(work, 'ledger.sqlite')) && error.remedy !== ''
    return names ? '' : `${damage.name}: ${error.message} [${error.remedy}]`
  }
  const right = new Set(truth.points.map(sortOf))
  const wrong = found.points.map(sortOf).filter((point) => !right.has(point))
  if (wrong.length > 0) return `${damage.name}: a wrong point ${wrong[0]}`
  const same = found.points.join() === truth.points.join() && found.rows.join() === truth.rows.join()
  if (found.audit.balanced) {
    if (!same) return `${damage.name}: balanced, with ${found.points.length} of ${truth.points.length} points`
    count('no harm')
  } else {
    count('told')
  }
  return ''
}

function judgeAll(damages: Iterable<Damage>, what: string): void {
  const tell: Record<string, number> = {}
  const wrong = [...damages].map((damage) => judge(damage, tell)).filter(Boolean)
  console.log(`${what}: ${JSON.stringify(tell)}, ${wrong.length} wrong, seed ${SEED}`)
  expect(wrong.slice(0, 10)).toEqual([])
}

describe('a ledger', () => {
  test('with a flipped byte', () => {
    // The headers of all pages, where SQLite's own structure is, and a sample of the rest.
    const heads = Array.from({ length: whole.length / PAGE_BYTES }, (_, page) =>
      Array.from({ length: 24 }, (_, i) => page * PAGE_BYTES + i)).flat()
    const at = [...new Set([...places(whole.length, 100, COUNT, SEED), ...heads])]
    judgeAll(flips(whole, at), `${at.length} of ${whole.length} bytes flipped`)
  }, 1_800_000)

  test('cut off', () => {
    judgeAll(cuts(whole, places(whole.length, 0, 40 * ROUNDS, SEED)), 'cut off')
  }, 600_000)

  test('with zeros in it', () => {
    judgeAll([...zeros(whole, 512), ...zeros(whole, PAGE_BYTES)], 'zeroed')
  }, 600_000)
})
