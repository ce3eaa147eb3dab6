import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundled, simulate } from './kit.ts'
import { REGRESSIONS } from './regressions.ts'

/** RANKZERO_TEST_SEED repeats one failure. */
const repeated = process.env['RANKZERO_TEST_SEED']
/** The same ground each time: what fresh ground finds is for `npm run sim`, not for whoever comes by. */
const FIRST = Number(process.env['RANKZERO_SIM_FIRST'] ?? 100_000)
const SEEDS = Number(process.env['RANKZERO_SIM_SEEDS'] ?? 5000)
/** A slow machine walks fewer: it says how many, and that is no failure. */
const SECONDS = 240

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

  test(`keeps its promises under ${SEEDS} seeds of trouble`, () => {
    const [from, seeds] = repeated === undefined ? [FIRST, SEEDS] : [Number(repeated), 1]
    console.log(`simulates ${seeds} seeds from ${from} on`)
    const said = simulate(file, '--seed', `${from}`, '--seeds', `${seeds}`, '--jobs', seeds > 1 ? '2' : '1',
      '--deadline', `${SECONDS}`)
    console.log(`${said.seeds} seeds in ${Math.round(said.seconds)} s`)
    expect(said.violation, `${said.again}\n${said.violation?.message}`).toBeNull()
    expect(said.seeds, 'no seed was walked').toBeGreaterThan(0)
  }, 1_200_000)
})
