import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundled, simulate } from './kit.ts'
import { REGRESSIONS } from './regressions.ts'

/** RANKZERO_TEST_SEED repeats one failure. */
const repeated = process.env['RANKZERO_TEST_SEED']
/**
 * RANKZERO_SIM_SEEDS=5000 walks that many and goes on for four minutes, on fresh ground each time; the first
 * seed is said, so that it can be walked again. Without it: a short walk, always the same.
 */
const wide = process.env['RANKZERO_SIM_SEEDS']
const FIRST = wide === undefined ? 7150 : Math.floor(Date.now() / 1000) * 10_000
const SEEDS_MIN = Number(wide ?? 150)
const SECONDS = wide === undefined ? 0 : 240

let file = ''
beforeAll(async () => { file = await bundled() })
afterAll(() => rmSync(dirname(file), { recursive: true, force: true }))

describe('the whole road, simulated', () => {
  test('is the same for the same seed', () => {
    const flags = ['--seed', '7', '--seeds', '3', '--transcript']
    const transcript = (): string =>
      execFileSync(process.execPath, [file, ...flags], { encoding: 'utf8' })
        .replace(/[\d.]+ s, [\d.]+ ms a seed/, '')
    const once = transcript()
    expect(once.split('\n').length).toBeGreaterThan(100)
    expect(transcript()).toBe(once)
  }, 120_000)

  test('stays mended where it was broken', () => {
    for (const { seed, knobs, was } of REGRESSIONS) {
      const said = simulate(file, '--seed', String(seed), '--knobs', knobs.join(','))
      expect(said.violation, `${was}: ${said.again}`).toBeNull()
    }
  }, 300_000)

  test(`keeps its promises under ${SEEDS_MIN} seeds of trouble`, () => {
    const where = repeated === undefined
      ? ['--seed', String(FIRST), '--seeds', String(SEEDS_MIN), '--seconds', String(SECONDS)]
      : ['--seed', repeated]
    console.log(`simulated from seed ${where[1]} on`)
    const said = simulate(file, ...where)
    expect(said.violation, `${said.again}\n${said.violation?.message}`).toBeNull()
    expect(said.seeds).toBeGreaterThanOrEqual(repeated === undefined ? SEEDS_MIN : 1)
  }, 3_600_000)
})
