import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { UplinkCore, type UplinkEffect, type UplinkEvent } from '../../lib/agent/core-uplink.ts'
import {
  ACK_STALL_MS, CLOCK_ASK_MS, CLOCK_ASK_PAUSE_MS, CLOCK_TRIP_MS, CONNECT_MS, PEER_SILENT_MS, RECONNECT_MS_MAX,
  RECONNECT_MS_MIN, REFUSED_RETRY_MS, REWIND_PAUSE_MS,
} from '../../lib/limits.ts'
import type { Welcome } from '../../lib/wire/index.ts'
import { Sim } from './sim-head.ts'

const A = 'a'.repeat(32)
const B = 'b'.repeat(32)

interface Faults { cuts: boolean; restarts: boolean; fresh: boolean; again: boolean }

function run(seed: number, faults: Faults): Sim {
  const sim = new Sim(seed)
  sim.start('rank0-life1', 0)
  sim.start('rank1-life1', 1)
  let lives = 1
  for (let step = 0; step < 400; step++) {
    const owners = [...sim.owners.entries()].filter(([, owner]) => owner.alive)
    const choice = sim.pick(100)
    if (choice < 30) for (const [, owner] of owners) owner.written += sim.pick(5)
    else if (choice < 50) sim.pump()
    else if (choice < 65) sim.arriveUp()
    else if (choice < 80) sim.arriveDown()
    else if (choice < 88) sim.head.commit()
    else if (choice < 94) sim.tick(sim.pick(300))
    else if (choice < 95 && faults.cuts) sim.cut()
    else if (choice < 96 && faults.restarts) sim.restartHead(false)
    else if (choice < 97 && faults.fresh) sim.restartHead(true)
    else if (choice < 98 && faults.again) sim.arriveUp(true)
    else if (choice < 99 && lives < 4) {
      // A launcher's restart: the old life of a rank is dead before the new one is there.
      const [instance, owner] = owners[sim.pick(owners.length)]!
      sim.die(instance)
      sim.start(`rank${owner.rank}-life${++lives}`, owner.rank)
    }
  }
  sim.settle()
  return sim
}

describe('uplink core against a head', () => {
  test('everything arrives once and in order, through loss, repetition, late frames and restarts', () => {
    fc.assert(fc.property(fc.nat(), (seed) => {
      const sim = run(seed, { cuts: true, restarts: true, fresh: false, again: true })
      for (const [instance, owner] of sim.owners) {
        const book = sim.head.books.get(instance)!
        expect(book.seqs).toEqual(Array.from({ length: owner.written }, (_, i) => i + 1))
        expect(book.ended).toBe(true)
      }
      expect(sim.head.conflicts).toEqual([])
    }), { numRuns: 300 })
  })

  test('a new ledger gets everything that no ledger acknowledged, once and in order', () => {
    fc.assert(fc.property(fc.nat(), (seed) => {
      const sim = run(seed, { cuts: true, restarts: true, fresh: true, again: true })
      for (const [instance, owner] of sim.owners) {
        const book = sim.head.books.get(instance)
        if (!book) continue // its END was durable in an earlier ledger
        const first = book.seqs[0] ?? owner.written + 1
        expect(book.seqs).toEqual(Array.from({ length: owner.written - first + 1 }, (_, i) => first + i))
      }
      expect(sim.head.conflicts).toEqual([])
    }), { numRuns: 200 })
  })

  test('without faults nothing is sent twice and one connection is enough', () => {
    fc.assert(fc.property(fc.nat(), (seed) => {
      const sim = run(seed, { cuts: false, restarts: false, fresh: false, again: false })
      expect(sim.says.filter((effect) => effect.do === 'lost')).toEqual([])
      expect(sim.connects).toBe(1)
    }), { numRuns: 100 })
  })
})

function welcome(instances: Welcome['instances'], over: Partial<Welcome> = {}): Welcome {
  return {
    run: 'r', ledger: 'L', term: 1, key: null, dir: '/r', sentAt: 0, now: 0, credit: 1000, instances, ...over,
  }
}

const answer = (body: Welcome, term = 1, trip = 0): UplinkEvent => ({ type: 'welcome', term, trip, body })

/** A core that is connected, with A open at seq 1. */
function live(): UplinkCore {
  const core = new UplinkCore(() => 0)
  core.handle({ type: 'found', instance: A, rank: 0, startedAt: 1, dead: false }, 0)
  core.handle({ type: 'head', at: 'here' }, 0)
  core.handle({ type: 'up', far: false }, 0)
  core.handle(answer(welcome([{ instance: A, acked: 0, accepted: true }])), 0)
  return core
}

