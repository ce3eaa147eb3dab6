/** The edge of one outbox with everything that can go wrong, and what its tracker stored. */
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Outcome } from '../../lib/backend/index.ts'
import { OUTBOX_RETRY_MS_MAX, OUTBOX_SEND_MS } from '../../lib/limits-outbox.ts'
import { Outbox, type OutboxEffect, type OutboxEvent, type Part } from '../../lib/session/core-outbox.ts'
import { applyNote, newStanding, type OutboxNote, type Standing } from '../../lib/session/core-standing.ts'
import type { Figures } from '../../lib/session/core-thin.ts'

export const CAN = { rowsMax: 4, bytesMax: 40, ageMs: 100, amends: true }
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytesOf = (line: string): Uint8Array => new TextEncoder().encode(line)

/** A row is its number; every fifth amends an earlier one. */
export const partOf = (n: number): Part => ({
  n, data: bytesOf(`${n},`), values: 1, points: 1 + n % 3, amends: n % 5 === 0, at: 1000 * n, figures: null,
})
/** Of three metrics, whose values go up and down. */
export const figuresOf = (n: number): Figures => {
  const value = (n * 37) % 101
  const place = { odd: false, nth: Math.ceil(n / 3), sinceMs: n }
  return { metric: `m${n % 3}`, value, min: value - n % 7, max: value + n % 4, ...place }
}

export const pack = (parts: readonly Uint8Array[], at: number) => {
  const line = `${at}:${parts.map(text).join('')}`
  return { bytes: bytesOf(line), digest: `d${line}` }
}

type Answer = 'done' | 'later' | 'unsure-stored' | 'unsure-lost' | 'refused' | 'hang' | 'hang-stored'

/** The edge with everything that can go wrong, one effect at a time; what a crash forgets is in here. */
export class World {
  readonly notes: OutboxNote[] = []
  /** In order of arrival at the tracker. */
  readonly stored: { batch: number; line: string }[] = []
  readonly sends: number[] = []
  now = 0
  wall = 1_000_000
  total: number
  amends: boolean
  /** How many values the backend can take; null: all. */
  readonly pace: number | null
  outbox!: Outbox
  private effects: OutboxEffect[] = []
  private call: { effect: OutboxEffect & { call: number }; stored: boolean } | null = null

  constructor(total: number, amends = true, pace: number | null = null) {
    this.total = total
    this.amends = amends
    this.pace = pace
    this.crash()
  }

  standing(): Standing {
    const standing = newStanding()
    for (const note of this.notes) applyNote(standing, note)
    return standing
  }

  /** The process dies: what was not durable is gone, what was on its way may arrive or not. */
  crash(arrives = false): void {
    if (arrives) this.store()
    this.effects = []
    this.call = null
    const can = { ...CAN, amends: this.amends }
    this.outbox = new Outbox({ backend: 'b', can, pack, random: () => 0.5 }, this.standing())
  }

  tell(event: OutboxEvent): void {
    this.effects.push(...this.outbox.handle(event, this.now, this.wall))
  }

  row(): void {
    const { next } = this.outbox
    if (!this.outbox.wants || next > this.total) return
    const figures = this.pace === null ? null : figuresOf(next)
    this.tell({ type: 'row', part: { ...partOf(next), figures } })
  }

  pass(ms: number): void {
    this.now += ms
    this.wall += ms
    this.tell({ type: 'tick', ...this.pace === null ? {} : { pace: { now: this.pace, perMs: 0 } } })
  }

  /** Carries out the oldest effect, or answers the call that is open. */
  go(answer: Answer): void {
    const effect = this.effects.shift()
    if (effect === undefined) return this.answer(answer)
    if (effect.do === 'giveUp') this.call = null
    else if (effect.do === 'commit') {
      this.notes.push(effect.note)
      applyNote(this.outbox.standing, effect.note)
      this.tell({ type: 'noted' })
    } else {
      expect(this.call).toBeNull()
      this.call = { effect, stored: false }
    }
  }

  private answer(answer: Answer): void {
    if (this.call === null) return
    const { effect } = this.call
    if (answer === 'hang') return
    const stores = answer === 'done' || answer.endsWith('-stored')
    if (stores) this.store()
    if (answer === 'hang-stored') return
    // A tracker that has stored something does not say that it surely has not.
    const { stored } = this.call
    this.call = null
    const outcome: Outcome = answer === 'done' ? { is: 'done', cursor: { after: this.stored.length } }
      : (answer === 'refused' || answer === 'later') && !stored ? { is: answer, message: answer }
        : { is: 'unsure', message: answer }
    this.tell({ type: 'result', call: effect.call, outcome })
  }

  /** What one call carries arrives once at most. */
  private store(): void {
    if (this.call === null || this.call.stored || this.call.effect.do !== 'send') return
    this.call.stored = true
    const { effect } = this.call
    const { open } = this.outbox.standing
    // Sent only when its note is durable.
    expect(this.standing().open).toMatchObject({ batch: effect.batch, digest: `d${text(effect.bytes)}` })
    expect(open?.batch).toBe(effect.batch)
    this.stored.push({ batch: effect.batch, line: text(effect.bytes) })
  }

  /** No more faults: all is delivered in bounded time. */
  settle(): void {
    this.tell({ type: 'finish', last: this.total, status: 'finished' })
    for (let turns = 0; !this.outbox.done; turns++) {
      if (turns > 50 * (this.total + 10)) throw new Error(`stuck: ${JSON.stringify(this.outbox.standing)}`)
      this.row()
      if (this.effects.length > 0 || this.call !== null) this.go('done')
      else this.pass(OUTBOX_RETRY_MS_MAX)
    }
  }
}

export const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant('row' as const) },
  { weight: 8, arbitrary: fc.constantFrom<Answer>('done', 'done', 'done', 'later', 'unsure-stored',
    'unsure-lost', 'refused', 'hang', 'hang-stored') },
  { weight: 3, arbitrary: fc.constantFrom(1, 150, OUTBOX_RETRY_MS_MAX, OUTBOX_SEND_MS) },
  { weight: 1, arbitrary: fc.constantFrom('crash' as const, 'crash-arrives' as const) },
)

export type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

export function play(world: World, steps: readonly Step[]): World {
  for (const one of steps) {
    if (one === 'row') world.row()
    else if (one === 'crash' || one === 'crash-arrives') world.crash(one === 'crash-arrives')
    else if (typeof one === 'number') world.pass(one)
    else world.go(one)
  }
  world.settle()
  return world
}

export const pointsOf = (from: number, to: number): number => {
  let points = 0
  for (let n = from; n <= to; n++) points += partOf(n).points
  return points
}
export const rowsOf = (line: string): number[] => line.split(':')[1]!.split(',').slice(0, -1).map(Number)

/** What was stored first of each batch, in order of arrival. */
export function firsts({ stored }: World): { batch: number; line: string }[] {
  return stored.filter(({ batch }, i) => stored.findIndex((other) => other.batch === batch) === i)
}
