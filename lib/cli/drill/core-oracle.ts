/**
 * What a drill's workers log, and whether a ledger holds exactly that. Pure.
 *
 * In: the steps whose log() returned, per rank; then every point that came out. Out: how many were lost,
 * doubled, changed or invented. A step counts once per rank, whichever life of it logged it.
 * Invariant: a worker that is killed may have logged one step more than it could write down, none else may.
 */

/** One bit per metric in a byte per step. */
export const METRICS_MAX = 8
const STEPS_AT_FIRST = 4096

export const nameOf = (metric: number): string => `drill/${metric}`

/** Any double from (rank, step, metric), half of them exact in float32; drills in Python have it too. */
export function valueOf(rank: number, step: number, metric: number): number {
  let h = Math.imul(rank + 1, 0x9e3779b1) ^ Math.imul(step + 1, 0x85ebca6b)
    ^ Math.imul(metric + 1, 0xc2b2ae35)
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39)
  const unit = ((h ^ (h >>> 15)) >>> 0) / 4294967296
  return metric % 2 === 0 ? Math.fround(unit * 10 - 5) : unit * 10 - 5
}

export interface Compared {
  /** Points whose log() returned. */
  logged: number
  /** Different points that came out, those of the next two lines too. */
  found: number
  lost: number
  /** Came out again. */
  doubled: number
  /** Of a killed worker: logged in its last instant, before it could write that down. */
  unwritten: number
  /** Another value than was logged, or never logged at all. */
  wrong: number
  /** The first few of what is doubled or wrong, and of what is lost, for people. */
  examples: string[]
  missing: string[]
}

const EXAMPLES_MAX = 5

interface Steps { told: Uint8Array; seen: Uint8Array }

export class Oracle {
  readonly #metrics: number
  readonly #ranks = new Map<number, Steps>()
  readonly #numbers: ReadonlyMap<string, number>
  readonly #examples: string[] = []
  readonly #missing: string[] = []
  #doubled = 0
  #wrong = 0

  constructor(metrics: number) {
    if (metrics > METRICS_MAX) throw new RangeError(`${metrics} metrics: at most ${METRICS_MAX}`)
    this.#metrics = metrics
    this.#numbers = new Map(Array.from({ length: metrics }, (_, metric) => [nameOf(metric), metric]))
  }

  told(rank: number, steps: Iterable<number>): void {
    for (const step of steps) {
      const { told } = this.#roomFor(rank, step)
      if (told[step] === 1) this.#complain(`rank ${rank} says that it logged step ${step} twice`)
      told[step] = 1
    }
  }

  point(metric: string, step: number, rank: number, value: number): void {
    const number = this.#numbers.get(metric)
    if (number === undefined || !Object.is(value, valueOf(rank, step, number))) {
      return this.#complain(`${metric} of rank ${rank} at step ${step} is ${value}`)
    }
    const { seen } = this.#roomFor(rank, step)
    const bit = 1 << number
    if ((seen[step]! & bit) !== 0) {
      this.#doubled++
      this.#show(`${metric} of rank ${rank} at step ${step} is there twice`)
    }
    seen[step]! |= bit
  }

  /** Ranks that logged `step`, as far as it came out. */
  ranksAt(step: number, metric: number): number[] {
    return [...this.#ranks].filter(([, { seen }]) => ((seen[step] ?? 0) >> metric & 1) === 1)
      .map(([rank]) => rank).sort((a, b) => a - b)
  }

  /** Different (metric, step) that came out of any rank. */
  rowsExpected(): number {
    const longest = Math.max(0, ...[...this.#ranks.values()].map(({ seen }) => seen.length))
    let rows = 0
    for (let step = 0; step < longest; step++) {
      let bits = 0
      for (const { seen } of this.#ranks.values()) bits |= seen[step] ?? 0
      rows += bitsOf(bits)
    }
    return rows
  }

  /** `kills`: how often each rank was killed. */
  compare(kills: ReadonlyMap<number, number>): Compared {
    let [logged, found, lost, unwritten] = [0, 0, 0, 0]
    for (const [rank, { told, seen }] of this.#ranks) {
      let extra = 0
      for (let step = 0; step < told.length; step++) {
        const came = bitsOf(seen[step]!)
        found += came
        if (told[step] === 1) {
          logged += this.#metrics
          lost += this.#metrics - came
          if (came < this.#metrics && this.#missing.length < EXAMPLES_MAX) {
            this.#missing.push(`rank ${rank} logged step ${step}: ${came} points of it came`)
          }
        } else if (came > 0) {
          extra++
          unwritten += came
        }
      }
      const allowed = kills.get(rank) ?? 0
      if (extra > allowed) this.#complain(`rank ${rank} never logged ${extra} steps, it had ${allowed} kills`)
    }
    return {
      logged, found, lost, unwritten, doubled: this.#doubled, wrong: this.#wrong,
      examples: this.#examples, missing: this.#missing,
    }
  }

  #roomFor(rank: number, step: number): Steps {
    const known = this.#ranks.get(rank)
    if (known !== undefined && step < known.told.length) return known
    const size = Math.max(STEPS_AT_FIRST, 2 ** Math.ceil(Math.log2(step + 1)))
    const grown = { told: grow(known?.told, size), seen: grow(known?.seen, size) }
    this.#ranks.set(rank, grown)
    return grown
  }

  #complain(what: string): void {
    this.#wrong++
    this.#show(what)
  }

  #show(what: string): void {
    if (this.#examples.length < EXAMPLES_MAX) this.#examples.push(what)
  }
}

function grow(old: Uint8Array | undefined, size: number): Uint8Array {
  const grown = new Uint8Array(size)
  if (old !== undefined) grown.set(old)
  return grown
}

function bitsOf(byte: number): number {
  let bits = 0
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1
  return bits
}
