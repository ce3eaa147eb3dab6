/** A short real run of the harness: its own processes, its own account of them, a results file. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'

const RUN = join(import.meta.dirname, '../../bench/run.js')
const TREE = join(import.meta.dirname, '../../bench/tree.py')
const dir = mkdtempSync(join(tmpdir(), 'rz-bench-test-'))
afterAll(() => { rmSync(dir, { recursive: true }) })

function bench(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [RUN, ...args], { encoding: 'utf8' })
}

interface Row { trial: string; peer: string; measure: string; samples: number[] }

test('a trial of peers in both languages, one round, and the same against itself', () => {
  const out = join(dir, 'first.json')
  const args = ['loss', '--peers', 'rankzero,jsonl,node-rankzero,node-jsonl', '--rounds', '1']
  const ran = bench(...args, '--out', out)
  expect(ran.stderr).toContain('round 1 of 1, 4 of 4')
  expect(ran.status, ran.stderr).toBe(0)
  const { rows, failures, machine, options } = JSON.parse(readFileSync(out, 'utf8')) as {
    rows: Row[]; failures: string[]; machine: { cores: number }; options: { rounds: number }
  }
  expect({ failures, rounds: options.rounds }).toEqual({ failures: [], rounds: 1 })
  expect(machine.cores).toBeGreaterThan(0)
  // All four write before log() returns: what survives is all of it, or they were not counted rightly.
  const lost = rows.filter(({ measure }) => measure === 'points lost')
  expect(lost.map(({ peer, samples }) => [peer, ...samples])).toEqual([
    ['rankzero', 0], ['jsonl', 0], ['node-rankzero', 0], ['node-jsonl', 0],
  ])
  expect(ran.stdout).toMatch(/points lost +\| node-jsonl +\| points +\| 0 /)

  const second = ['--out', join(dir, 'second.json'), '--baseline', out]
  const again = bench('loss', '--peers', 'jsonl', '--rounds', '1', ...second)
  expect(again.stdout).toMatch(/loss +\| jsonl +\| points lost +\| 0 +\| 0 +\| – +\| same/)
})

test('what it does not know it refuses, before anything runs', () => {
  for (const [args, words] of [
    [['nothing'], 'no trial is named nothing'], [['loss', '--peers', 'nobody'], 'no peer is named nobody'],
    [['--rounds', '0'], '--rounds 0'], [['--ranks', 'x'], '--ranks x'],
  ] as const) {
    const { status, stderr } = bench(...args)
    expect(status).not.toBe(0)
    expect(stderr).toContain(words)
  }
})

describe('the account of a process tree', () => {
  function account(code: string, plan: object = {}): Record<string, number> & { limited: boolean } {
    const scratch = mkdtempSync(join(dir, 'tree-'))
    const given = {
      command: ['python3', '-c', code], copies: 1, world: 1, dir: scratch, scratch, limitS: 60,
      env: { PLACE: scratch }, ...plan,
    }
    const { stdout, stderr } = spawnSync('python3', [TREE, JSON.stringify(given)], { encoding: 'utf8' })
    expect(stderr).toBe('')
    return JSON.parse(stdout)
  }
  const burn = 'import time\nwhile time.process_time() < 1: pass\n'

  test('has the CPU of a daemon that its starter never waited for', () => {
    const inner = burn.replaceAll('\n', '\n    ')
    const { cpuS, limited } = account(
      `import os\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    ${inner}`)
    expect(limited).toBe(false)
    expect(cpuS).toBeGreaterThanOrEqual(1)
  })

  test('has the memory and the files of what ran', () => {
    const { peakMB, diskBytes } = account([
      'import os, sys, time', 'kept = os.urandom(64 << 20)', 'os.chdir(os.environ["PLACE"])',
      'open("kept", "wb").write(kept[:1 << 20])', 'time.sleep(2)',
    ].join('\n'))
    expect(peakMB).toBeGreaterThan(64)
    expect(diskBytes).toBeGreaterThanOrEqual(1 << 20)
  })

  test('ends what does not end, and says so', () => {
    const { limited } = account('import time; time.sleep(1000)', { limitS: 1 })
    expect(limited).toBe(true)
  })
})
