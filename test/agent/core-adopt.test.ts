import { expect, test } from 'vitest'
import { Adoption, type AdoptLook } from '../../lib/agent/core-adopt.ts'
import { ADOPT_AFTER_MS, ADOPT_SPREAD_MS } from '../../lib/limits.ts'

const RUN = 'run'
const ELSEWHERE = { run: RUN, here: false }
const HERE = { run: RUN, here: true }
const look = (over: Partial<AdoptLook>): AdoptLook =>
  ({ now: 0, run: RUN, head: ELSEWHERE, ours: false, lock: 'held', live: true, ...over })
const LATE = ADOPT_AFTER_MS + ADOPT_SPREAD_MS

/** One that has seen the lock held across nodes, and lost the head at 0. */
function orphan(random = 0): Adoption {
  const adoption = new Adoption(() => random)
  adoption.look(look({ now: -1 }))
  adoption.look(look({ live: false }))
  return adoption
}

test('a silent head whose lock is free is followed after the bound', () => {
  const adoption = orphan()
  const free = { lock: 'free', live: false } as const
  expect(adoption.look(look({ ...free, now: ADOPT_AFTER_MS - 1 }))).toBe(false)
  expect(adoption.look(look({ ...free, now: ADOPT_AFTER_MS }))).toBe(true)
})

test('of many nodes one comes first', () => {
  const free = { lock: 'free', live: false, now: ADOPT_AFTER_MS } as const
  expect(orphan(0.5).look(look(free))).toBe(false)
  expect(orphan(0.5).look(look({ ...free, now: LATE }))).toBe(true)
})

test('one that holds its lock is not followed, however long it is silent', () => {
  const adoption = orphan()
  for (let now = 0; now < 100 * LATE; now += 1000) {
    expect(adoption.look(look({ now, live: false }))).toBe(false)
  }
})

test('one that spoke again is waited for anew', () => {
  const adoption = orphan()
  adoption.look(look({ now: LATE - 1, live: true }))
  expect(adoption.look(look({ now: LATE, lock: 'free', live: false }))).toBe(false)
  expect(adoption.look(look({ now: 3 * LATE, lock: 'free', live: false }))).toBe(true)
})

test('a lock that was never seen held from here proves nothing when it is free', () => {
  const adoption = new Adoption(() => 0)
  for (const lock of ['free', 'unknown'] as const) adoption.look(look({ lock }))
  for (const lock of ['free', 'unknown'] as const) {
    for (let now = 0; now < 10 * LATE; now += 1000) {
      expect(adoption.look(look({ now, lock, live: false }))).toBe(false)
    }
  }
})

test('a lock of this node proves nothing of others', () => {
  const adoption = new Adoption(() => 0)
  adoption.look(look({ head: HERE }))
  adoption.look(look({ live: false, now: 1, lock: 'free' }))
  expect(adoption.look(look({ live: false, now: LATE, lock: 'free' }))).toBe(false)
})

test('another run, or one that ended and took its endpoint away, is left alone', () => {
  for (const head of [null, { run: 'other', here: false }]) {
    const adoption = orphan()
    expect(adoption.look(look({ now: LATE, head, lock: 'free', live: false }))).toBe(false)
  }
  expect(orphan().look(look({ now: LATE, run: null, lock: 'free', live: false }))).toBe(false)
})

test('what this node took over is started again at once when it dies here, also by a younger agent', () => {
  const dead = { head: HERE, lock: 'free', live: false } as const
  for (const adoption of [orphan(), new Adoption(() => 0)]) {
    expect(adoption.look(look({ ...dead, now: 1 }))).toBe(false)
    expect(adoption.look(look({ ...dead, now: 2, ours: true }))).toBe(true)
    expect(adoption.look(look({ ...dead, now: 3, ours: true, lock: 'held' }))).toBe(false)
  }
})