/** A core that asks a far head for its clock since 0. */
function asking(): UplinkCore {
  const core = new UplinkCore(() => 0)
  core.handle({ type: 'found', instance: A, rank: 0, startedAt: 1, dead: false }, 0)
  core.handle({ type: 'head', at: 'there' }, 0)
  expect(core.handle({ type: 'up', far: true }, 0)).toEqual([{ do: 'hello', instances: [] }])
  return core
}

const kinds = (effects: UplinkEffect[]): string[] => effects.map((effect) => effect.do)

describe('uplink core', () => {
  test('connects only when there is a head and somebody to announce', () => {
    const core = new UplinkCore(() => 0)
    expect(core.handle({ type: 'head', at: 'here' }, 0)).toEqual([])
    expect(kinds(core.handle({ type: 'found', instance: A, rank: 0, startedAt: 1, dead: false }, 0)))
      .toEqual(['connect'])
    expect(kinds(core.handle({ type: 'up', far: false }, 0))).toEqual(['hello'])
  })

  test('asks a far head for its clock before it announces anybody', () => {
    const core = new UplinkCore(() => 0)
    core.handle({ type: 'head', at: 'there' }, 0)
    core.handle({ type: 'found', instance: A, rank: 0, startedAt: 1, dead: false }, 0)
    expect(core.handle({ type: 'up', far: true }, 1)).toEqual([{ do: 'hello', instances: [] }])
    expect(core.handle({ type: 'found', instance: B, rank: 1, startedAt: 1, dead: false }, 2)).toEqual([])
    const after = core.handle(answer(welcome([])), 3)
    const both = [{ instance: A, ledger: null }, { instance: B, ledger: null }]
    expect(after).toEqual([expect.objectContaining({ do: 'welcomed' }), { do: 'hello', instances: both }])
  })

  test('asks a slow far head again until an answer is quick, or for so long', () => {
    const hello = { do: 'hello', instances: [] }
    const slow = answer(welcome([]), 1, CLOCK_TRIP_MS + 1)
    const core = asking()
    expect(core.handle({ type: 'tick' }, CLOCK_ASK_PAUSE_MS)).toEqual([hello])
    expect(core.handle({ type: 'tick' }, CLOCK_ASK_PAUSE_MS + 1)).toEqual([])
    expect(core.handle(slow, CLOCK_ASK_PAUSE_MS + 2)).toEqual([])
    expect(core.handle({ type: 'tick' }, 2 * CLOCK_ASK_PAUSE_MS)).toEqual([hello])
    expect(kinds(core.handle(answer(welcome([]), 1, CLOCK_TRIP_MS), 1000))).toEqual(['welcomed', 'hello'])
    expect(core.live).toBe(true)

    const patient = asking()
    expect(patient.handle(slow, 1000)).toEqual([])
    expect(kinds(patient.handle({ type: 'tick' }, CLOCK_ASK_MS - 1))).toEqual(['hello'])
    // None of the later ones is answered: the first has to do.
    expect(kinds(patient.handle({ type: 'tick' }, CLOCK_ASK_MS))).toEqual(['welcomed', 'hello'])

    const late = asking()
    expect(late.handle({ type: 'tick' }, CLOCK_ASK_MS)).toEqual([])
    expect(kinds(late.handle(slow, CLOCK_ASK_MS + 1))).toEqual(['welcomed', 'hello'])
  })

  test('is content with any answer where all are known to a ledger, and with none of a lower term', () => {
    const core = live()
    core.handle({ type: 'down', why: 'cut' }, 0)
    core.handle({ type: 'head', at: 'there' }, 1)
    core.handle({ type: 'up', far: true }, 1)
    expect(core.handle({ type: 'tick' }, 1 + CLOCK_ASK_PAUSE_MS)).toEqual([])
    expect(kinds(core.handle(answer(welcome([]), 1, 4000), 1000))).toEqual(['welcomed', 'hello'])

    core.handle({ type: 'found', instance: B, rank: 1, startedAt: 2, dead: false }, 1000)
    core.handle({ type: 'down', why: 'cut' }, 1000)
    core.handle({ type: 'head', at: 'old' }, 1001)
    core.handle({ type: 'up', far: true }, 1001)
    core.handle(answer(welcome([]), 0, 4000), 1002)
    expect(kinds(core.handle({ type: 'tick' }, 1001 + CLOCK_ASK_MS))).toEqual(['close', 'lost'])
  })

  test('gives up a connection that does not stand', () => {
    const core = new UplinkCore(() => 0)
    core.handle({ type: 'found', instance: A, rank: 0, startedAt: 1, dead: false }, 0)
    expect(kinds(core.handle({ type: 'head', at: 'here' }, 0))).toEqual(['connect'])
    expect(core.handle({ type: 'tick' }, CONNECT_MS)).toEqual([])
    expect(kinds(core.handle({ type: 'tick' }, CONNECT_MS + 1))).toEqual(['close', 'lost'])
  })

  test('silence, and only silence, ends a connection', () => {
    const core = live()
    core.handle({ type: 'beat', term: 1 }, 1000)
    expect(core.handle({ type: 'tick' }, 1000 + PEER_SILENT_MS)).toEqual([])
    expect(kinds(core.handle({ type: 'tick' }, 1001 + PEER_SILENT_MS))).toEqual(['close', 'lost'])
  })

  test('a head that beats but never acknowledges is left after a while', () => {
    const core = live()
    core.handle({ type: 'sent', instance: A, first: 1, last: 2, bytes: 10 }, 0)
    for (let now = 0; now <= ACK_STALL_MS; now += 1000) {
      expect(core.handle({ type: 'beat', term: 1 }, now)).toEqual([])
      expect(core.handle({ type: 'tick' }, now)).toEqual([])
    }
    expect(kinds(core.handle({ type: 'tick' }, ACK_STALL_MS + 1))).toEqual(['close', 'lost'])
  })

  test('pauses between attempts grow, are spread and bounded; a head that moved is tried at once', () => {
    const core = new UplinkCore(() => 0.999)
    core.handle({ type: 'found', instance: A, rank: 0, startedAt: 1, dead: false }, 0)
    let now = 0
    const pauses: number[] = []
    for (let i = 0; i < 10; i++) {
      let from = now
      while (!kinds(core.handle({ type: 'head', at: 'here' }, now)).includes('connect')) now++
      pauses.push(now - from)
      from = now
      core.handle({ type: 'down', why: 'refused' }, now)
    }
    expect(pauses.slice(1, 4)).toEqual([...pauses.slice(1, 4)].sort((x, y) => x - y))
    expect(Math.min(...pauses.slice(1))).toBeGreaterThanOrEqual(RECONNECT_MS_MIN)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(RECONNECT_MS_MAX)
    expect(kinds(core.handle({ type: 'head', at: 'elsewhere' }, now))).toContain('connect')
  })

  test('credit bounds what is in flight, but one unit of any size may always go', () => {
    const core = live()
    expect(core.mayFly(1_000_000)).toBe(true)
    core.handle({ type: 'sent', instance: A, first: 1, last: 1, bytes: 900 }, 0)
    expect(core.mayFly(100)).toBe(true)
    expect(core.mayFly(101)).toBe(false)
    core.handle({ type: 'ack', term: 1, body: { instance: A, seq: 1 } }, 1)
    expect(core.mayFly(1000)).toBe(true)
  })

  test('a repeated acknowledgement sends again what follows it, but not in a loop', () => {
    const core = live()
    core.handle({ type: 'sent', instance: A, first: 1, last: 5, bytes: 10 }, 1000)
    core.handle({ type: 'sent', instance: A, first: 6, last: 9, bytes: 10 }, 1000)
    core.handle({ type: 'ack', term: 1, body: { instance: A, seq: 5 } }, 1001)
    expect(core.handle({ type: 'ack', term: 1, body: { instance: A, seq: 5 } }, 1002))
      .toEqual([{ do: 'rewind', instance: A, seq: 6 }])
    core.handle({ type: 'sent', instance: A, first: 6, last: 9, bytes: 10 }, 1003)
    expect(core.handle({ type: 'ack', term: 1, body: { instance: A, seq: 5 } }, 1004)).toEqual([])
    const later = 1002 + REWIND_PAUSE_MS
    expect(kinds(core.handle({ type: 'ack', term: 1, body: { instance: A, seq: 5 } }, later)))
      .toEqual(['rewind'])
  })

  test('END follows the last record, again after a reconnect; only its acknowledgement ends the line', () => {
    const core = live()
    expect(core.handle({ type: 'complete', instance: A, last: 3 }, 0)).toEqual([])
    expect(core.handle({ type: 'sent', instance: A, first: 1, last: 3, bytes: 10 }, 0))
      .toEqual([{ do: 'end', instance: A }])
    expect(kinds(core.handle({ type: 'ack', term: 1, body: { instance: A, seq: 3 } }, 1))).toEqual(['acked'])
    core.handle({ type: 'down', why: 'cut' }, 2)
    core.handle({ type: 'head', at: 'here' }, 1000)
    core.handle({ type: 'up', far: false }, 1000)
    const back = core.handle(answer(welcome([{ instance: A, acked: 3, accepted: true }])), 1001)
    expect(kinds(back)).toEqual(['welcomed', 'acked', 'rewind', 'end'])
    expect(kinds(core.handle({ type: 'ack', term: 1, body: { instance: A, seq: 3, ended: true } }, 1002)))
      .toEqual(['acked', 'done'])
    expect(core.stateOf(A)).toBe('gone')
  })

  test('a younger life of a rank waits for a dead older one; a rival of a live one does not', () => {
    const core = live()
    core.handle({ type: 'dead', instance: A }, 0)
    expect(core.handle({ type: 'found', instance: B, rank: 0, startedAt: 2, dead: false }, 0)).toEqual([])
    core.handle({ type: 'complete', instance: A, last: 0 }, 0)
    expect(kinds(core.handle({ type: 'ack', term: 1, body: { instance: A, seq: 0, ended: true } }, 0)))
      .toEqual(['acked', 'done', 'hello'])

    const rival = live().handle({ type: 'found', instance: B, rank: 0, startedAt: 2, dead: false }, 0)
    expect(kinds(rival)).toEqual(['hello'])
  })

  test('a head of a lower term is left, and its frames count for nothing', () => {
    const core = new UplinkCore(() => 0)
    core.handle({ type: 'found', instance: A, rank: 0, startedAt: 1, dead: false }, 0)
    core.handle({ type: 'head', at: 'new' }, 0)
    core.handle({ type: 'up', far: false }, 0)
    core.handle(answer(welcome([{ instance: A, acked: 0, accepted: true }]), 5), 0)
    core.handle({ type: 'sent', instance: A, first: 1, last: 1, bytes: 1 }, 0)
    expect(core.handle({ type: 'ack', term: 4, body: { instance: A, seq: 1 } }, 0)).toEqual([])
    core.handle({ type: 'down', why: 'cut' }, 0)
    core.handle({ type: 'head', at: 'old' }, 0)
    core.handle({ type: 'up', far: false }, 0)
    const body = welcome([{ instance: A, acked: 0, accepted: true }])
    expect(kinds(core.handle(answer(body, 4), 0))).toEqual(['close', 'lost'])
  })

  test('a refusal is told once per answer and asked again rarely; a head that moved is asked at once', () => {
    const core = new UplinkCore(() => 0)
    core.handle({ type: 'found', instance: A, rank: 0, startedAt: 1, dead: false }, 0)
    core.handle({ type: 'head', at: 'here' }, 0)
    core.handle({ type: 'up', far: false }, 0)
    const told = core.handle({ type: 'refuse', body: { code: 'X', message: 'no', remedy: 'sync' } }, 0)
    expect(kinds(told)).toEqual(['close', 'lost', 'refused'])
    expect(core.refused).toBe(true)
    expect(core.handle({ type: 'head', at: 'here' }, REFUSED_RETRY_MS - 1)).toEqual([])
    expect(kinds(core.handle({ type: 'head', at: 'here' }, REFUSED_RETRY_MS))).toEqual(['connect'])
    core.handle({ type: 'up', far: false }, REFUSED_RETRY_MS)
    core.handle({ type: 'refuse', body: { code: 'X', message: 'no', remedy: 'sync' } }, REFUSED_RETRY_MS)
    const moved = core.handle({ type: 'head', at: 'moved' }, REFUSED_RETRY_MS + 1)
    expect(kinds(moved)).toEqual(['connect'])
  })

  test('a frame refused amid a good connection means a new connection, after pauses that grow', () => {
    const core = live()
    const effects = core.handle({ type: 'refuse', body: { code: 'DAMAGED', message: 'crc', remedy: '' } }, 0)
    expect(kinds(effects)).toEqual(['close', 'lost'])
    expect(core.refused).toBe(false)
    expect(kinds(core.handle({ type: 'head', at: 'here' }, RECONNECT_MS_MIN))).toEqual(['connect'])
  })

  test('a refused instance is kept back, the others go on', () => {
    const core = live()
    core.handle({ type: 'found', instance: B, rank: 1, startedAt: 2, dead: false }, 0)
    const body = welcome([{ instance: B, acked: 0, accepted: false, why: 'draining' }])
    const told = expect.objectContaining({ do: 'refused', instance: B, message: 'draining' })
    expect(core.handle(answer(body), 0)).toContainEqual(told)
    expect(core.turns()).toEqual([A])
  })
})
