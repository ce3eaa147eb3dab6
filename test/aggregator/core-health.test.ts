import { describe, expect, test } from 'vitest'
import { Kind } from '../../lib/record/index.ts'
import { Desk, newState } from './desk.ts'
import { originOf, Sender } from './sender.ts'

const T = 10_000

/** `ranks` senders that joined at T, each on a node of its own unless `more` says otherwise. */
function job(ranks: number, worldSize = ranks): { desk: Desk; senders: Sender[] } {
  const desk = new Desk()
  desk.now = T
  const senders = Array.from({ length: ranks }, (_, rank) =>
    new Sender(originOf(`${rank}`.padStart(32, 'a'), rank, { startedAt: T, worldSize, bootId: `b${rank}` })))
  for (const sender of senders) desk.join(sender)
  return { desk, senders }
}

/** Everybody logs what was not sent yet; the clock is at the last record. */
function arrive(desk: Desk, senders: readonly Sender[], now: number): void {
  desk.now = now
  for (const sender of senders) desk.take(sender).beat(sender)
}

describe('stragglers', () => {
  test('a rank whose steps take twice as long, once it is behind', () => {
    const { desk, senders } = job(4)
    for (let step = 0; step < 100; step++) {
      for (const sender of senders) sender.log({ loss: 1 }, step, { time: T + step * 50 })
    }
    const slow = senders[2]!
    slow.records.length = 0
    slow.layouts.length = 0
    const again = new Sender(slow.origin)
    for (let step = 0; step < 50; step++) again.log({ loss: 1 }, step, { time: T + step * 100 })
    arrive(desk, [senders[0]!, senders[1]!, again, senders[3]!], T + 5000)
    expect(desk.state.health(desk.now).stragglers).toEqual([{ rank: 2, ratio: 2, stepMs: 100 }])
  })

  test('of two ranks the slower one is told, not half of it', () => {
    const { desk, senders } = job(2)
    for (let step = 0; step < 60; step++) senders[0]!.log({ loss: 1 }, step, { time: T + step * 50 })
    for (let step = 0; step < 20; step++) senders[1]!.log({ loss: 1 }, step, { time: T + step * 150 })
    arrive(desk, senders, T + 3000)
    expect(desk.state.health(desk.now).stragglers).toEqual([{ rank: 1, ratio: 3, stepMs: 150 }])
  })

  test('in lockstep the one that logs each step late, whatever its clock says', () => {
    const { desk } = job(0)
    const senders = [0, 1, 2, 3].map((rank) =>
      new Sender(originOf(`${rank}`.padStart(32, 'a'), rank, { startedAt: T, bootId: `b${rank}` })))
    // Rank 1's clock is 700 ms ahead; the head knows that since its HELLO.
    for (const [rank, sender] of senders.entries()) {
      desk.commit(desk.state.join(sender.origin, 1, T, { offset: rank === 1 ? -700 : 0 }))
    }
    for (let step = 0; step < 60; step++) {
      for (const [rank, sender] of senders.entries()) {
        const time = T + step * 100 + (rank === 1 ? 700 : rank === 3 ? 60 : rank)
        sender.log({ loss: 1 }, step, { time })
      }
    }
    arrive(desk, senders, T + 6000)
    expect(desk.state.health(desk.now).stragglers).toEqual([{ rank: 3, ratio: 2.5, lateMs: 60 }])
  })

  test('nobody is slow when all differ by chance, log bulks, or one merely started later', () => {
    const { desk, senders } = job(4)
    for (let step = 0; step < 100; step++) {
      for (const [rank, sender] of senders.entries()) {
        const jitter = (step * 7 + rank * 13) % 11
        sender.log({ loss: 1 }, step, { time: T + step * 50 + jitter + (rank === 3 ? 320 : 0) })
      }
    }
    arrive(desk, senders, T + 5300)
    expect(desk.state.health(desk.now)).toMatchObject({ stragglers: [], hang: null, missing: null })
  })
})

