import { describe, expect, test } from 'vitest'
import type { NoteDraft, SealBody } from '../../lib/aggregator/core-types.ts'
import { rows } from '../../lib/aggregator/replay.ts'
import { SEAL_BACKLOG_MS } from '../../lib/limits.ts'
import { Kind } from '../../lib/record/index.ts'
import { Desk, JOIN_TIMEOUT, SEAL_AFTER } from './desk.ts'
import { originOf, Sender } from './sender.ts'

const senders = (count: number, worldSize = count): Sender[] => Array.from({ length: count }, (_, rank) =>
  new Sender(originOf(rank.toString(16).repeat(32).slice(0, 32), rank, { worldSize, startedAt: 1000 })))

function joined(count: number, worldSize = count): [Desk, Sender[]] {
  const desk = new Desk()
  const list = senders(count, worldSize)
  for (const sender of list) desk.join(sender)
  return [desk, list]
}

/** `metric:first-last/by` of what was decided, metrics by id. */
const told = (notes: readonly NoteDraft[]): string[] => notes.flatMap(({ kind, body }) => {
  if (kind !== 'seal') return [kind]
  const { by, groups } = body as SealBody
  return groups.flatMap(({ metrics, steps }) => metrics.flatMap(([from, to]) =>
    steps.map(([start, stride, count]) => `${from}-${to}:${start}+${stride}x${count}/${by}`)))
})

describe('a row seals by progress', () => {
  test('when all live ranks are in it, and not before', () => {
    const [desk, [a, b]] = joined(2)
    desk.take(a!.log({ loss: 1 }, 0).log({ loss: 1 }, 1))
    desk.take(b!.log({ loss: 2 }, 0))
    expect(told(desk.decide())).toEqual(['0-0:0+1x1/progress'])
    desk.take(b!.log({ loss: 2 }, 1))
    expect(told(desk.decide())).toEqual(['0-0:1+1x1/progress'])
    expect(desk.decide()).toEqual([])
  })

  test('when a rank jumped past it', () => {
    const [desk, [a, b]] = joined(2)
    desk.take(a!.log({ loss: 1 }, 5))
    desk.take(b!.log({ loss: 2 }, 9))
    expect(told(desk.decide())).toEqual(['0-0:5+1x1/progress'])
  })

  test('when the ranks that are missing have ended', () => {
    const [desk, [a, b]] = joined(2)
    desk.take(a!.log({ loss: 1 }, 0).log({ loss: 1 }, 1))
    desk.take(b!.log({ loss: 2 }, 0))
    desk.decide()
    desk.end(b!)
    expect(told(desk.decide())).toEqual(['0-0:1+1x1/progress'])
  })

  test('not while a rank has declared a rewind below it', () => {
    const [desk, [a, b]] = joined(2)
    desk.take(a!.log({ loss: 1 }, 0).log({ loss: 1 }, 9))
    desk.take(b!.log({ loss: 2 }, 0).log({ loss: 2 }, 20).say(Kind.resume, { step: 5 }))
    expect(told(desk.decide())).toEqual(['0-0:0+1x1/progress'])
    desk.take(b!.log({ loss: 2 }, 9))
    expect(told(desk.decide())).toEqual(['0-0:9+1x1/progress'])
  })

  test('not by a record before the rewind that came in the same batch as it', () => {
    const [desk, [a, b]] = joined(2)
    desk.take(a!.log({ loss: 1 }, 7))
    desk.take(b!.log({ loss: 2 }, 10).say(Kind.resume, { step: 3 }).log({ loss: 2 }, 3))
    // Row 7 stays open: b went back and may log it again.
    expect(told(desk.decide())).toEqual(['0-0:3+1x1/progress'])
  })

  test('by itself for a metric that only rank 0 logs, once the others had their time', () => {
    const [desk, [a, b]] = joined(2)
    desk.take(a!.log({ lr: 1 }, 0))
    desk.take(b!.log({ loss: 1 }, 0))
    expect(desk.decide()).toEqual([])
    desk.now += SEAL_AFTER - 1
    expect(desk.decide()).toEqual([])
    desk.now += 1
    desk.take(a!.log({ lr: 1 }, 1))
    expect(told(desk.decide())).toContain('0-0:0+1x2/progress')
  })

  test('not earlier because a metric turned up in a layout of its own', () => {
    const [desk, [a]] = joined(2)
    desk.now += 5 * SEAL_AFTER
    desk.take(a!.log({ loss: 1, acc: 1 }, 0))
    desk.now += SEAL_AFTER / 2
    desk.take(a!.log({ acc: 1 }, 1))
    expect(desk.decide()).toEqual([])
    desk.now += SEAL_AFTER / 2
    expect(told(desk.decide())).toEqual(['0-0:0+1x1/progress', '1-1:0+1x2/progress'])
  })

  test('only when the whole world has joined, or had its time to', () => {
    const [desk, [a]] = joined(1, 2)
    desk.take(a!.log({ loss: 1 }, 0))
    expect(desk.decide()).toEqual([])
    desk.now += JOIN_TIMEOUT
    desk.take(a!.log({ loss: 1 }, 1))
    expect(told(desk.decide())).toEqual(['0-0:0+1x2/progress'])
  })

  test('apart for an epoch metric and an iteration metric', () => {
    const [desk, list] = joined(2)
    for (const sender of list) {
      for (let step = 0; step < 30; step++) sender.log({ loss: 1 }, step)
      desk.take(sender.log({ accuracy: 0.5 }, 0))
    }
    expect(told(desk.decide())).toEqual(['0-0:0+1x30/progress', '1-1:0+1x1/progress'])
  })

  test('also with a rank above the world size, and at step 2^53 - 1', () => {
    const desk = new Desk()
    const list = [0, 1, 7].map((rank) => new Sender(originOf(`${rank}`.repeat(32), rank, { worldSize: 2 })))
    for (const sender of list) desk.join(sender)
    for (const sender of list) desk.take(sender.log({ loss: 1 }, Number.MAX_SAFE_INTEGER))
    expect(told(desk.decide())).toEqual([`0-0:${Number.MAX_SAFE_INTEGER}+1x1/progress`])
    expect([...rows(desk.ledger)]).toMatchObject([{ step: Number.MAX_SAFE_INTEGER, count: 3, expected: 3 }])
  })
})

