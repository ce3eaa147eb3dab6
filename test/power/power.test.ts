/**
 * Power loss: the recorded order of writes, syncs and names of a real run is cut after every operation; what
 * a disk may hold then (disk.ts) is recovered by the real code.
 *
 * RANKZERO_TEST_POWER_S gives the seconds that are spent on states beyond one of each prefix.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { takeFence } from '../../lib/aggregator/open.ts'
import { openLedger, tryLock } from '../../lib/ledger/index.ts'
import { random, SEED } from '../scenario/harness.ts'
import { Disk, type Fate, type Image } from './disk.ts'
import { Promises } from './promises.ts'
import { record, RANKS, type Recorded } from './record.ts'
import { put, recover, type Recovered } from './recover.ts'

const SECONDS = Number(process.env['RANKZERO_TEST_POWER_S'] ?? 15)
/** Prefixes whose points are compared one by one: each n-th. */
const DEEP_EVERY = 10
/** Of many violations the first are shown. */
const SHOWN_MAX = 20

let recorded: Recorded
let work: string
beforeAll(async () => {
  work = mkdtempSync('/dev/shm/rz-power-')
  recorded = await record()
}, 300_000)
afterAll(() => {
  recorded?.dispose()
  rmSync(work, { recursive: true, force: true })
})

/** Named, so that a violation says what happened to the disk. */
const FATES: [name: string, fate: (random: () => number) => Fate][] = [
  ['nothing unsynced is there', (random) => ({ random, names: () => 0, change: () => 0 })],
  ['everything is there', (random) => ({ random, names: (n) => n, change: () => 1 })],
  ['names without bytes', (random) => ({ random, names: (n) => n, change: () => 0 })],
  ['bytes without names', (random) => ({ random, names: () => 0, change: () => 1 })],
  ['the last write is torn', (random) =>
    ({ random, names: (n) => n, change: (i, n) => i === n - 1 ? 0.5 : 1 })],
  ['any part of it is there', (random) => ({
    random, names: (n) => Math.floor(random() * (n + 1)),
    change: () => [0, 1, 0.5][Math.floor(random() * 3)]!,
  })],
]

/** Files that recovery depends on, and the directories. */
const OURS = /(^|\/)(ledger\.sqlite[^/]*|[^/]+\.spool|[^/]+\.lock[^/]*|[^/.]+|\.pending)$/

interface Found extends Recovered { term: number; keys: Map<string, number> }

/** A recorded run, cut at one place after the other. */
class Cuts {
  readonly violations: string[] = []
  readonly disk: Disk
  readonly promises: Promises
  prefixes = 0
  states = 0
  readonly #recorded: Recorded
  #last: { parts: [string, Buffer | null][]; found: Found | string } | null = null

  constructor(recorded: Recorded) {
    const { root, ops } = recorded
    this.#recorded = recorded
    const whole = new Disk(root)
    for (const op of ops) if (op.path.startsWith(root)) whole.apply(op)
    put(whole.now(), root, work)
    const ledger = [...whole.now().keys()].find((path) => path.endsWith('/ledger.sqlite'))!
    this.promises = new Promises(recover(this.at(dirname(ledger)), '', '', false).seqs)
    this.disk = new Disk(root)
  }

