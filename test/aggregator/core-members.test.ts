import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { points, rows } from '../../lib/aggregator/replay.ts'
import { HEIR_AFTER_MS, RANK_OVERLAP_MS } from '../../lib/limits.ts'
import { Kind, type Origin } from '../../lib/record/index.ts'
import { Desk } from './desk.ts'
import { originOf, Sender } from './sender.ts'

const life = (id: string, startedAt: number, more: Partial<Origin> = {}): Sender =>
  new Sender(originOf(id.repeat(32), more.rank ?? 0, { startedAt, worldSize: 1, ...more }))

/** `startedAt` is by the clock of its node, of which `offset` and `blur` are told. */
function joins(desk: Desk, { origin }: Sender, offset: number, blur?: number): void {
  desk.commit(desk.state.join(origin, 1, desk.now, { offset, blur }))
}

const attempts = (desk: Desk): Record<string, number> =>
  Object.fromEntries(desk.state.members().map(({ instance, attempt }) => [instance[0]!, attempt]))

const states = (desk: Desk): string[] =>
  desk.state.members().map(({ attempt, state }) => `${attempt} ${state}`)

describe('the lives of a rank', () => {
  test('are attempts in order of start, also when an older one arrives late', () => {
    const desk = new Desk()
    const [first, second, third] = [life('c', 1000), life('a', 2000), life('b', 3000)]
    for (const sender of [first, third, second]) desk.join(sender).end(sender).decide()
    expect(desk.state.members().map(({ instance, attempt }) => [instance[0], attempt]))
      .toEqual([['c', 1], ['b', 3], ['a', 2]])
  })

  test('are ordered by id on equal starts, and by the corrected clock across nodes', () => {
    const desk = new Desk()
    const [x, y, z] = [life('b', 1000), life('a', 1000), life('c', 500, { bootId: 'elsewhere' })]
    for (const sender of [x, y]) desk.join(sender).end(sender).decide()
    joins(desk, z, 900)
    expect(desk.state.members().map(({ instance, attempt }) => [instance[0], attempt]))
      .toEqual([['b', 2], ['a', 1], ['c', 3]])
  })

  test('of one node are ordered by its own clock, however late a HELLO came', () => {
    const desk = new Desk()
    const [first, second] = [life('a', 1000), life('b', 5000)]
    joins(desk, first, 15_000)
    desk.end(first)
    joins(desk, second, 1)
    desk.decide()
    expect(states(desk)).toEqual(['1 ended', '2 live'])
  })

  test('of a node are moved when its clock is known better, unless they change places', () => {
    const desk = new Desk()
    const [a, b, c, d] = [
      life('a', 1000), life('b', 2000, { bootId: 'there' }), life('c', 5000, { bootId: 'there' }),
      life('d', 4500),
    ]
    joins(desk, a, 0)
    desk.end(a)
    joins(desk, b, 900, 950)
    desk.end(b)
    joins(desk, c, -900, 10)
    desk.end(c)
    joins(desk, d, 0)
    // By the better offset b began at 1100, and c at 4100.
    expect(attempts(desk)).toEqual({ a: 1, b: 2, c: 3, d: 4 })
    expect(attempts(desk.restart())).toEqual(attempts(desk))

    const stubborn = new Desk()
    for (const [one, offset, blur] of [[a, 0, 0], [b, 900, 950]] as const) {
      joins(stubborn, one, offset, blur)
      stubborn.end(one)
    }
    joins(stubborn, c, -1500, 10)
    stubborn.end(c)
    joins(stubborn, d, 0)
    // Else b would have begun at 500.
    expect(attempts(stubborn)).toEqual({ a: 1, b: 2, c: 4, d: 3 })
  })

  test('are not moved by what the clock of another host says', () => {
    const desk = new Desk()
    const [a, b, c, d] = [
      life('a', 1000), life('b', 2000, { bootId: 'there' }), life('c', 5000, { bootId: 'there' }),
      life('d', 5500),
    ]
    desk.note('term', { term: 1, host: 'one' })
    joins(desk, a, 0)
    joins(desk, b, 900, 950)
    desk.note('term', { term: 2, host: 'other' })
    joins(desk, c, -900, 10)
    joins(desk, d, 0)
    expect(attempts(desk)).toEqual({ a: 1, b: 2, c: 4, d: 3 })
  })

  test('the later replaces what the earlier logged at the same step, whichever arrives first', () => {
    for (const late of [true, false]) {
      const desk = new Desk()
      const old = life('a', 1000).log({ loss: 1 }, 0).log({ loss: 1 }, 1)
      const young = life('b', 5000).log({ loss: 2 }, 1).log({ loss: 2 }, 2)
      const order = late ? [young, old] : [old, young]
      for (const sender of order) desk.join(sender).take(sender).end(sender).decide()
      desk.drain()
      expect([...rows(desk.ledger)].map(({ step, value }) => [step, value])).toEqual([[0, 1], [1, 2], [2, 2]])
      const replaced = [...points(desk.ledger)].map((one) => [one.step, one.attempt, one.superseded ?? false])
      expect(replaced).toEqual([[0, 1, false], [1, 1, true], [1, 2, false], [2, 2, false]])
    }
  })

  test('who joins after an end is taken as the ledger alone tells, whatever beats said', () => {
    const desk = new Desk()
    const [old, young] = [life('a', 1000).log({ loss: 1 }, 0), life('b', 5000).log({ loss: 2 }, 0)]
    desk.join(old).take(old)
    const beat = { instance: old.instance, alive: true, logged: 1, lost: 0, backlog: 0 }
    desk.state.heard([beat], 5000 + RANK_OVERLAP_MS + 1)
    desk.end(old).join(young).take(young).decide()
    expect(states(desk)).toEqual(['1 ended', '2 live'])
    expect([...points(desk.ledger)].filter(({ rejected }) => rejected !== undefined)).toEqual([])
  })

  test('a HELLO that comes twice joins once', () => {
    const desk = new Desk()
    const sender = life('a', 1000)
    const twice = [...desk.state.join(sender.origin, 1, 1), ...desk.state.join(sender.origin, 1, 1)]
    desk.commit(twice)
    expect(twice).toHaveLength(2)
    expect(states(desk)).toEqual(['1 live'])
    expect(desk.state.join(sender.origin, 1, 1)).toEqual([])
  })

  test('an elastic job has the world size of its newest life', () => {
    const desk = new Desk()
    desk.join(life('b', 2000, { worldSize: 2 })).join(life('a', 1000, { rank: 1, worldSize: 4 }))
    expect(desk.state.worldSize()).toBe(2)
  })
})

