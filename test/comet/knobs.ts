/**
 * How the server behaves, changeable while it runs: faults at random or by count, budgets, what it lacks.
 * The same seed and the same order of requests give the same faults.
 */
import { Random } from '../sim/random.ts'
import type { Entry } from './log.ts'
import { Refusal } from './refusals.ts'

/** What happens to requests that match. The first rule that strikes is the one. */
export interface Rule {
  /** Part of `METHOD path`; absent: every request. */
  match?: string
  /** Part of the body as it came, packed or not; absent: any. */
  holds?: string
  kind: 'answer' | 'reset' | 'hang' | 'slow'
  /** The chance of each request (1), and how many are struck at most (no end). */
  rate?: number
  times?: number
  /** The request is carried out first: the client gets no word of it. */
  after?: boolean
  /** For `answer`. */
  status?: number
  headers?: Record<string, string>
  body?: string
  /** How long `slow` waits before it goes on; `hang` for so long, then it is cut (no end). */
  ms?: number
}

/** What a request counts as (comet.md 1.9); `calls` is every one of them, against the key's own budget. */
export type Kind = 'metric' | 'parameter' | 'output' | 'other'
export interface Budget { max: number; windowMs: number }

export interface Knobs {
  /** Keys that are accepted, and workspaces that exist; the first is the default of whoever names none. */
  keys: string[]
  workspaces: string[]
  /** Connections are refused. */
  down: boolean
  faults: Rule[]
  budgets: Partial<Record<Kind | 'calls', Budget>>
  /** Which header names the wait of a budget's 429, and a fixed wait in s; null: until there is room. */
  retryAfter: 'Retry-After-Custom' | 'Retry-After' | 'both' | 'none'
  retryAfterS: number | null
  version: string
  /** Starts of paths that this server has not: `clientlib/batch/`. */
  missing: string[]
  /** Added to the Date header. */
  dateSkewMs: number
  /** Clients are told to beat so often; without a beat for `aliveMs` an experiment doesn't run. */
  beatMs: number
  aliveMs: number
  /** Until a stored metric can be read. */
  readLagMs: number
  /** Points that a metric keeps; items of a batch; bytes of a body, null: any. */
  pointsMax: number
  batchItemsMax: number
  bodyBytesMax: number | null
}

export const defaults = (): Knobs => ({
  keys: ['standInKey000000000000001'], workspaces: ['ws'], down: false, faults: [], budgets: {},
  retryAfter: 'Retry-After-Custom', retryAfterS: null, version: '4.40.0', missing: [], dateSkewMs: 0,
  beatMs: 10_000, aliveMs: 60_000, readLagMs: 0, pointsMax: 15_000, batchItemsMax: 1_000, bodyBytesMax: null,
})

/** Of the hosted service (comet.md 1.9), for all users of a key. */
export const HOSTED_BUDGETS: Knobs['budgets'] = {
  calls: { max: 15_000, windowMs: 3_600_000 }, metric: { max: 12_000, windowMs: 60_000 },
  parameter: { max: 10_000, windowMs: 60_000 }, output: { max: 12_000, windowMs: 60_000 },
  other: { max: 8_000, windowMs: 60_000 },
}

export class Faults {
  readonly #seed: number
  #rules: { rule: Rule; random: Random; left: number }[] = []

  constructor(seed: number) {
    this.#seed = seed
  }

  /** Counts and dice of all rules begin anew. */
  use(rules: readonly Rule[]): void {
    this.#rules = rules.map((rule, stream) =>
      ({ rule, random: new Random(this.#seed, stream), left: rule.times ?? Infinity }))
  }

  strike({ method, path }: Entry, body: Buffer): Rule | null {
    for (const state of this.#rules) {
      const { match = '', holds = '' } = state.rule
      if (state.left === 0 || !`${method} ${path}`.includes(match) || !body.includes(holds)) continue
      if (!state.random.chance(state.rule.rate ?? 1)) continue
      state.left--
      return state.rule
    }
    return null
  }
}

/** What was let in of late, by key and kind. The window slides: at no place does it hold more. */
export class Budgets {
  readonly #let = new Map<string, { at: number; cost: number }[]>()
  readonly #refused = new Map<string, number>()

  clear(): void {
    this.#let.clear()
    this.#refused.clear()
  }

  /** Of each budget that is set: what all keys used in the window that ends now, and refusals so far. */
  state({ budgets }: Knobs, now: number): Record<string, Budget & { used: number; refused: number }> {
    return Object.fromEntries(Object.entries(budgets).map(([name, budget]) => {
      const lists = [...this.#let].filter(([of]) => of.endsWith(` ${name}`)).flatMap(([, list]) => list)
      const used = lists.reduce((sum, { at, cost }) => at > now - budget.windowMs ? sum + cost : sum, 0)
      return [name, { ...budget, used, refused: this.#refused.get(name) ?? 0 }]
    }))
  }

  /** Enters the cost of a request, or refuses it whole. */
  charge(key: string, kind: Kind, items: number, knobs: Knobs, now: number): void {
    const charges = ([['calls', 1], [kind, items]] as const).map(([name, cost]) => {
      const budget = knobs.budgets[name]
      const waitMs = budget === undefined ? 0 : this.#waitMs(`${key} ${name}`, cost, budget, now)
      return { name, cost, waitMs }
    })
    const waitMs = Math.max(...charges.map((charge) => charge.waitMs))
    if (waitMs > 0) {
      const names = charges.filter((charge) => charge.waitMs > 0).map(({ name }) => name)
      for (const name of names) this.#refused.set(name, (this.#refused.get(name) ?? 0) + 1)
      throw throttled(`throttled: ${names.join(' and ')}`, waitMs, knobs)
    }
    for (const { name, cost } of charges) {
      if (knobs.budgets[name] !== undefined) this.#listOf(`${key} ${name}`).push({ at: now, cost })
    }
  }

  #listOf(name: string): { at: number; cost: number }[] {
    if (!this.#let.has(name)) this.#let.set(name, [])
    return this.#let.get(name)!
  }

  #waitMs(name: string, cost: number, { max, windowMs }: Budget, now: number): number {
    const list = this.#listOf(name)
    while (list.length > 0 && list[0]!.at <= now - windowMs) list.shift()
    let over = list.reduce((sum, item) => sum + item.cost, cost) - max
    if (over <= 0) return 0
    for (const item of list) {
      over -= item.cost
      if (over <= 0) return item.at + windowMs - now
    }
    return windowMs
  }
}

function throttled(msg: string, waitMs: number, { retryAfter, retryAfterS }: Knobs): Refusal {
  const seconds = retryAfterS ?? Math.ceil(waitMs) / 1000
  const headers = {
    ...['Retry-After-Custom', 'both'].includes(retryAfter) ? { 'Retry-After-Custom': String(seconds) } : {},
    ...['Retry-After', 'both'].includes(retryAfter) ? { 'Retry-After': String(Math.ceil(seconds)) } : {},
  }
  return new Refusal(429, msg, undefined, headers)
}
