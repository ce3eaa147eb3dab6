import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { admit } from '../../lib/aggregator/core-admit.ts'
import { points, rows } from '../../lib/aggregator/replay.ts'
import { Kind } from '../../lib/record/index.ts'
import { Desk, newState } from './desk.ts'
import { originOf, Sender } from './sender.ts'

interface Call {
  step: number
  names: string[]
  value: number
  weight: number | undefined
}

const call: fc.Arbitrary<Call> = fc.record({
  step: fc.nat(6),
  names: fc.subarray(['a', 'b', 'c', 'd'], { minLength: 1 }),
  value: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(NaN, Infinity, -0, 0.1)),
  weight: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
})

/** Two lives of some ranks: the later one starts when the earlier is over. */
const job = fc.array(fc.tuple(fc.nat(3), fc.array(call, { maxLength: 12 })), { minLength: 1, maxLength: 6 })

function sendersOf(lives: readonly (readonly [number, readonly Call[]])[]): Sender[] {
  return lives.map(([rank, calls], i) => {
    const startedAt = 1000 + 1000 * i
    const id = i.toString(16).padStart(32, '0')
    const sender = new Sender(originOf(id, rank, { startedAt, bootId: `b${i}` }))
    for (const { step, names, value, weight } of calls) {
      sender.log(Object.fromEntries(names.map((name) => [name, value])), step, { weight, time: startedAt })
    }
    return sender.say(Kind.define, { metric: 'd', reduce: rank % 2 === 0 ? 'sum' : 'max' })
  })
}

/** Delivers everything in an order and in batches that `choose` decides; who is replaced counts as silent. */
function deliver(senders: readonly Sender[], choose: (n: number) => number): Desk {
  const desk = new Desk()
  const left = [...senders]
  const order: Sender[] = []
  while (left.length > 0) order.push(...left.splice(choose(left.length), 1))
  for (const sender of order) desk.join(sender)
  desk.commit(desk.state.drain(desk.now).filter(({ kind }) => kind !== 'seal'))
  const isOpen = (one: Sender): boolean => desk.state.acked(one.instance) < one.seq
  for (let open = order; open.length > 0; open = open.filter(isOpen)) {
    const sender = open[choose(open.length)]!
    const acked = desk.state.acked(sender.instance)
    desk.take(sender, Math.min(sender.seq, acked + 1 + choose(5)))
  }
  for (const sender of order) desk.end(sender)
  return desk.drain()
}

const chooser = (bytes: readonly number[]): ((n: number) => number) => {
  let at = 0
  return (n) => (bytes.length === 0 ? 0 : bytes[at++ % bytes.length]! % n)
}

describe('merging', () => {
  test('does not depend on the order of arrival, nor on how records were batched', () => {
    const choices = fc.array(fc.nat(255), { maxLength: 60 })
    fc.assert(fc.property(job, choices, choices, (lives, one, other) => {
      const senders = sendersOf(lives)
      const first = deliver(senders, chooser(one))
      const second = deliver(senders, chooser(other))
      expect([...rows(second.ledger)]).toEqual([...rows(first.ledger)])
      expect([...points(second.ledger)]).toEqual([...points(first.ledger)])
      expect(second.state.health(0).firstNaN).toEqual(first.state.health(0).firstNaN)
      const books = (desk: Desk): unknown => desk.state.books().map(({ instance, admitted, local }) =>
        ({ instance, admitted, local })).sort((a, b) => (a.instance < b.instance ? -1 : 1))
      expect(books(second)).toEqual(books(first))
    }), { numRuns: 150 })
  })

  test('gives the same rows live and on replay', () => {
    fc.assert(fc.property(job, fc.array(fc.nat(255), { maxLength: 60 }), (lives, choices) => {
      const desk = deliver(sendersOf(lives), chooser(choices))
      const replayed = newState()
      for (const entry of desk.ledger.entries()) replayed.apply(entry)
      expect(replayed.metrics(100)).toEqual(desk.state.metrics(100))
      expect(replayed.books()).toEqual(desk.state.books())
      expect(replayed.health(desk.now)).toEqual(desk.state.health(desk.now))
      // What the live state saw last of each metric is what an export says of that row.
      const exported = new Map([...rows(desk.ledger)].map((row) => [`${row.metric} ${row.step}`, row]))
      for (const view of desk.state.metrics(100)) {
        expect(exported.get(`${view.metric} ${view.step}`)).toMatchObject(view)
      }
    }), { numRuns: 150 })
  })

  test('sees an export in little memory as it sees one in much', () => {
    fc.assert(fc.property(job, fc.integer({ min: 1, max: 40_000 }), (lives, bytesMax) => {
      const { ledger } = deliver(sendersOf(lives), chooser([7, 3, 1]))
      expect([...rows(ledger, { bytesMax })]).toEqual([...rows(ledger)])
      expect([...points(ledger, { bytesMax })]).toEqual([...points(ledger)])
    }), { numRuns: 60 })
  })
})

describe('admission', () => {
  test('takes every seq exactly once, whatever is repeated or lost on the way', () => {
    const range = fc.tuple(fc.integer({ min: 1, max: 30 }), fc.nat(6))
      .map(([first, more]) => [first, first + more] as const)
    fc.assert(fc.property(fc.array(range, { maxLength: 80 }), (ranges) => {
      let acked = 0
      const taken: number[] = []
      for (const [first, last] of ranges) {
        const verdict = admit(acked, first, last)
        if (verdict === 'take') {
          for (let seq = first; seq <= last; seq++) taken.push(seq)
          acked = last
          expect(admit(acked, first, last)).toBe('duplicate')
        } else if (verdict === 'duplicate') {
          expect(last).toBeLessThanOrEqual(acked)
        } else {
          expect(verdict).toEqual({ gap: acked + 1 })
        }
      }
      expect(taken).toEqual(Array.from({ length: acked }, (_, i) => i + 1))
    }))
  })

  test('is idempotent: a ledger entry applied twice counts as a duplicate and changes no row', () => {
    fc.assert(fc.property(job, (lives) => {
      const senders = sendersOf(lives)
      const desk = deliver(senders, chooser([1, 0, 4, 2]))
      const before = [...rows(desk.ledger)]
      const admitted = desk.state.books().map((one) => one.admitted)
      for (const entry of [...desk.ledger.list]) {
        const { pos: _, ...draft } = entry
        if (draft.type === 'batch' || draft.kind === 'joined' || draft.kind === 'seal') desk.commit([draft])
      }
      expect([...rows(desk.ledger)]).toEqual(before)
      expect(desk.state.books().map((one) => one.admitted)).toEqual(admitted)
      expect(desk.state.books().map((one) => one.duplicates)).toEqual(admitted)
    }), { numRuns: 60 })
  })
})