describe('a successor', () => {
  test('that joins before the death of the other is known waits, then its points are in the rows', () => {
    const desk = new Desk()
    const dead = life('a', 1000).log({ loss: 1 }, 0)
    const heir = life('b', 5000).log({ loss: 2 }, 1, { time: 5001 })
    desk.join(dead).take(dead).join(heir).take(heir)
    desk.decide()
    expect(states(desk)).toEqual(['1 live', '2 suspect'])
    expect(desk.state.books()[1]!.local).toMatchObject({ pending: 1, rejected: 0 })
    desk.end(dead).decide()
    expect(states(desk)).toEqual(['1 ended', '2 live'])
    expect([...rows(desk.ledger)].map(({ step, value }) => [step, value])).toEqual([[0, 1], [1, 2]])
  })

  test('takes over at once when the agent says the other is dead', () => {
    const desk = new Desk()
    const [dead, heir] = [life('a', 1000), life('b', 5000)]
    desk.join(dead).join(heir).beat(dead, false).decide()
    expect(states(desk)).toEqual(['1 live', '2 live'])
  })

  test('takes over when the node of the other fell silent', () => {
    const desk = new Desk()
    const [silent, heir] = [life('a', 1000), life('b', 5000, { bootId: 'elsewhere' })]
    desk.join(silent).join(heir)
    desk.now += HEIR_AFTER_MS - 1
    expect(desk.decide()).toEqual([])
    desk.now += 1
    desk.decide()
    expect(states(desk)).toEqual(['1 live', '2 live'])
  })

  test('is held through a restart of the aggregator, and merges all the same', () => {
    const desk = new Desk()
    const dead = life('a', 1000).log({ loss: 1 }, 0)
    const heir = life('b', 5000).log({ loss: 2 }, 0)
    desk.join(dead).take(dead).join(heir).take(heir).restart()
    heir.log({ loss: 3 }, 1)
    desk.take(heir).end(dead).decide()
    expect([...rows(desk.ledger)].map(({ step, value }) => [step, value])).toEqual([[0, 2], [1, 3]])
  })

  test('nobody has judged when the run drains is an heir', () => {
    const desk = new Desk()
    const [one, other] = [life('a', 1000).log({ loss: 1 }, 0), life('b', 5000).log({ loss: 2 }, 0)]
    desk.join(one).take(one).join(other).take(other).drain()
    expect([...rows(desk.ledger)]).toMatchObject([{ value: 2, sealed: true }])
    expect(desk.state.drain(desk.now)).toEqual([])
  })
})

