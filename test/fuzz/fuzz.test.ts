/**
 * Every decoder against changed inputs (kit.ts). `npm run fuzz -- --seconds N --seed S TARGET…` runs longer.
 * A finding is saved in corpus/<target> and fails here from then on, until the decoder keeps its law.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { fuzz, mutateBytes, type Target } from './kit.ts'
import { BYTE_TARGETS, removeScratch as removeBytes } from './targets.ts'
import { removeScratch as removeText, TEXT_TARGETS } from './targets-text.ts'

const SECONDS = Number(process.env['RANKZERO_FUZZ_SECONDS'] ?? 20)
const SEED = Number(process.env['RANKZERO_FUZZ_SEED'] ?? Date.now() % 1e9)
const ONLY = (process.env['RANKZERO_FUZZ_TARGETS'] ?? '').split(' ').filter(Boolean)
const chosen = (name: string): boolean => ONLY.length === 0 || ONLY.includes(name)
/** A loaded machine needs longer for the corpus itself. */
const TIMEOUT_MS = SECONDS * 1000 + 120_000

function spentMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1000
}

afterAll(() => {
  removeBytes()
  removeText()
})

describe(`seed ${SEED}`, () => {
  const targets = [...BYTE_TARGETS, ...TEXT_TARGETS].filter(({ name }) => chosen(name))
  it.each(targets)('$name: only RankzeroError, in time and memory', (target) => {
    const { executions, answers, findings } = fuzz(target, SEED, SECONDS * 1000)
    console.log(`fuzz ${target.name}: ${executions} inputs, ${answers} kinds of answer`)
    const told = findings.map(({ file, why }) => `${file}: ${why.split('\n').slice(0, 3).join(' ')}`)
    expect(told, `RANKZERO_FUZZ_SEED=${SEED}`).toEqual([])
    expect(answers).toBeGreaterThan(2)
  }, TIMEOUT_MS)

  it.runIf(chosen('python'))('python: settings, rank, meeting, header, values', () => {
    const script = join(import.meta.dirname, 'python.py')
    const env = { ...process.env, PYTHONPATH: join(import.meta.dirname, '../../lib/python') }
    const done = spawnSync('python3', [script, String(SECONDS), String(SEED)], { env, encoding: 'utf8' })
    console.log(done.stdout.trim())
    expect(done.status, done.stderr).toBe(0)
  }, TIMEOUT_MS)
})

describe('the fuzzer', () => {
  const saved: string[] = []
  afterAll(() => { for (const file of saved) rmSync(dirname(file), { recursive: true, force: true }) })
  const seeds = (): Uint8Array[] => [Buffer.from('{"a":1}')]
  const target = (run: Target['run']): Target => ({ name: 'none', seeds, run })
  it('is the same for the same seed, and finds what breaks the law', () => {
    const seen: string[][] = [[], []]
    for (const inputs of seen) {
      const run = (input: Uint8Array): string => `${inputs.push(Buffer.from(input).toString('hex'))}`
      fuzz(target(run), 7, 500)
    }
    const n = Math.min(seen[0]!.length, seen[1]!.length)
    expect(n).toBeGreaterThan(10)
    expect(seen[0]!.slice(0, n)).toEqual(seen[1]!.slice(0, n))
    expect(mutateBytes(Buffer.alloc(0), Math.random)).toBeInstanceOf(Uint8Array)
  })

  it('makes a finding small, saves it, and tells it once', () => {
    const run = (input: Uint8Array): string => {
      if (input.includes(0x7f)) throw new TypeError('cannot read')
      return 'read'
    }
    const { findings } = fuzz(target(run), 7, 3000)
    for (const { file } of findings) saved.push(file)
    const file = expect.stringContaining('corpus/none/found-')
    expect(findings).toEqual([{ file, why: expect.any(String) }])
    expect([...readFileSync(findings[0]!.file)]).toEqual([0x7f])
  }, 60_000)

  it.each([
    ['time', () => {
      // Asking costs time too, of the kernel: asked all the time, the watchdog took this for a hang.
      for (const begun = process.cpuUsage(); spentMs(begun) < 5200;) for (let i = 0; i < 1e6; i++);
      return ''
    }],
    ['memory', () => String(new Uint8Array(200 << 20).length)],
  ])('watches %s', (_, run) => {
    const { findings } = fuzz(target(run), 7, 0)
    for (const { file } of findings) saved.push(file)
    expect(findings).toHaveLength(1)
  }, 120_000)
})