describe('a row seals by deadline', () => {
  function oneMissing(): [Desk, Sender, Sender] {
    const [desk, [a, b]] = joined(2)
    desk.take(a!.log({ loss: 1 }, 0))
    desk.take(b!.log({ loss: 1 }, 0))
    desk.decide()
    desk.take(a!.log({ loss: 1 }, 1))
    return [desk, a!, b!]
  }

  test('when its first value is old enough and a live rank is missing; what comes later amends it', () => {
    const [desk, , b] = oneMissing()
    desk.now += SEAL_AFTER - 1
    expect(desk.decide()).toEqual([])
    desk.now += 1
    expect(told(desk.decide())).toEqual(['0-0:1+1x1/deadline'])
    expect([...rows(desk.ledger)][1])
      .toMatchObject({ step: 1, count: 1, expected: 2, sealed: true, amended: false })
    desk.take(b.log({ loss: 3 }, 1))
    expect([...rows(desk.ledger)][1])
      .toMatchObject({ step: 1, count: 2, mean: 2, sealed: true, amended: true })
    expect(desk.decide()).toEqual([])
  })

  test('later while the agent of the missing rank reports points that are not here yet', () => {
    const [desk, , b] = oneMissing()
    b.log({ loss: 1 }, 1)
    desk.beat(b, true, 1)
    desk.now += SEAL_AFTER
    expect(desk.decide()).toEqual([])
    desk.now += SEAL_BACKLOG_MS - SEAL_AFTER
    expect(told(desk.decide())).toEqual(['0-0:1+1x1/deadline'])
  })

  test('in time when a backlog of bytes holds no point that is missing', () => {
    const [desk, , b] = oneMissing()
    desk.beat(b, true, 4096)
    desk.now += SEAL_AFTER
    expect(told(desk.decide())).toEqual(['0-0:1+1x1/deadline'])
  })

  test('counted from the restart after the aggregator was away: agents need time to resend', () => {
    const [desk, , b] = oneMissing()
    desk.now += 10 * SEAL_AFTER
    desk.restart()
    expect(desk.decide()).toEqual([])
    desk.take(b.log({ loss: 1 }, 1))
    expect(told(desk.decide())).toEqual(['0-0:1+1x1/progress'])
  })

  test('and the seal stands after a replay, late points being amendments', () => {
    const [desk, , b] = oneMissing()
    desk.now += SEAL_AFTER
    desk.decide()
    const before = [...rows(desk.ledger)]
    desk.restart()
    expect([...rows(desk.ledger)]).toEqual(before)
    desk.take(b.log({ loss: 3 }, 1))
    expect(desk.decide()).toEqual([])
    expect([...rows(desk.ledger)][1]).toMatchObject({ sealed: true, amended: true, count: 2 })
  })

  test('so that none waits for ever, whatever ranks log or leave out', () => {
    const [desk, list] = joined(3, 5)
    desk.take(list[0]!.log({ a: 1, b: 1 }, 3).log({ a: 1 }, 90).log({ only0: 1 }, 2))
    desk.take(list[1]!.log({ a: 1 }, 50).log({ b: 1 }, 1))
    desk.take(list[2]!.say(Kind.text, { line: 'logs nothing' }))
    list[2]!.log({ a: 1 }, 3)
    desk.decide()
    for (let waited = 0; waited <= SEAL_BACKLOG_MS; waited += 1000) {
      desk.beat(list[2]!, true, 1)
      desk.decide()
      desk.now += 1000
    }
    expect(desk.state.openRowsBytes()).toBe(0)
    expect([...rows(desk.ledger)].every(({ sealed }) => sealed)).toBe(true)
  })
})

