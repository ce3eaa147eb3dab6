import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { StreamRow } from '../../lib/backend/index.ts'
import { audit, rows } from '../../lib/aggregator/replay.ts'
import { readRows } from '../../lib/aggregator/row-reader.ts'
import type { Row } from '../../lib/aggregator/core-types.ts'
import type { Ledger } from '../../lib/ledger/index.ts'
import { AMEND_AFTER_MS, STREAM_ROWS } from '../../lib/limits-outbox.ts'
import { applyNote, keepOf, newStanding, type OutboxNote } from '../../lib/session/core-standing.ts'
import { Desk, MemoryLedger } from './desk.ts'
import { originOf, Sender } from './sender.ts'

interface Call {
  rank: number
  names: string[]
  step: number
  value: number
}

const call: fc.Arbitrary<Call> = fc.record({
  rank: fc.nat(2), names: fc.subarray(['a', 'b', 'c'], { minLength: 1 }), step: fc.nat(8),
  value: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(NaN, Infinity, 0.1)),
})
/** Between the calls: everything that is open seals, so what comes later amends. */
const history = fc.array(fc.oneof(
  { weight: 8, arbitrary: call },
  { weight: 1, arbitrary: fc.constant('seal' as const) },
  { weight: 1, arbitrary: fc.constant('wait' as const) },
), { maxLength: 60, size: 'max' })

type History = typeof history extends fc.Arbitrary<infer H> ? H : never

function play(events: History): Desk {
  const desk = new Desk(new MemoryLedger(), 2 ** 30, true)
  const senders = [0, 1, 2].map((rank) => new Sender(originOf(`${rank}`.repeat(32), rank, { worldSize: 3 })))
  for (const sender of senders) desk.join(sender)
  for (const event of events) {
    if (event === 'seal') desk.commit(desk.state.drain(desk.now).filter(({ kind }) => kind === 'seal'))
    else if (event === 'wait') {
      desk.now += AMEND_AFTER_MS
      desk.decide()
    } else {
      const { rank, names, step, value } = event
      const sender = senders[rank]!.log(Object.fromEntries(names.map((name) => [name, value])), step)
      desk.take(sender)
    }
  }
  for (const sender of senders) desk.end(sender)
  return desk
}

/** With what it knows of other metrics, which must be the same at every reading too. */
type Shown = Omit<StreamRow, 'has'> & { known: string[] }
const shown = ({ has, ...row }: StreamRow): Shown => ({ ...row, known: ['a', 'b', 'c'].filter(has) })

function streamOf(ledger: Ledger, from = 1): Shown[] {
  const found: Shown[] = []
  for (const read of readRows(ledger, from)) {
    if (read === 'idle') return found
    if (read !== 'busy') found.push(shown(read))
  }
  return found
}

/** A row that nothing changes any more may have been expected of fewer ranks when it closed. */
const known = ({ expected: _, ...row }: Row): Omit<Row, 'expected'> => row
const keyOf = ({ metric, step }: Row): string => `${metric} ${step}`

describe('the row stream', () => {
  test('ends with the rows of an export, numbered without gap', () => {
    fc.assert(fc.property(history, (events) => {
      const { ledger } = play(events).drain()
      const stream = streamOf(ledger)
      expect(stream.map(({ n }) => n)).toEqual(stream.map((_, i) => i + 1))
      const last = new Map(stream.map(({ row }) => [keyOf(row), known(row)]))
      expect(last).toEqual(new Map([...rows(ledger)].map((row) => [keyOf(row), known(row)])))
      // A row that comes again says so.
      stream.forEach(({ row, amends }, i) => {
        expect(stream.slice(0, i).some((other) => keyOf(other.row) === keyOf(row))).toBe(amends)
        expect(row.amended).toBe(amends)
      })
    }), { numRuns: 80 })
  })

  test('is the same at every reading, from any number, and grows only at its end', () => {
    fc.assert(fc.property(history, fc.nat(60), fc.nat(200), (events, from, cut) => {
      const { ledger } = play(events).drain()
      const stream = streamOf(ledger)
      expect(streamOf(ledger, from + 1)).toEqual(stream.slice(from))
      const earlier = new MemoryLedger()
      earlier.append(ledger.list.slice(0, cut))
      const before = streamOf(earlier)
      expect(stream.slice(0, before.length)).toEqual(before)
      // One reader that follows sees what a later one sees.
      const growing = new MemoryLedger()
      const reader = readRows(growing, 1)
      const seen: Shown[] = []
      for (const entry of ledger.list) {
        growing.append([entry])
        for (let read = reader.next().value; read !== 'idle'; read = reader.next().value) {
          if (read !== 'busy') seen.push(shown(read))
        }
      }
      expect(seen).toEqual(stream)
    }), { numRuns: 40 })
  })

  test('holds every delivered point in exactly one row', () => {
    fc.assert(fc.property(history, (events) => {
      const desk = play(events).drain()
      const points = new Map<number, number>()
      for (const { of } of streamOf(desk.ledger)) {
        for (const index of of) points.set(index, (points.get(index) ?? 0) + 1)
      }
      desk.state.books().forEach(({ local }, index) =>
        expect(points.get(index) ?? 0).toBe(local.delivered))
    }), { numRuns: 80 })
  })

  test('gives a decision that closes many rows in parts', () => {
    const desk = new Desk()
    const sender = new Sender(originOf('1'.repeat(32), 0, { worldSize: 1 }))
    const steps = 2 * STREAM_ROWS + 7
    for (let step = 0; step < steps; step++) sender.log({ a: step, b: -step }, step)
    desk.join(sender).take(sender).end(sender).drain()
    expect(desk.ledger.list.filter((entry) => entry.type === 'note' && entry.kind === 'seal')).toHaveLength(1)
    const stream = streamOf(desk.ledger)
    expect(stream).toHaveLength(2 * steps)
    expect(stream.filter(({ row }) => row.metric === 'a').map(({ row }) => row.step))
      .toEqual(Array.from({ length: steps }, (_, step) => step))
  })

  test('costs no decision where no backend wants rows', () => {
    const desk = new Desk()
    const sender = new Sender(originOf('1'.repeat(32), 0)).log({ a: 1 }, 1)
    desk.join(sender).take(sender).drain()
    desk.take(sender.log({ a: 2 }, 1)).drain()
    desk.now += AMEND_AFTER_MS
    expect(desk.decide()).toEqual([])
    expect(desk.state.books()[0]!.local.delivered).toBe(2)
  })
})