describe('a rival', () => {
  test('that lives at the same time is rejected: its points stay under its instance, out of the rows', () => {
    const desk = new Desk()
    const holder = life('a', 1000).log({ loss: 1 }, 0, { time: 9000 })
    const rival = life('b', 5000).log({ loss: 2 }, 0, { time: 9001 })
    desk.join(holder).take(holder).join(rival).take(rival)
    expect(desk.decide()[0]).toMatchObject(
      { kind: 'conflict', body: { instance: rival.instance, holder: holder.instance } })
    rival.log({ loss: 2 }, 1)
    desk.take(rival).end(rival).end(holder).drain()
    expect(states(desk)).toEqual(['1 ended', '2 rank-conflict'])
    const merged = [...rows(desk.ledger)].map(({ step, value, expected }) => [step, value, expected])
    expect(merged).toEqual([[0, 1, 1]])
    expect([...points(desk.ledger)].map(({ step, attempt, rejected }) => [step, attempt, rejected])).toEqual([
      [0, 1, undefined], [0, 2, 'rank-conflict'], [1, 2, 'rank-conflict'],
    ])
    expect(desk.state.books()[1]!.local).toEqual({ delivered: 0, superseded: 0, rejected: 2, pending: 0 })
  })

  test('is known by beats when the holder logs nothing', () => {
    const desk = new Desk()
    const [holder, rival] = [life('a', 1000), life('b', 9000)]
    desk.join(holder).join(rival)
    desk.now = 9000 + RANK_OVERLAP_MS
    desk.beat(holder).decide()
    expect(states(desk)).toEqual(['1 live', '2 suspect'])
    desk.now += 1
    desk.beat(holder).decide()
    expect(states(desk)).toEqual(['1 live', '2 rank-conflict'])
  })

  test('of several found in one scan, the one that started first holds the rank', () => {
    const desk = new Desk()
    const list = [life('c', 3000), life('a', 1000), life('b', 2000)]
    for (const sender of list) desk.join(sender)
    for (const sender of list) desk.take(sender.log({ loss: 1 }, 0, { time: 9000 }))
    desk.decide()
    expect(states(desk)).toEqual(['3 rank-conflict', '1 live', '2 rank-conflict'])
  })

  test('that started earlier and joins late leaves the rank to whose points are in the rows', () => {
    const desk = new Desk()
    const holder = life('b', 5000).log({ loss: 1 }, 0)
    const late = life('a', 1000).log({ loss: 9 }, 0, { time: 9000 })
    desk.join(holder).take(holder).join(late).take(late).decide()
    expect(states(desk)).toEqual(['2 live', '1 rank-conflict'])
    expect([...rows(desk.ledger)]).toMatchObject([{ value: 1 }])
  })

  test('is not waited for', () => {
    const desk = new Desk()
    const holder = life('a', 1000).log({ loss: 1 }, 0, { time: 9000 })
    const rival = life('b', 5000)
    desk.join(holder).take(holder).join(rival).decide()
    desk.take(holder.log({ loss: 1 }, 1)).decide()
    expect([...rows(desk.ledger)].map(({ sealed }) => sealed)).toEqual([true, true])
  })
})

