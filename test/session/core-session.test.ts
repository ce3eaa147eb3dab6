import { describe, expect, it } from 'vitest'
import { JOIN_TIMEOUT_MS, RUN_LINGER_MS } from '../../lib/limits.ts'
import { mayDrain, type DrainFacts } from '../../lib/session/core-session.ts'

const facts = (over: Partial<DrainFacts>): DrainFacts => ({
  now: RUN_LINGER_MS, openedAt: 0, worldSize: 4, joinedRanks: 4, firstJoinAt: 0,
  lastChangeAt: 0, supervisors: 1, supervisorsExpected: 1, commandsOver: true,
  supervised: true, wide: false, ...over,
})

describe('mayDrain', () => {
  it('waits for nobody on one node once its supervisor has ended', () => {
    expect(mayDrain(facts({ joinedRanks: 1 }))).toBe(true)
    expect(mayDrain(facts({ now: RUN_LINGER_MS - 1 }))).toBe(false)
  })

  it('waits for ranks that start yet when their supervisor was killed, but not for ever', () => {
    const killed = { commandsOver: false, joinedRanks: 0, worldSize: 0 }
    expect(mayDrain(facts(killed))).toBe(false)
    expect(mayDrain(facts({ ...killed, now: JOIN_TIMEOUT_MS }))).toBe(true)
    expect(mayDrain(facts({ commandsOver: false, joinedRanks: 3 }))).toBe(false)
    expect(mayDrain(facts({ commandsOver: false }))).toBe(true)
    expect(mayDrain(facts({ ...killed, closing: true, helloAt: 0 }))).toBe(true)
  })

  it('waits for ranks of other nodes, which may come late, but not for ever', () => {
    expect(mayDrain(facts({ wide: true }))).toBe(true)
    expect(mayDrain(facts({ wide: true, joinedRanks: 2 }))).toBe(false)
    expect(mayDrain(facts({ wide: true, joinedRanks: 2, now: JOIN_TIMEOUT_MS }))).toBe(true)
  })

  it('waits for all supervisors of the job', () => {
    expect(mayDrain(facts({ wide: true, supervisorsExpected: 2 }))).toBe(false)
    expect(mayDrain(facts({ wide: true, supervisorsExpected: 2, now: JOIN_TIMEOUT_MS }))).toBe(true)
  })
})