/** What an outbox would have decided: ranges of rows, and what became of them. */
type Fate = readonly [rows: number, as: 'delivered' | 'rejected' | 'thinned' | 'open' | 'some' | 'some-open']

function send(desk: Desk, fates: readonly Fate[]): OutboxNote[] {
  const stream = streamOf(desk.ledger)
  const notes: OutboxNote[] = []
  const standing = newStanding()
  for (const [count, as] of fates) {
    const parts = stream.slice(standing.settled, standing.settled + count)
    if (parts.length === 0 || standing.open !== null || standing.plan !== null) break
    const pointsOf = (some: readonly Shown[]): number => some.reduce((sum, { of }) => sum + of.length, 0)
    const [from, to] = [parts[0]!.n, parts.at(-1)!.n]
    const kept = as.startsWith('some') ? parts.filter(({ n }) => n % 3 === 0 || n === to) : parts
    const points = pointsOf(kept)
    const extent = { backend: 'jsonl', from, to, points }
    const batch = standing.batches + 1
    const leaves: OutboxNote = {
      backend: 'jsonl', is: 'thinned', from, to, points: pointsOf(parts) - points, cause: 'budget',
      keep: keepOf(from, kept),
    }
    const begun: OutboxNote = { ...extent, is: 'batch', batch, digest: '', at: 0 }
    const made: OutboxNote[] = as === 'thinned' ? [{ ...extent, is: as, cause: 'late' }]
      : as === 'open' ? [begun, { backend: 'jsonl', is: 'again', batch }]
        : as === 'rejected' ? [begun, { backend: 'jsonl', is: as, batch, message: 'no' }]
          : as === 'some-open' ? [leaves]
            : [...as === 'some' ? [leaves] : [], begun, {
              backend: 'jsonl', is: 'delivered', batch, cursor: null,
            }]
    for (const note of made) applyNote(standing, note)
    notes.push(...made)
  }
  for (const note of notes) desk.note('outbox', note)
  return notes
}

describe('the books of a backend', () => {
  const fate = fc.constantFrom('delivered', 'delivered', 'rejected', 'thinned', 'open', 'some', 'some-open')
  const fates = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fate), { maxLength: 12 })

  const withJsonl = (desk: Desk): Desk => {
    desk.ledger.facts['backends'] = JSON.stringify({ jsonl: { file: '/x' } })
    return desk
  }

  test('balance at any time, per instance, and say what the notes say', () => {
    fc.assert(fc.property(history, fates, fc.boolean(), (events, plan, drained) => {
      const desk = withJsonl(play(events))
      if (drained) desk.drain()
      send(desk, plan as Fate[])
      const { backends, problems, balanced } = audit(desk.ledger)
      expect(problems).toEqual([])
      expect(balanced).toBe(true)
      const [local, jsonl] = backends
      const standing = desk.state.standing('jsonl')
      expect(jsonl).toMatchObject({
        name: 'jsonl', delivered: standing.delivered, thinned: standing.thinned, resent: standing.resent,
        superseded: local!.superseded, rejected: standing.rejected + local!.rejected,
      })
      expect(jsonl!.delivered + jsonl!.thinned + jsonl!.superseded + jsonl!.rejected + jsonl!.pending)
        .toBe(local!.delivered + local!.superseded + local!.rejected + local!.pending)
    }), { numRuns: 80 })
  })

  test.each<[string, (notes: OutboxNote[]) => unknown, RegExp]>([
    ['a batch that skips a row', ([first]) => first?.is === 'batch' && first.from++, /begins at row 2/],
    ['a batch beyond the rows', (notes) => notes.forEach((note) => note.is === 'batch' && (note.to += 99)),
      /ends at row \d+, but the rows end at/],
    ['points that its rows do not have', ([first]) => first?.is === 'batch' && first.points++,
      /states \d+ points and has \d+/],
    ['an end without a beginning', (notes) => notes.shift(), /was not begun/],
  ])('do not believe %s', (_, damage, problem) => {
    const desk = withJsonl(new Desk())
    const sender = new Sender(originOf('1'.repeat(32), 0, { worldSize: 1 }))
    for (let step = 0; step < 9; step++) sender.log({ a: step, b: step }, step)
    desk.join(sender).take(sender).end(sender).drain()
    const clean = send(desk, [[18, 'delivered']])
    expect(audit(desk.ledger).balanced).toBe(true)
    desk.ledger.list.length -= clean.length
    damage(clean)
    for (const note of clean) desk.note('outbox', note)
    const found = audit(desk.ledger)
    expect(found.balanced).toBe(false)
    expect(found.problems.join('\n')).toMatch(problem)
  })
})
