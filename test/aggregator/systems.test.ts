import { beforeEach, describe, expect, test } from 'vitest'
import { drainFacts, endFacts } from '../../lib/aggregator/core-facts.ts'
import { audit, points, rows } from '../../lib/aggregator/replay.ts'
import { Desk, newState } from './desk.ts'
import { originOf, Sender } from './sender.ts'

const agentOf = (id: string, node: string, rank: number, startedAt = 2000): Sender =>
  new Sender(originOf(id.repeat(32), rank, { role: 'agent', node, bootId: node, startedAt, worldSize: 8 }))

let desk: Desk
let workers: Sender[]

beforeEach(() => {
  desk = new Desk()
  workers = [0, 1].map((rank) => new Sender(originOf(`${rank}`.repeat(32), rank, { worldSize: 2 })))
  for (const worker of workers) desk.join(worker)
  for (const worker of workers) desk.take(worker.log({ loss: 1 }, 0))
})

/** Two nodes: the first one's agent was killed after step 10 and started again. */
function sample(): Sender[] {
  const agents = [agentOf('a', 'n0', 0), agentOf('b', 'n1', 4), agentOf('c', 'n0', 0, 3000)]
  agents[0]!.log({ 'sys/cpu': 10 }, 0).log({ 'sys/cpu': 20 }, 10)
  agents[1]!.log({ 'sys/cpu': 30 }, 0).log({ 'sys/cpu': 40 }, 10)
  agents[2]!.log({ 'sys/cpu': 22 }, 10).log({ 'sys/rank/0/rss': 7 }, 10)
  for (const agent of agents) desk.join(agent).take(agent)
  return agents
}

describe('system metrics', () => {
  test('change nothing that is counted, waited for or sealed', () => {
    const before = [
      desk.state.books(), desk.state.metricCount(), desk.state.metrics(9), drainFacts(desk.state),
      endFacts(desk.state).members.length, desk.state.worldSize(), desk.state.openRowsBytes(),
    ]
    sample()
    expect([
      desk.state.books(), desk.state.metricCount(), desk.state.metrics(9), drainFacts(desk.state),
      endFacts(desk.state).members.length, desk.state.worldSize(), desk.state.openRowsBytes(),
    ]).toEqual(before)
    expect(desk.decide().flatMap(({ kind }) => kind)).toEqual(['seal'])
    for (const worker of workers) desk.end(worker)
    expect(drainFacts(desk.state)).toMatchObject({ joinedRanks: 2 })
    desk.drain()
    expect(audit(desk.ledger)).toMatchObject({ balanced: true, complete: true, problems: [] })
    expect(audit(desk.ledger).ranks.map(({ rank }) => rank)).toEqual([0, 1])
  })

  test('are exported only when asked for, by node, and merged over nodes', () => {
    sample()
    desk.drain()
    expect([...points(desk.ledger)].map(({ metric }) => metric)).toEqual(['loss', 'loss'])
    expect([...rows(desk.ledger)].map(({ metric }) => metric)).toEqual(['loss'])
    const listed = [...points(desk.ledger, { metric: 'sys/cpu' })]
    expect(listed.map(({ step, rank, node, value, attempt, superseded }) =>
      [step, rank, node, value, attempt, superseded])).toEqual([
      [0, 0, 'n0', 10, 1, undefined], [0, 4, 'n1', 30, 1, undefined],
      [10, 0, 'n0', 20, 1, true], [10, 0, 'n0', 22, 2, undefined], [10, 4, 'n1', 40, 1, undefined],
    ])
    expect([...rows(desk.ledger, { metric: 'sys/*' })]).toMatchObject([
      { metric: 'sys/cpu', step: 0, mean: 20, count: 2, expected: 2, minRank: 0, maxRank: 4, sealed: false },
      { metric: 'sys/cpu', step: 10, mean: 31, count: 2, expected: 2, sealed: false },
      { metric: 'sys/rank/0/rss', step: 10, mean: 7, count: 1, expected: 1, sealed: false },
    ])
    desk.note('session', { state: 'ended', status: 'finished' })
    expect([...rows(desk.ledger, { metric: 'sys/*' })].every(({ sealed }) => sealed)).toBe(true)
    expect([...points(desk.ledger, { metric: '*' })].map(({ metric }) => metric).slice(0, 3))
      .toEqual(['loss', 'loss', 'sys/cpu'])
  })

  test('are told by node, live and on replay alike, without those of single ranks', () => {
    sample()
    expect(desk.state.nodes()).toEqual([
      { host: 'n0', rank: 0, step: 10, values: { cpu: 22 } },
      { host: 'n1', rank: 4, step: 10, values: { cpu: 40 } },
    ])
    const replayed = newState()
    for (const entry of desk.ledger.entries()) replayed.apply(entry)
    expect(replayed.nodes()).toEqual(desk.state.nodes())
  })

  test('do not stir a run: their entries are known as such', () => {
    const [agent] = sample()
    desk.end(agent!)
    const quiet = desk.ledger.list.filter((entry) => desk.state.isOfAgent(entry))
    expect(quiet.map((entry) => entry.type === 'note' ? entry.kind : 'batch').sort())
      .toEqual(['batch', 'batch', 'batch', 'ended', 'joined', 'joined', 'joined'])
  })
})