describe('memory', () => {
  test('above its cap seals the oldest rows first, and frees them', () => {
    const desk = new Desk(undefined, 20_000)
    const [a, b] = senders(2) as [Sender, Sender]
    desk.join(a).join(b)
    desk.take(b.log({ loss: 1 }, 0))
    for (let step = 0; step < 200; step++) {
      desk.now += 10
      desk.take(a.log({ loss: 1 }, step))
      desk.decide()
    }
    expect(desk.state.openRowsBytes()).toBeLessThan(20_500)
    const list = [...rows(desk.ledger)]
    const open = list.filter(({ sealed }) => !sealed)
    expect(open.length).toBeGreaterThan(10)
    expect(Math.min(...open.map(({ step }) => step))).toBe(200 - open.length)
  })

  test('is given back when rows seal', () => {
    const [desk, list] = joined(2)
    for (const sender of list) {
      for (let step = 0; step < 500; step++) sender.log({ loss: 1, acc: 1 }, step)
      desk.take(sender)
    }
    expect(desk.state.openRowsBytes()).toBeGreaterThan(10_000)
    desk.decide()
    expect(desk.state.openRowsBytes()).toBe(0)
  })
})

describe('a seal note', () => {
  test('is one line for 10,000 metrics and many steps', () => {
    const [desk, [a]] = joined(1)
    const names = Array.from({ length: 10_000 }, (_, i) => `m${i}`)
    const values = Object.fromEntries(names.map((name) => [name, 1]))
    for (let step = 0; step < 3; step++) a!.log(values, 10 * step)
    desk.take(a!)
    const notes = desk.decide()
    expect(told(notes)).toEqual(['0-9999:0+10x3/progress'])
    expect(JSON.stringify(notes[0]!.body).length).toBeLessThan(100)
  })

  test('closes a metric that is logged in two layouts only once, and keeps the others open', () => {
    const [desk, [a, b]] = joined(2)
    desk.take(a!.log({ loss: 1, lr: 0.1 }, 0).log({ loss: 1 }, 1))
    desk.take(b!.log({ loss: 3 }, 0))
    expect(told(desk.decide())).toEqual(['0-0:0+1x1/progress'])
    const [loss, , lr] = [...rows(desk.ledger)]
    expect([loss, lr]).toMatchObject([
      { metric: 'loss', mean: 2, sealed: true }, { metric: 'lr', value: 0.1, sealed: false },
    ])
  })
})
