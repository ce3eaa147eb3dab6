import { beforeEach, expect, test } from 'vitest'
import { endFacts } from '../../lib/aggregator/core-facts.ts'
import { lostMembers, silentMembers } from '../../lib/aggregator/core-lost.ts'
import { NODE_LOST_MS } from '../../lib/limits.ts'
import type { NoteDraft } from '../../lib/aggregator/core-types.ts'
import { finalStatus } from '../../lib/session/core-status.ts'
import { Desk } from './desk.ts'
import { originOf, Sender } from './sender.ts'

let desk: Desk
let gone: Sender
let here: Sender
/** The aggregator on `h0` is followed by one on `h1` at `desk.now`. */
beforeEach(() => {
  desk = new Desk()
  const on = (node: string, rank: number): Sender =>
    new Sender(originOf(String(rank + 1).repeat(32), rank, { worldSize: 2, node, bootId: node }))
  gone = on('h0', 0)
  here = on('h1', 1)
  desk.note('term', { term: 1, host: 'h0' }).join(gone).join(here)
  desk.take(gone.log({ loss: 1 }, 1)).take(here.log({ loss: 1 }, 1))
  desk.now += 1000
  desk.restart().note('term', { term: 2, host: 'h1' })
})

const lost = (after: number, closing = false): NoteDraft[] =>
  lostMembers(desk.state, { now: desk.now + after, since: desk.now, host: 'h1', closing })
const ofWhom = (notes: NoteDraft[]): unknown[] =>
  notes.map(({ body }) => (body as { instance: string }).instance)

test('ranks of the lost head\'s node end as estimated, after a time', () => {
  expect(lost(NODE_LOST_MS - 1)).toEqual([])
  const notes = lost(NODE_LOST_MS)
  expect(notes).toMatchObject([{ kind: 'ended', body: {
    instance: gone.instance, seq: gone.seq, logged: 1, estimated: true, departure: { cause: 'node-lost' },
  } }])
  desk.commit(notes)
  expect(lost(NODE_LOST_MS)).toEqual([])
  expect(desk.state.books()[0]).toMatchObject({ logged: 1, admitted: 1, pending: 0, estimated: true })
  desk.end(here)
  expect(finalStatus(endFacts(desk.state))).toMatchObject({
    status: 'partial', failed: [{ rank: 0, cause: 'node-lost', exit: null, signal: null, lastStep: 1 }],
  })
})

test('a node that speaks after all is not lost, nor is one that never had the head', () => {
  desk.beat(gone)
  expect(lost(100 * NODE_LOST_MS)).toEqual([])
})

test('sync closes whom no agent speaks for, wherever it was', () => {
  expect(lost(NODE_LOST_MS - 1, true)).toEqual([])
  desk.beat(here)
  desk.now += NODE_LOST_MS
  desk.beat(here)
  const closed = lostMembers(desk.state, {
    now: desk.now, since: desk.now - NODE_LOST_MS, host: 'h1', closing: true,
  })
  expect(ofWhom(closed)).toEqual([gone.instance])
  expect(ofWhom(lost(NODE_LOST_MS, true)).sort()).toEqual([gone.instance, here.instance])
})

test('whom the session ends without is in the ledger as last heard of: a replay says the same', () => {
  const { instance } = here
  desk.state.heard([{ instance, alive: true, logged: 5, lost: 0, backlog: 4 }], desk.now)
  expect(desk.state.books()[1]).toMatchObject({ logged: 5, admitted: 1, pending: 4 })
  desk.commit(silentMembers(desk.state, desk.now))
  const told = desk.state.books()
  expect(told[1]).toMatchObject({ logged: 5, admitted: 1, lost: 4, pending: 0, estimated: true })
  expect(silentMembers(desk.state, desk.now)).toEqual([])
  expect(desk.restart().state.books()).toEqual(told)
})

test('what its agent says later replaces the estimate', () => {
  desk.commit(lost(NODE_LOST_MS))
  gone.log({ loss: 2 }, 2)
  desk.take(gone)
  expect(desk.state.members()[0]).toMatchObject({ state: 'live', ended: null })
  desk.end(gone)
  expect(desk.state.books()[0]).toMatchObject({ logged: 2, admitted: 2, pending: 0, lost: 0 })
  desk.end(here)
  expect(finalStatus(endFacts(desk.state))).toMatchObject({ status: 'finished', failed: [] })
})
