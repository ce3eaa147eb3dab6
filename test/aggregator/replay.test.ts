import { describe, expect, test } from 'vitest'
import { audit, points, rows } from '../../lib/aggregator/replay.ts'
import { Kind } from '../../lib/record/index.ts'
import { Desk, MemoryLedger } from './desk.ts'
import { originOf, Sender } from './sender.ts'

const sender = (rank: number): Sender => new Sender(originOf(`${rank}`.repeat(32), rank, { worldSize: 2 }))

const endRecord = (one: Sender): Sender => one.say(Kind.end, { exit: 0, logged: one.logged, refused: 0 })

/** Two ranks, 30 steps of two metrics in batches of ten records, ended and drained. */
function finished(): { desk: Desk; list: [Sender, Sender] } {
  const desk = new Desk()
  const list: [Sender, Sender] = [sender(0), sender(1)]
  for (const one of list) {
    desk.join(one)
    for (let step = 0; step < 30; step++) one.log({ loss: step, acc: one.origin.rank }, step)
    endRecord(one)
    for (let last = 10; last < one.seq + 10; last += 10) desk.take(one, Math.min(one.seq, last))
    desk.end(one)
  }
  desk.drain()
  return { desk, list }
}

type Drop = (instance: string, firstSeq: number) => boolean

const without = (ledger: MemoryLedger, drop: Drop): MemoryLedger => {
  const edited = new MemoryLedger()
  edited.list.push(...ledger.list.filter((entry) =>
    entry.type === 'note' || !drop(entry.instance, entry.firstSeq)))
  return edited
}