describe('hang', () => {
  const running = (ranks: number): { desk: Desk; senders: Sender[] } => {
    const made = job(ranks)
    for (let step = 0; step < 20; step++) {
      for (const sender of made.senders) sender.log({ loss: 1 }, step, { time: T + step * 100 })
    }
    arrive(made.desk, made.senders, T + 2000)
    return made
  }

  test('one rank stopped while the others go on', () => {
    const { desk, senders } = running(4)
    for (let step = 20; step < 160; step++) {
      for (const sender of senders) {
        if (sender !== senders[1]) sender.log({ loss: 1 }, step, { time: T + step * 100 })
      }
    }
    arrive(desk, senders, T + 11_000)
    expect(desk.state.health(desk.now).hang).toBeNull()
    arrive(desk, senders, T + 16_000)
    expect(desk.state.health(desk.now).hang)
      .toEqual({ ranks: '1', sinceStep: 19, forMs: 14_100, others: 159 })
  })

  test('in lockstep the rank that lacks the step which the others wait in', () => {
    const { desk, senders } = running(4)
    for (const sender of senders.slice(0, 3)) sender.log({ loss: 1 }, 20, { time: T + 2000 })
    arrive(desk, senders, T + 15_000)
    expect(desk.state.health(desk.now).hang).toEqual({ ranks: '3', sinceStep: 19, forMs: 13_100, others: 20 })
  })

  test('all at one step: an evaluation at first, a hang after a minute', () => {
    const { desk, senders } = running(4)
    arrive(desk, senders, T + 30_000)
    expect(desk.state.health(desk.now).hang).toBeNull()
    arrive(desk, senders, T + 65_000)
    expect(desk.state.health(desk.now).hang)
      .toEqual({ ranks: '0-3', sinceStep: 19, forMs: 63_100, others: null })
  })

  test('not for a rank whose records are on their way, whose agent is silent, or that has ended', () => {
    const { desk, senders } = running(4)
    for (let step = 20; step < 200; step++) senders[0]!.log({ loss: 1 }, step, { time: T + step * 100 })
    desk.now = T + 20_000
    desk.take(senders[0]!).beat(senders[0]!)
    // Rank 1's agent knows of more, rank 2's says nothing since, rank 3 is gone.
    senders[1]!.log({ loss: 1 }, 20)
    desk.beat(senders[1]!).end(senders[3]!)
    expect(desk.state.health(desk.now).hang).toBeNull()
  })

  test('the time that this aggregator was not there does not count', () => {
    const { desk } = running(4)
    desk.restart()
    desk.now = T + 40_000
    desk.decide()
    desk.now = T + 45_000
    expect(desk.state.health(desk.now).hang).toBeNull()
  })
})

describe('the first value that is not finite', () => {
  test('is that of the lowest step, then rank, also when it arrives last', () => {
    const { desk, senders } = job(3)
    senders[2]!.log({ loss: NaN, acc: 1 }, 7).log({ loss: NaN, acc: Infinity }, 8)
    senders[1]!.log({ loss: NaN, acc: 1 }, 7)
    senders[0]!.log({ loss: 1, acc: -Infinity }, 9)
    for (const sender of [...senders].reverse()) desk.take(sender)
    expect(desk.state.health(desk.now).firstNaN).toEqual([
      { metric: 'loss', rank: 1, step: 7, kind: 'NaN' },
      { metric: 'acc', rank: 2, step: 8, kind: 'Infinity' },
    ])
    const replayed = newState()
    for (const entry of desk.ledger.entries()) replayed.apply(entry)
    expect(replayed.health(desk.now)).toEqual(desk.state.health(desk.now))
  })

  test('is none of a rival that is out of the rows', () => {
    const { desk, senders } = job(1)
    const rival = new Sender(originOf('f'.repeat(32), 0, { startedAt: T + 1, bootId: 'b0' }))
    senders[0]!.log({ loss: 1 }, 0, { time: T + 5000 })
    rival.log({ loss: NaN }, 0, { time: T + 5000 })
    desk.join(rival).take(senders[0]!).take(rival)
    desk.decide()
    expect(desk.state.member(rival.instance)?.state).toBe('rank-conflict')
    expect(desk.state.health(desk.now).firstNaN).toEqual([])
  })
})

describe('missing ranks', () => {
  test('are told after joinTimeout, at once when the session is over, and when nothing is heard', () => {
    const { desk, senders } = job(5, 8)
    arrive(desk, senders, T + 29_000)
    expect(desk.state.health(desk.now).missing).toBeNull()
    expect(desk.note('session', { state: 'draining' }).state.health(desk.now).missing).toBe('5-7')
    desk.note('session', { state: 'live' })
    arrive(desk, senders.slice(1), T + 31_000)
    expect(desk.state.health(desk.now).missing).toBe('5-7')
    arrive(desk, senders.slice(1), T + 60_000)
    expect(desk.state.health(desk.now).missing).toBe('0,5-7')
  })
})

test('a declared rewind begins a new pace', () => {
  const { desk, senders } = job(2)
  for (const sender of senders) {
    for (let step = 0; step < 20; step++) sender.log({ loss: 1 }, step, { time: T + step * 10 })
    sender.say(Kind.resume, { step: 5 }, T + 300)
    for (let step = 5; step < 20; step++) sender.log({ loss: 1 }, step, { time: T + step * 100 })
  }
  arrive(desk, senders, T + 2000)
  arrive(desk, senders, T + 13_500)
  // By the pace before it would be a hang only after HANG_ALL_AFTER_MS too; the step tells which pace it is.
  expect(desk.state.health(desk.now)).toMatchObject({ hang: null, lag: { ms: 11_600 } })
  arrive(desk, senders, T + 90_000)
  expect(desk.state.health(desk.now).hang).toMatchObject({ ranks: '0-1', sinceStep: 19 })
})
