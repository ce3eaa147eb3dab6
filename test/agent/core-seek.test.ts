import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ClockOffset, Trips } from '../../lib/agent/core-clock.ts'
import { Rotation, targetsOf, type SeekFacts, type Target } from '../../lib/agent/core-seek.ts'
import { Signpost, signpostPorts } from '../../lib/agent/core-signpost.ts'
import { SIGNPOST_FRESH_MS, TRIPS_MAX } from '../../lib/limits.ts'
import type { Endpoint } from '../../lib/record/run-status.ts'

const endpoint = (hostname: string, over: Partial<Endpoint> = {}): Endpoint => ({
  run: 'r', dir: '/d/r', meeting: 'm', host: '127.0.0.1', hostname, port: 1, pid: 7, procStart: 8, term: 1,
  ledger: 'l', key: 'k', state: 'live', ...over,
})
const WIDE = { port: 9, addresses: ['10.0.0.1', 'fd00::1'], secretFile: '/d/r/secret' }
const facts = (over: Partial<SeekFacts>): SeekFacts =>
  ({ node: 'here', meeting: null, shared: null, secretFile: null, head: null, places: [], ...over })
const shown = (over: Partial<SeekFacts>): string[] =>
  targetsOf(facts(over)).map(({ host, port, secretFile }) => `${host} ${port} ${secretFile ?? 'meeting'}`)

describe('targets', () => {
  it('have the secret of the meeting on our node, the run secret elsewhere, each once, local first', () => {
    expect(shown({ meeting: endpoint('here') })).toEqual(['127.0.0.1 1 meeting'])
    expect(shown({ meeting: endpoint('there') })).toEqual([])
    const shared = endpoint('there', { wide: WIDE })
    const both = ['10.0.0.1 9 /d/r/secret', 'fd00::1 9 /d/r/secret']
    expect(shown({ shared, meeting: shared })).toEqual(both)
    expect(shown({ shared: endpoint('here', { wide: WIDE }), meeting: endpoint('here') }))
      .toEqual(['127.0.0.1 1 meeting'])
    expect(shown({ shared, secretFile: '/own' })).toEqual(['10.0.0.1 9 /own', 'fd00::1 9 /own'])
  })

  it('of RANKZERO_HEAD and signposts need a secret of our own', () => {
    const head = { host: 'h', port: 5, addresses: ['10.0.0.5'] }
    const places = [{ hosts: ['10.0.0.6'], port: 6 }]
    expect(shown({ head, places })).toEqual([])
    expect(shown({ head, places, secretFile: '/own' })).toEqual(['10.0.0.5 5 /own', '10.0.0.6 6 /own'])
    expect(shown({ head: { ...head, port: null }, secretFile: '/own' })).toEqual([])
  })

  it('change with the process behind them, so that a restarted head is new', () => {
    const mark = (over: Partial<Endpoint>): string =>
      targetsOf(facts({ meeting: endpoint('here', over) }))[0]!.mark
    expect(new Set([mark({}), mark({ pid: 9 }), mark({ procStart: 9 }), mark({ term: 2 })]).size).toBe(4)
  })
})

describe('the rotation', () => {
  const targets = (n: number): Target[] => Array.from({ length: n }, (_, i) =>
    ({ host: `h${i}`, port: 1, secretFile: null, mark: `h${i}` }))

  it('tries every target before any a second time, and keeps the one that welcomed', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 6 }), fc.nat(5), (n, good) => {
      const list = targets(n)
      const rotation = new Rotation()
      const tried: string[] = []
      for (let i = 0; i < n; i++) {
        const next = rotation.next(list)!
        tried.push(next.mark)
        rotation.failed(next)
      }
      expect(new Set(tried).size).toBe(n)
      const won = list[good % n]!
      rotation.won(won)
      expect(rotation.next(list)).toEqual(won)
      rotation.failed(won)
      if (n > 1) expect(rotation.next(list)).not.toEqual(won)
    }))
  })

  it('has none when there is none, and takes a new one at once', () => {
    const rotation = new Rotation()
    expect(rotation.next([])).toBeNull()
    const [a, b] = targets(2) as [Target, Target]
    rotation.failed(rotation.next([a])!)
    expect(rotation.next([a, b])).toEqual(b)
    rotation.won(a)
    expect(rotation.next([b])).toEqual(b)
  })
})

