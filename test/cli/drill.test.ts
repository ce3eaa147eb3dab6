/** `rankzero drill`: a verdict on a run of its own, and nothing else touched. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { processesOf } from '../../lib/cli/drill/processes.ts'
import type { Verdict } from '../../lib/cli/drill/index.ts'
import { verdictText } from '../../lib/cli/drill.ts'
import { Place } from '../scenario/harness.ts'

const VERDICT: Verdict = {
  ok: true, problems: [], seed: 7, workers: 4, seconds: 15, kills: 3, stops: 2, logged: 812_340,
  found: 812_345, lost: 0, doubled: 0, unwritten: 5, wrong: 0, counted: 0, longestMicros: 41.2,
  p999Micros: 3, p999NothingMicros: 1, run: 'r', dir: null,
}

let place: Place
afterEach(() => place?.dispose())

describe('rankzero drill', () => {
  test('kills and stops a run of its own, finds all points once, and leaves nothing', async () => {
    place = new Place({ TMPDIR: undefined })
    const spot = join(place.root, 'spot')
    const done = await place.run(['drill', '--seconds', '6', '--workers', '2', '--json', '--dir', spot])
    expect(done.code, done.stdout + done.stderr).toBe(0)
    const verdict = JSON.parse(done.stdout) as Verdict
    expect(verdict).toMatchObject({ ok: true, problems: [], lost: 0, doubled: 0, wrong: 0, dir: null })
    expect(verdict.found).toBe(verdict.logged + verdict.unwritten)
    expect(verdict.logged).toBeGreaterThan(0)
    expect(verdict.kills + verdict.stops).toBeGreaterThan(0)
    expect(readdirSync(spot)).toEqual([])
    expect(processesOf(spot)).toEqual([])
    // Neither runs, nor journals, nor locks of the user.
    for (const path of [place.dir, place.shm, place.locks]) expect(existsSync(path), path).toBe(false)
  }, 180_000)

  test('says it in one line', () => {
    expect(verdictText(VERDICT)).toBe('exactly once: 812,340 points logged by 4 workers, 3 kills, 2 stops: '
      + '812,340 in the ledger, 0 lost, 0 twice; longest log() 41 µs\n')
  })

  test('says what is wrong, and how to have it again', () => {
    const text = verdictText({
      ...VERDICT, ok: false, lost: 5, found: 812_340, problems: ['the run is live, not ended'], dir: '/tmp/x',
    })
    expect(text).toContain('NOT exactly once')
    expect(text).toContain('812,335 in the ledger, 5 lost')
    expect(text).toContain('problem  the run is live, not ended')
    expect(text).toContain('--seed 7')
    expect(text).toContain('its directory: /tmp/x')
  })

  test.each([
    ['--seconds', '1', 'from 5'], ['--workers', '0', 'from 1'], ['--seed', 'x', 'from 0'],
  ])('%s %s is refused', async (flag, value, remedy) => {
    place = new Place()
    const { code, stderr } = await place.run(['drill', flag, value])
    expect(code).toBe(2)
    expect(stderr).toContain(remedy)
  })
})