  at(path: string): string {
    return join(work, path.slice(this.#recorded.root.length))
  }

  /** After each operation; `fates` says what is tried there. */
  walk(fates: (prefix: number) => typeof FATES, next: () => number): void {
    const { root, ops } = this.#recorded
    for (const op of ops) {
      const ours = op.path.startsWith(root)
      if (ours) this.disk.apply(op)
      this.promises.note(op, this.disk, (path) => {
        put(this.disk.now(), root, work)
        return termOf(this.at(path))
      })
      if (!ours || this.promises.run === null) continue
      this.prefixes++
      for (const [name, fate] of fates(this.prefixes)) {
        this.states++
        const wrong = this.#examine(this.disk.after(fate(next)), this.prefixes % DEEP_EVERY === 0)
        for (const what of wrong) this.violations.push(`${op.type} ${op.path}: ${name}: ${what}`)
      }
    }
  }

  #examine(image: Image, deep: boolean): string[] {
    const { safe, term, keys } = this.promises
    const found = this.#found(image, deep)
    if (typeof found === 'string') return [found]
    return [
      ...found.told,
      ...found.wrong > 0 ? [`${found.wrong} points are wrong`] : [],
      ...[...safe].filter(([instance, seq]) => (found.seqs.get(instance) ?? 0) < seq)
        .map(([instance, seq]) => `${instance} has ${found.seqs.get(instance)} of ${seq} records`),
      ...found.term <= term ? [`the term is ${found.term} after ${term}`] : [],
      ...[...keys].filter(([path, was]) => (found.keys.get(path) ?? 0) < was)
        .map(([path, was]) => `${path} has term ${found.keys.get(path)} after ${was}`),
    ]
  }

  /** Many a write is to files that are only looked at: then the last answer holds. */
  #found(image: Image, deep: boolean): Found | string {
    const parts = [...image].filter(([path]) => OURS.test(path))
    const last = this.#last?.parts
    const same = parts.length === last?.length
      && parts.every(([path, bytes], i) => last[i]![0] === path && last[i]![1] === bytes)
    if (!same || deep) this.#last = { parts, found: this.#recover(image, deep) }
    return this.#last!.found
  }

  #recover(image: Image, deep: boolean): Found | string {
    const { keys, run } = this.promises
    const { root, dir } = this.#recorded
    put(image, root, work)
    try {
      if (!existsSync(this.at(run!.dir))) return 'the run directory is gone'
      const recovered = recover(this.at(run!.dir), join(this.at(dir), '.pending'), run!.meeting, deep)
      const ledger = openLedger(join(this.at(run!.dir), 'ledger.sqlite'))
      const won = { dir: this.at(run!.dir), meeting: run!.meeting, lock: null, ledger: null, fence: null }
      const fence = takeFence(won, ledger)!
      fence.release()
      ledger.close()
      const terms = [...keys.keys()].map((path): [string, number] => [path, termOf(this.at(path))])
      return { ...recovered, term: fence.term, keys: new Map(terms) }
    } catch (error) {
      return String(error)
    }
  }
}

function termOf(path: string): number {
  mkdirSync(dirname(path), { recursive: true })
  const lock = tryLock(path)!
  lock.release()
  return lock.aside === null ? lock.term : 0
}

describe(`a recorded run, its power cut anywhere (seed ${SEED})`, () => {
  test('the recorder saw all of it: the last picture of its disk is the run as it was', () => {
    const { audit } = recorded
    const { promises } = new Cuts(recorded)
    expect(audit).toMatchObject({ balanced: true, complete: true, status: 'finished' })
    expect(audit.ranks).toHaveLength(RANKS)
    expect(promises.run).toBeNull()
  })

  test('what was acknowledged or spooled is there, and no term falls', () => {
    const next = random(SEED)
    const cuts = new Cuts(recorded)
    // First each prefix with all that is not synced lost, then as many others as there is time for.
    cuts.walk(() => FATES.slice(0, 1), next)
    const [first] = [cuts.states]
    let states = first
    for (const end = performance.now() + 1000 * SECONDS; performance.now() < end;) {
      const more = new Cuts(recorded)
      const share = 0.1 + 0.1 * next()
      more.walk(() => performance.now() > end ? [] : FATES.filter(() => next() < share), next)
      states += more.states
      cuts.violations.push(...more.violations)
    }
    console.log(`${cuts.prefixes} prefixes, ${states} states of the disk, seed ${SEED}, `
      + `${cuts.violations.length} violations`)
    expect(cuts.promises.safe.size).toBeGreaterThanOrEqual(RANKS)
    expect(cuts.promises.term).toBeGreaterThanOrEqual(2)
    expect(cuts.promises.keys.size).toBe(1)
    expect(cuts.violations.slice(0, SHOWN_MAX)).toEqual([])
  }, 1_000_000)
})