describe('the signpost', () => {
  const M = 'ab'.repeat(16)
  const PLACE = { hosts: ['10.0.0.9', 'fd00::9'], port: 4000 }
  const redirect = (meeting = M) => ({ host: '10.0.0.9', port: 4000, hosts: PLACE.hosts, meeting })

  it('has three ports of its own, the same for everybody, below the ephemeral ones', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const ports = signpostPorts(Buffer.from(bytes).toString('hex'))
      expect(ports).toEqual([ports[0], ports[0]! + 1, ports[0]! + 2])
      expect(ports[0]).toBeGreaterThanOrEqual(23_000)
      expect(ports[2]).toBeLessThan(29_000)
    }))
    expect(signpostPorts('00000001'.padEnd(32, '0'))).toEqual([23_003, 23_004, 23_005])
  })

  it('leads to what it was told, as long as that is fresh, and to a head of its own node first', () => {
    const post = new Signpost(M)
    expect(post.hello(M, null, 0)).toMatchObject({ type: 'REFUSE', body: { code: 'NO_HEAD' } })
    expect(post.announced(redirect(), 2, 0)).toEqual({ type: 'REDIRECT', body: redirect() })
    expect(post.hello(M, null, SIGNPOST_FRESH_MS)).toEqual({ type: 'REDIRECT', body: redirect() })
    expect(post.hello(M, { hosts: ['h'], port: 1 }, 0)).toMatchObject({ type: 'REDIRECT', body: { port: 1 } })
    expect(post.hello(M, null, SIGNPOST_FRESH_MS + 1)).toMatchObject({ type: 'REFUSE' })
  })

  it('believes the head of the higher term', () => {
    const post = new Signpost(M)
    post.announced(redirect(), 2, 0)
    post.announced({ ...redirect(), port: 1 }, 1, 1)
    expect(post.told(1)).toEqual(PLACE)
    post.announced({ ...redirect(), port: 3 }, 3, 2)
    expect(post.told(2)?.port).toBe(3)
    expect(post.announced({ host: 'h', port: 1 }, 9, 2)).toMatchObject({ type: 'REFUSE' })
  })

  it('tells another meeting nothing', () => {
    const post = new Signpost(M)
    post.announced(redirect(), 1, 0)
    const other = 'cd'.repeat(16)
    expect(post.hello(other, PLACE, 0)).toMatchObject({ type: 'REFUSE', body: { code: 'PROTOCOL' } })
    const refused = { type: 'REFUSE', body: { code: 'PROTOCOL' } }
    expect(post.announced(redirect(other), 9, 0)).toMatchObject(refused)
    expect(post.told(0)).toEqual(PLACE)
  })
})

describe('the clock offset', () => {
  it('is within half the shortest round trip of the truth, whatever the delays', () => {
    const delay = fc.integer({ min: 0, max: 500 })
    const delays = fc.array(fc.tuple(delay, delay), { minLength: 1 })
    fc.assert(fc.property(fc.integer(), delays, (offset, trips) => {
      const clock = new ClockOffset()
      let at = 1000
      for (const [there, back] of trips) {
        clock.sample(at, at + there + offset, there + back)
        at += 1000
      }
      const shortest = Math.min(...trips.map(([there, back]) => there + back))
      expect(clock.value!.blur).toBe(shortest / 2)
      expect(Math.abs(clock.value!.offset - offset)).toBeLessThanOrEqual(shortest / 2)
    }))
  })

  it('is not known at first, nor for another head', () => {
    const clock = new ClockOffset()
    expect(clock.value).toBeNull()
    clock.sample(0, 5, 10)
    expect(clock.value).toEqual({ offset: 0, blur: 5 })
    clock.reset()
    expect(clock.value).toBeNull()
  })
})

describe('round trips', () => {
  it('are those of questions that were asked, once each, however the wall clock is set', () => {
    const trips = new Trips()
    expect(trips.answer(1000, 5)).toBeNull()
    expect([trips.ask(1000, 10), trips.ask(1000, 20), trips.ask(0, 30)]).toEqual([1000, 1001, 0])
    expect([1001, 1000, 1000, 0].map((sentAt) => trips.answer(sentAt, 50))).toEqual([30, 40, null, 20])
    trips.ask(7, 60)
    trips.clear()
    expect(trips.answer(7, 61)).toBeNull()
  })

  it('of too many that nobody answers are forgotten, the oldest first', () => {
    const trips = new Trips()
    for (let at = 0; at <= TRIPS_MAX; at++) trips.ask(at, at)
    expect([0, 1].map((sentAt) => trips.answer(sentAt, TRIPS_MAX))).toEqual([null, TRIPS_MAX - 1])
  })
})
