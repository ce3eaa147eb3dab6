import { expect, test } from 'vitest'
import { drainFacts } from '../../lib/aggregator/core-facts.ts'
import { Desk } from './desk.ts'
import { originOf, Sender } from './sender.ts'

test('a rank whose node fell silent is waited for as long as is allowed, and no longer', () => {
  const desk = new Desk()
  const worker = new Sender(originOf('a'.repeat(32), 0, { worldSize: 1 }))
  desk.join(worker)
  const { joinedAt } = desk.state.members()[0]!
  expect(drainFacts(desk.state, joinedAt)).toBeNull()
  expect(drainFacts(desk.state, joinedAt + 1)).not.toBeNull()
  const beat = { instance: worker.instance, alive: true, logged: 0, lost: 0, backlog: 0 }
  desk.state.heard([beat], joinedAt + 1000)
  expect(drainFacts(desk.state, joinedAt + 1000)).toBeNull()
  expect(drainFacts(desk.state, joinedAt + 1001)).not.toBeNull()
})
