import { describe, expect, test } from 'vitest'
import { audit, points, rows } from '../../lib/aggregator/replay.ts'
import { newState } from './desk.ts'
import { Driver, everySeed, type Knobs } from './driver.ts'
import { Bookkeeper, difference, expectedPoints, expectedRows } from './oracle.ts'

function check(driver: Driver): void {
  const { desk, senders, keeper } = driver
  const wantPoints = expectedPoints(senders, keeper.rejected)
  expect([...points(desk.ledger)]).toEqual(wantPoints)
  const got = [...rows(desk.ledger)]
  const want = expectedRows(senders, keeper.rejected)
  const places = (list: readonly { metric: string; step: number }[]): unknown =>
    list.map(({ metric, step }) => [metric, step])
  expect(places(got)).toEqual(places(want))
  expect(got.map((row, i) => difference(row, want[i]!)).filter((text) => text !== '')).toEqual([])
  expect(got.every(({ sealed }) => sealed)).toBe(true)
  const naive = new Bookkeeper(desk.ledger.list, senders)
  expect(got.filter(({ amended }) => amended).map(({ metric, step }) => `${metric} ${step}`).sort())
    .toEqual([...naive.rows].filter(([, row]) => row.amended).map(([key]) => key).sort())
  for (const { instance, local: { pending, ...fate } } of desk.state.books()) {
    expect({ instance, ...fate }).toEqual({ instance, ...naive.fate.get(instance) })
    expect(pending).toBe(0)
  }
  checkBooks(driver)
  checkReplay(driver)
}

function checkBooks({ desk, senders, keeper }: Driver): void {
  const books = audit(desk.ledger)
  expect(books.problems).toEqual([])
  expect(books).toMatchObject({ balanced: true, complete: true })
  const logged = new Map(senders.map((sender) => [sender.instance, sender.logged]))
  expect(new Map(books.ranks.map((rank) => [rank.instance, rank.admitted]))).toEqual(logged)
  const rejected = senders.filter(({ instance }) => keeper.rejected.has(instance))
  expect(books.backends[0]!.rejected).toBe(rejected.reduce((sum, sender) => sum + sender.logged, 0))
}

function checkReplay({ desk }: Driver): void {
  const replayed = newState()
  for (const entry of desk.ledger.entries()) replayed.apply(entry)
  const facts = (state: typeof replayed): unknown => ({
    members: state.members().map(({ alive: _, backlog: __, heardAt: ___, ...view }) => view),
    metrics: state.metrics(1000), params: state.params(), books: state.books(), bytes: state.openRowsBytes(),
  })
  expect(facts(replayed)).toEqual(facts(desk.state))
}

const trouble: Record<string, Partial<Knobs>> = {
  'in calm': {},
  'when messages are dropped, repeated, delayed and reordered': { drop: 0.2, repeat: 0.2, delay: 1500 },
  'when the aggregator is killed and replays': { restart: 0.08, drop: 0.1, delay: 300 },
  'when ranks die and come back some steps earlier': { crash: 0.02, delay: 300 },
  'when agents fall silent and older lives arrive late': { crash: 0.02, silence: 0.02, delay: 300 },
  'when a second process takes a rank that is held': { rival: 0.02, delay: 200 },
  'when memory for open rows is short': { bytesMax: 4000, delay: 4000, silence: 0.01 },
  'when all of it happens at once': {
    drop: 0.1, repeat: 0.1, delay: 800, restart: 0.03, crash: 0.01, rival: 0.005, silence: 0.01,
    bytesMax: 20_000,
  },
}

describe('every point is in its row exactly once, and the books balance,', () => {
  for (const [when, knobs] of Object.entries(trouble)) {
    test(when, () => everySeed(20_261, (seed) => {
      const driver = new Driver({ ...knobs, seed }).run()
      check(driver)
      // Who takes over from a dead life is no rival, however late the death was known.
      if (knobs.rival === undefined) expect([...driver.keeper.rejected]).toEqual([])
    }))
  }
})