describe('clocks of two nodes', () => {
  /** Often as wrong as it may be. */
  const near = (blur: number): fc.Arbitrary<number> =>
    fc.oneof(fc.constantFrom(-blur, blur), fc.double({ min: -blur, max: blur, noNaN: true }))
  const node = fc.integer({ min: -5000, max: 5000 }).chain((offset) => fc.integer({ min: 0, max: 3000 })
    .chain((blur) => fc.record({ offset: fc.constant(offset), blur: fc.constant(blur), error: near(blur) })))
  const ms = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 12_000 }))

  test('however blurred make no rival of a life that began when the other was over', () => {
    fc.assert(fc.property(node, node, ms, ms, ms, fc.boolean(), fc.boolean(),
      (here, there, lived, pause, after, isLate, isEnded) => {
        const desk = new Desk()
        const T = 1_700_000_000_000
        desk.now = T + 20_000
        const [end, next] = [T + lived, T + lived + pause + 1]
        // True times less the offset of a node are those of its clock.
        const old = life('b', T - here.offset, { bootId: 'here' })
        const young = life('a', next - there.offset, { bootId: 'there' })
        old.log({ loss: 1 }, 0, { time: end - here.offset })
        young.log({ loss: 2 }, 0, { time: next + after - there.offset })
        const come = (sender: Sender, { offset, blur, error }: typeof here, last: number): void => {
          joins(desk, sender, offset + error, blur)
          desk.take(sender)
          const beat = { instance: sender.instance, alive: true, logged: 1, lost: 0, backlog: 0 }
          // It was sent while the process lived, and comes much later.
          desk.state.heard([beat], desk.now, last - offset)
          if (isEnded && sender === old) desk.end(sender)
        }
        const both = [() => come(old, here, end), () => come(young, there, next + after)]
        for (const one of isLate ? both.reverse() : both) one()
        desk.decide()
        expect(states(desk).filter((state) => state.endsWith('rank-conflict'))).toEqual([])
        if (pause > here.blur + there.blur) expect(attempts(desk)).toEqual({ b: 1, a: 2 })
      }), { numRuns: 500 })
  })

  test('that are blurred hide no rival for long', () => {
    fc.assert(fc.property(node, node, (here, there) => {
      const desk = new Desk()
      const T = 1_700_000_000_000
      const until = T + 2 * (here.blur + there.blur) + RANK_OVERLAP_MS + 2
      const lives = [
        life('b', T - here.offset, { bootId: 'here' }), life('a', T - there.offset, { bootId: 'there' }),
      ]
      lives.forEach((sender, i) => {
        const { offset, blur, error } = [here, there][i]!
        sender.log({ loss: 1 }, 0, { time: until - offset })
        joins(desk, sender, offset + error, blur)
        desk.take(sender)
      })
      desk.decide()
      expect(states(desk).filter((state) => state.endsWith('rank-conflict'))).toHaveLength(1)
    }))
  })

  test('that were compared with two heads make no rivals', () => {
    for (const [host, state] of [['one', 'rank-conflict'], ['other', 'suspect']] as const) {
      const desk = new Desk()
      const [old, young] = [life('a', 1000), life('b', 2000, { bootId: 'there' })]
      old.log({ loss: 1 }, 0, { time: 9000 })
      young.log({ loss: 2 }, 0, { time: 9000 })
      desk.note('term', { term: 1, host: 'one' })
      joins(desk, old, 0, 10)
      desk.take(old).note('term', { term: 2, host })
      joins(desk, young, 0, 10)
      desk.take(young).decide()
      expect(states(desk)).toEqual(['1 live', `2 ${state}`])
    }
  })

  test('that do not tell which life is the older do not make the heir wait for its own end', () => {
    const desk = new Desk()
    const [old, young] = [life('a', 1000), life('b', 990, { bootId: 'there' })]
    old.log({ loss: 1 }, 0)
    young.log({ loss: 2 }, 0)
    joins(desk, old, 0)
    desk.take(old)
    joins(desk, young, 0, 20)
    desk.take(young).end(old).decide()
    expect(states(desk)).toEqual(['2 ended', '1 live'])
  })
})

describe('what a member says', () => {
  test('is kept for the session: open, end, last step, refused weights, lines of text', () => {
    const desk = new Desk()
    const sender = life('a', 1000)
    sender.say(Kind.open, { source: 'test', key: 'k' }).log({ loss: 1 }, 7, { weight: -1, time: 1500 })
    sender.say(Kind.text, { line: 'hi' })
    sender.say(Kind.end, { exit: 3, logged: 1, refused: 0 }, 1600)
    desk.join(sender).take(sender)
    expect(desk.state.member(sender.instance)).toMatchObject({
      open: { key: 'k' }, end: { exit: 3 }, lastStep: 7, lastTime: 1600, badWeights: 1, textLines: 1,
      state: 'live',
    })
    expect(desk.state.member('f'.repeat(32))).toBe(null)
  })

  test('of params and views is the newest life\'s word, also when an older one speaks later', () => {
    const desk = new Desk()
    const [old, young] = [life('a', 1000), life('b', 5000)]
    old.say(Kind.params, { params: { lr: 1 } }).say(Kind.define, { metric: 'loss', reduce: 'min' })
    young.say(Kind.params, { params: { lr: 2 } }).say(Kind.define, { metric: 'loss', reduce: 'sum' })
    young.log({ loss: 3 }, 0)
    const peer = life('c', 1000, { rank: 1 }).log({ loss: 4 }, 0)
    for (const sender of [young, peer, old]) desk.join(sender).take(sender)
    expect(desk.state.params()).toEqual([{ key: 'lr', value: 2 }])
    expect(desk.state.metrics(1)).toMatchObject([{ metric: 'loss', value: 7 }])
  })

  test('of params collapses to one value, with the ranks that disagree', () => {
    const desk = new Desk()
    for (const rank of [0, 1, 2, 3]) {
      const sender = life(`${rank}`, 1000, { rank })
      sender.say(Kind.params, { params: { lr: 0.1, seed: rank === 2 ? 7 : 42, nested: { a: [1] } } })
      desk.join(sender).take(sender)
    }
    expect(desk.state.params()).toEqual([
      { key: 'lr', value: 0.1 }, { key: 'nested', value: { a: [1] } },
      { key: 'seed', value: 42, divergence: [{ value: 42, ranks: '0-1,3' }, { value: 7, ranks: '2' }] },
    ])
  })
})