describe('an audit', () => {
  test('of an untouched ledger balances and is complete', () => {
    const books = audit(finished().desk.ledger)
    expect(books).toMatchObject({ run: 'test-run', balanced: true, complete: true, problems: [] })
    const good = { logged: 60, admitted: 60, duplicates: 0, lost: 0, pending: 0, refused: 0, state: 'ended' }
    expect(books.ranks).toMatchObject([0, 1].map((rank) => ({ rank, attempt: 1, ...good })))
    expect(books.ranks[0]).not.toHaveProperty('estimated')
    expect(books.backends).toEqual([
      { name: 'local', delivered: 120, thinned: 0, superseded: 0, rejected: 0, pending: 0, resent: 0 },
    ])
  })

  test.each([['first', 1, 18], ['middle', 11, 20], ['last', 31, 2]])(
    'says which rank misses how many points when the %s batch of it was removed', (_, firstSeq, points) => {
      const { desk, list } = finished()
      const books = audit(without(desk.ledger, (id, first) => id === list[1].instance && first === firstSeq))
      expect(books.balanced).toBe(false)
      expect(books.ranks).toMatchObject([{ rank: 0, admitted: 60 }, { rank: 1, admitted: 60 - points }])
      expect(books.ranks[0]).not.toHaveProperty('missing')
      expect(books.ranks[1]!.missing).toBe(points)
      expect(books.problems.join()).toMatch(/rank 1 .*records \d+-\d+ are not in the ledger/)
    })

  test('notices a batch that is damaged, and the export goes on without it', () => {
    const { desk, list } = finished()
    for (const entry of desk.ledger.list) {
      if (entry.type !== 'batch' || entry.instance !== list[0].instance || entry.firstSeq !== 11) continue
      entry.data = entry.data.map((byte) => byte ^ 1)
    }
    expect(audit(desk.ledger))
      .toMatchObject({ balanced: false, ranks: [{ rank: 0, missing: 20 }, { rank: 1 }] })
    const partial = [...rows(desk.ledger, { metric: 'acc' })].filter(({ count }) => count === 1)
    expect(partial).toHaveLength(10)
  })

  test('notices batches of an instance that never joined', () => {
    const { desk, list } = finished()
    const edited = new MemoryLedger()
    edited.list.push(...desk.ledger.list.filter((entry) =>
      entry.type === 'batch' || (entry.body as { origin?: { rank: number } }).origin?.rank !== 1))
    expect(audit(edited).problems.join()).toContain(`instance ${list[1].instance}: 4 batches`)
  })

  test('books what the owner lost and what an agent skipped, and still balances', () => {
    const desk = new Desk()
    const one = sender(0)
    one.log({ loss: 1, acc: 1 }, 0).say(Kind.lost, { points: { loss: 3 }, cause: 'overflow' })
    one.log({ loss: 2, acc: 1 }, 1).log({ loss: 3, acc: 1 }, 2)
    one.say(Kind.refused, { values: { loss: 5 }, causes: { string: 5 } })
    one.logged += 3
    desk.join(one).take(one, 3)
    const skip = { instance: one.instance, from: 4, to: 5, points: { loss: 2, acc: 2 }, cause: 'spool cap' }
    desk.note('skip', skip).note('skip', skip)
    endRecord(one)
    desk.take(one).end(one, { lost: 3 }).drain()
    expect(audit(desk.ledger)).toMatchObject({
      balanced: true, complete: true, ranks: [{ logged: 9, admitted: 2, lost: 7, pending: 0, refused: 5 }],
    })
  })

  test('books as lost what a damaged record held, which nobody could count', () => {
    const desk = new Desk()
    const one = endRecord(sender(0).log({ loss: 1, acc: 1 }, 0).log({ loss: 2, acc: 1 }, 1))
    desk.join(one).take(one, 2)
    desk.note('skip', { instance: one.instance, from: 3, to: 3, points: {}, cause: 'damaged' })
    desk.take(one).end(one).drain()
    expect(audit(desk.ledger)).toMatchObject({ balanced: true, ranks: [{ logged: 4, admitted: 2, lost: 2 }] })
  })

  test('does not take a removed batch for what a skip could not count', () => {
    const desk = new Desk()
    const one = sender(0).log({ loss: 1 }, 0).log({ loss: 2 }, 1).log({ loss: 3 }, 2).log({ loss: 4 }, 3)
    endRecord(one)
    desk.join(one).take(one, 2)
    desk.note('skip', { instance: one.instance, from: 3, to: 3, points: { loss: 1 }, cause: 'spool cap' })
    desk.take(one, 4).take(one).end(one).drain()
    expect(audit(desk.ledger)).toMatchObject({ balanced: true, ranks: [{ logged: 4, admitted: 3, lost: 1 }] })
    expect(audit(without(desk.ledger, (_, first) => first === 4))).toMatchObject(
      { balanced: false, ranks: [{ logged: 4, admitted: 2, lost: 1, missing: 1 }] })
  })

  test('leaves to the other ledger what that one acknowledged', () => {
    const desk = new Desk()
    const one = sender(0).log({ loss: 1 }, 0).log({ loss: 2 }, 1)
    one.say(Kind.layout, { id: 0, names: ['loss'] }).log({ loss: 3 }, 2)
    endRecord(one)
    desk.join(one, 4, 'a'.repeat(32)).take(one).end(one).drain()
    expect(audit(desk.ledger)).toMatchObject({ balanced: true, ranks: [{ logged: 1, admitted: 1, lost: 0 }] })
  })

  test('of a killed worker balances although its last record came before its count', () => {
    const desk = new Desk()
    const one = sender(0).log({ loss: 1, acc: 1 }, 0)
    const departure = { exit: null, signal: 'SIGKILL', cause: 'pidfd' as const }
    desk.join(one).take(one).end(one, { logged: 0, departure }).drain()
    expect(audit(desk.ledger))
      .toMatchObject({ balanced: true, complete: true, ranks: [{ logged: 2, estimated: true }] })
  })

  test('of a run that is still open is balanced and not complete', () => {
    const desk = new Desk()
    const one = sender(0).log({ loss: 1 }, 0)
    desk.join(one).take(one)
    expect(audit(desk.ledger)).toMatchObject({
      balanced: true, complete: false, status: null, backends: [{ delivered: 0, pending: 1 }],
    })
    desk.note('session', { state: 'ended', status: 'partial' })
    expect(audit(desk.ledger).status).toBe('partial')
  })

  test('rejects points whose names are in a hole, and the rows agree', () => {
    const desk = new Desk()
    const one = sender(0).log({ loss: 1 }, 0).log({ loss: 2 }, 1)
    one.say(Kind.layout, { id: 0, names: ['loss'] }).log({ loss: 3 }, 2)
    desk.join(one).note('skip', { instance: one.instance, from: 1, to: 1, points: {}, cause: 'damaged' })
    desk.take(one, 3).take(one).end(one).drain()
    expect(audit(desk.ledger)).toMatchObject({ balanced: true, backends: [{ delivered: 1, rejected: 2 }] })
    expect([...rows(desk.ledger)].map(({ step }) => step)).toEqual([2])
    expect([...points(desk.ledger)].map(({ step }) => step)).toEqual([2])
  })
})

