/** Fifteen seconds of every fault, several to a run; once for longer: `npm run drill`. */
import { describe, expect, test } from 'vitest'
import { SEED } from '../scenario/harness.ts'
import { drillNamed } from './drills.ts'
import { drive } from './drive.ts'
import { problemsText } from './table.ts'

const SECONDS = 15
const WORKERS = 8
/** A machine that is shared takes its time to start eight interpreters, and to read the ledger after all. */
const MS_MAX = 400_000

const names = [
  'workers', 'daemons', 'supervisor', 'full', 'full-both', 'limits', 'clock-back', 'links', 'proxy',
]

describe('exactly once, and truly told, under faults', () => {
  test.each(names)('%s', async (name) => {
    const outcome = await drive(drillNamed(name)!, { seconds: SECONDS, workers: WORKERS, seed: SEED })
    expect(outcome.problems, problemsText(outcome)).toEqual([])
    expect(outcome.blows.length).toBeGreaterThan(0)
    expect(outcome.found).toBeGreaterThan(0)
  }, MS_MAX)
})