describe('an export', () => {
  test('has rows by metric and step, and leaves out sys/ unless asked', () => {
    const desk = new Desk()
    const one = sender(0)
    one.log({ 'b/x': 1, 'sys/cpu': 9 }, 2).log({ 'b/x': 2, a: 3, 'weird "é" 𝄞': 4 }, 1)
    desk.join(one).take(one)
    const names = (glob?: string): string[] =>
      [...rows(desk.ledger, { metric: glob })].map(({ metric, step }) => `${metric}@${step}`)
    expect(names()).toEqual(['a@1', 'b/x@1', 'b/x@2', 'weird "é" 𝄞@1'])
    expect(names('*x')).toEqual(['b/x@1', 'b/x@2'])
    expect(names('*')).toHaveLength(5)
    expect(names('sys/*')).toEqual(['sys/cpu@2'])
    expect(names('.')).toEqual([])
  })

  test('writes what JSON cannot carry as strings, and keeps -0 a number', () => {
    const desk = new Desk()
    const one = sender(0)
    for (const [step, m] of [NaN, Infinity, -Infinity, -0].entries()) one.log({ m }, step)
    desk.join(one).take(one)
    expect([...rows(desk.ledger)].map(({ value }) => value)).toEqual(['NaN', 'Infinity', '-Infinity', -0])
    expect([...rows(desk.ledger)][0]).toEqual({
      metric: 'm', step: 0, value: 'NaN', count: 0, expected: 1, mean: null, min: null, max: null,
      minRank: null, maxRank: null, std: null, sum: null, median: null, p95: null, last: null, nan: 1, inf: 0,
      sealed: false, amended: false,
    })
    expect([...points(desk.ledger)].map(({ value, weight }) => [value, weight])).toEqual(
      [['NaN', null], ['Infinity', null], ['-Infinity', null], [-0, null]])
  })

  test('shows the declared view: exact name, then longest pattern, by the lowest rank that said so', () => {
    const desk = new Desk()
    const list = [sender(1), sender(0)]
    const said = [
      ['n*', 'min', 0], ['n/sum', 'last', 0], ['n*', 'max', 1], ['*', 'rank0', 1], ['n/sum', 'nonsense', 0],
      ['n/sum', 'sum', 0],
    ] as const
    for (const [metric, reduce, who] of said) list[who]!.say(Kind.define, { metric, reduce })
    for (const one of list) {
      const { rank } = one.origin
      desk.join(one).take(one.log({ 'n/sum': rank + 1, 'n/x': rank + 1, other: rank + 5 }, 0))
    }
    expect([...rows(desk.ledger)].map(({ metric, value }) => [metric, value]))
      .toEqual([['n/sum', 3], ['n/x', 2], ['other', 5]])
    expect(desk.state.metrics(9).map(({ metric, value }) => [metric, value]))
      .toEqual([['n/sum', 3], ['n/x', 2], ['other', 5]])
  })

  test('takes the last of several values of one rank and step, in whatever layouts they came', () => {
    const desk = new Desk()
    const one = sender(0).log({ a: 1, b: 1 }, 0).log({ a: 2 }, 0).log({ b: 3, a: 3 }, 0).log({ b: 4 }, 0)
    desk.join(one).take(one).end(one).drain()
    expect([...rows(desk.ledger)].map(({ metric, value, count }) => [metric, value, count]))
      .toEqual([['a', 3, 1], ['b', 4, 1]])
    expect(desk.state.books()[0]!.local).toEqual({ delivered: 2, superseded: 4, rejected: 0, pending: 0 })
  })

  test('reads the ledger in several passes, also by step, and says the same', () => {
    const desk = new Desk()
    for (const one of [sender(0), sender(1)]) {
      desk.join(one)
      for (let step = 0; step < 3000; step++) {
        one.log({ loss: step, acc: one.origin.rank }, (step * 7) % 3000)
        if (step % 3 === 0) one.log({ loss: -step }, step)
      }
      for (let last = 500; last < one.seq + 500; last += 500) desk.take(one, Math.min(last, one.seq))
      desk.end(one)
    }
    desk.drain()
    const all = [...rows(desk.ledger)]
    expect(all).toHaveLength(6000)
    let passes = 0
    const { entries } = desk.ledger
    desk.ledger.entries = (from?: number) => {
      passes++
      return entries.call(desk.ledger, from)
    }
    expect([...rows(desk.ledger, { bytesMax: 50_000 })]).toEqual(all)
    expect(passes).toBeGreaterThan(6)
    expect([...points(desk.ledger, { bytesMax: 50_000 })]).toEqual([...points(desk.ledger)])
  })

  test('does not see what is appended while it runs', () => {
    const { desk } = finished()
    const seen = rows(desk.ledger, { metric: 'loss' })
    seen.next()
    const late = sender(2).log({ loss: 5 }, 1000)
    desk.join(late).take(late)
    expect([...seen]).toHaveLength(29)
    expect([...rows(desk.ledger, { metric: 'loss' })]).toHaveLength(31)
  })

  test('shows rows that are not sealed yet', () => {
    const desk = new Desk()
    const [one, other] = [sender(0), sender(1)]
    desk.join(one).join(other)
    desk.take(one.log({ loss: 1 }, 0).log({ loss: 1 }, 1)).take(other.log({ loss: 3 }, 0)).decide()
    const [first, second] = [...rows(desk.ledger)]
    expect(first).toMatchObject({ value: 2, sealed: true })
    expect(second).toMatchObject({ value: 1, count: 1, expected: 2, sealed: false })
    const shown = { value: 1, min: 1, max: 1, count: 1, expected: 2, minRank: 0, maxRank: 0, sealed: false }
    expect(desk.state.metrics(1)).toEqual([{ metric: 'loss', step: 1, ...shown }])
  })
})
