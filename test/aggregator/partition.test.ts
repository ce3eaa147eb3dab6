/**
 * The laws behind lib/aggregator/SCALE.md: K aggregators that share the metrics among them come to what one
 * would have come to.
 */
import { describe, expect, test } from 'vitest'
import { admit } from '../../lib/aggregator/core-admit.ts'
import type { InstanceBooks, Row, SealBody } from '../../lib/aggregator/core-types.ts'
import { audit, points, rows } from '../../lib/aggregator/replay.ts'
import type { Ledger } from '../../lib/ledger/index.ts'
import { Kind } from '../../lib/record/index.ts'
import { Desk, SEAL_AFTER } from './desk.ts'
import { Driver, everySeed, randomOf, type Knobs } from './driver.ts'
import { originOf, Sender } from './sender.ts'
import { hashed, Lines, SplitDesk } from './split.ts'

const SEED = 77_000
const partitionsOf = (seed: number): number => 2 + seed % 4

function grouped<T>(list: Iterable<T>, keyOf: (one: T) => string): [string, T[]][] {
  const groups = new Map<string, T[]>()
  for (const one of list) {
    const group = groups.get(keyOf(one))
    if (group === undefined) groups.set(keyOf(one), [one])
    else group.push(one)
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1))
}

/** One export of K ledgers: every metric is in one of them, or it comes twice. */
function union<T extends { metric: string }>(
  parts: readonly Desk[], read: (ledger: Ledger) => Iterable<T>,
): T[] {
  const metrics = parts.flatMap(({ ledger }) => grouped(read(ledger), ({ metric }) => metric))
  return metrics.sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, list]) => list)
}

/** Points per instance, summed over desks. */
function booksOf(desks: readonly Desk[]): unknown[] {
  const books = desks.flatMap(({ state }) => state.books())
  return grouped(books, ({ instance }) => instance).map(([instance, list]) => {
    const sum = (read: (one: InstanceBooks) => number): number =>
      list.reduce((all, one) => all + read(one), 0)
    return {
      instance, logged: sum((one) => one.logged), admitted: sum((one) => one.admitted),
      lost: sum((one) => one.lost), missing: sum((one) => one.missing),
      settled: sum(({ local }) => local.delivered + local.superseded),
      rejected: sum(({ local }) => local.rejected), pending: sum(({ local }) => local.pending),
    }
  })
}

const deliveredBy = (desks: readonly Desk[]): number =>
  desks.flatMap(({ state }) => state.books()).reduce((sum, { local }) => sum + local.delivered, 0)

const livesOf = ({ state }: Desk): unknown => state.members()
  .map(({ instance, rank, attempt, state: standing, acked, lastTime }) =>
    ({ instance, rank, attempt, standing, acked, lastTime }))
  .sort((a, b) => (a.instance < b.instance ? -1 : 1))

const oddOf = (desks: readonly Desk[]): unknown => desks
  .flatMap(({ state, now }) => state.health(now).firstNaN)
  .sort((a, b) => a.step - b.step || (a.metric < b.metric ? -1 : 1))

/** The newest row of each metric, as status has it. */
const shownBy = (desks: readonly Desk[]): unknown => desks.flatMap(({ state }) => state.metrics(100))
  .sort((a, b) => (a.metric < b.metric ? -1 : 1))

/** What holds whatever came when. */
function expectSame(whole: Desk, parts: readonly Desk[], rowOf: (row: Row) => unknown): void {
  expect(union(parts, rows).map(rowOf)).toEqual([...rows(whole.ledger)].map(rowOf))
  expect(union(parts, points)).toEqual([...points(whole.ledger)])
  expect(booksOf(parts)).toEqual(booksOf([whole]))
  for (const part of parts) {
    expect(livesOf(part)).toEqual(livesOf(whole))
    expect(audit(part.ledger)).toMatchObject({ balanced: true, complete: true })
  }
  expect(oddOf(parts)).toEqual(oddOf([whole]))
  expect(parts[0]!.state.params()).toEqual(whole.state.params())
}

/** Why and when each row closed, and each verdict, as far as ledgers have it. */
function decisionsOf({ ledger, state }: Desk): { seals: Set<string>; verdicts: string[] } {
  const { list: known } = state.inside().metrics
  const seals = new Set<string>()
  const verdicts: string[] = []
  for (const entry of ledger.list) {
    if (entry.type !== 'note') continue
    const { at, kind, body } = entry
    if (kind === 'heir' || kind === 'conflict') verdicts.push(JSON.stringify([at, body]))
    if (kind !== 'seal') continue
    const { by, groups } = body as SealBody
    for (const { metrics, steps } of groups) {
      const names = metrics.flatMap(([from, to]) => known.slice(from, to + 1).map(({ name }) => name))
      for (const [start, stride, count] of steps) {
        for (const name of names) {
          for (let i = 0; i < count; i++) seals.add(`${at} ${by} ${name} ${start + stride * i}`)
        }
      }
    }
  }
  return { seals, verdicts }
}

const trouble: Record<string, Partial<Knobs>> = {
  'in calm': {},
  'with loss, repetition, delay, restarts, deaths and silence': {
    drop: 0.1, repeat: 0.1, delay: 800, restart: 0.03, crash: 0.02, silence: 0.02,
  },
  'with rivals': { rival: 0.02, crash: 0.01, delay: 300 },
}

/** Both go through the same; a partition without any metric happens, and must hold as well. */
function expectSameDecisions(knobs: Partial<Knobs>, seed: number): void {
  const partitions = partitionsOf(seed)
  const desk = new SplitDesk(partitions, hashed(partitions, seed))
  const driver = new Driver({ ticks: 80, ...knobs, seed }, desk)
  desk.senderOf = (id) => driver.senders.find(({ instance }) => instance === id)!
  driver.run()
  expectSame(desk, desk.parts, (row) => row)
  expect(deliveredBy(desk.parts)).toBe(deliveredBy([desk]))
  const wanted = decisionsOf(desk)
  const found = desk.parts.map(decisionsOf)
  expect(new Set(found.flatMap(({ seals }) => [...seals]))).toEqual(wanted.seals)
  for (const { verdicts } of found) expect(verdicts).toEqual(wanted.verdicts)
  expect(shownBy(desk.parts)).toEqual(shownBy([desk]))
}

describe('K aggregators that hear the same at the same time decide the same', () => {
  for (const [how, knobs] of Object.entries(trouble)) {
    test(how, () => { everySeed(SEED, (seed) => { expectSameDecisions(knobs, seed) }) })
  }
})

/** A record that can never come, the same for all lines of its instance. */
interface Skip { from: number; to: number; points: Record<string, number> }

function skipOf(sender: Sender, random: () => number): Skip {
  const from = 2 + Math.floor(random() * (sender.seq - 1))
  const to = Math.min(sender.seq, from + Math.floor(random() * 4))
  const points: Record<string, number> = {}
  for (const record of sender.records.slice(from - 1, to)) {
    if (record.kind !== Kind.values) continue
    for (const name of sender.layouts[record.layout]!) points[name] = (points[name] ?? 0) + 1
  }
  return { from, to, points }
}

/**
 * To its end, in an order of its own, as a log gives it that several lives of an agent wrote: cut at random,
 * repeated, overlapping; with decisions and restarts between.
 */
function feed(
  senders: readonly Sender[], skips: ReadonlyMap<Sender, Skip>, desk: Desk, random: () => number,
): Desk {
  const upTo = (n: number): number => Math.floor(random() * n)
  const open = [...senders]
  while (open.length > 0) {
    const at = upTo(open.length)
    const sender = open[at]!
    const { instance, seq } = sender
    const acked = desk.state.acked(instance)
    const skip = skips.get(sender)
    if (random() < 0.1) desk.now += upTo(20_000)
    if (random() < 0.2) desk.decide()
    if (random() < 0.02) desk.restart()
    if (random() < 0.1) desk.beat(sender, false, upTo(2))
    if (desk.state.member(instance) === null) desk.join(sender)
    else if (acked === seq) desk.end(open.splice(at, 1)[0]!)
    else if (acked + 1 === skip?.from) desk.note('skip', { instance, ...skip, cause: 'damaged' })
    else {
      const [begin, end] = skip === undefined ? [1, seq]
        : acked < skip.from ? [1, skip.from - 1] : [skip.to + 1, seq]
      const firstSeq = Math.max(begin, acked + 1 - (random() < 0.2 ? upTo(12) : 0))
      const lastSeq = Math.min(end, Math.max(firstSeq, acked - 3) + upTo(14))
      if (admit(acked, firstSeq, lastSeq) === 'duplicate') continue
      const data = sender.blob(firstSeq, lastSeq)
      desk.commit([{ type: 'batch', at: desk.now, instance, firstSeq, lastSeq, data }])
    }
  }
  return desk.drain()
}

/** Lives of ranks that follow one another; some say what is for all partitions, or for the first alone. */
function liveAndDie(seed: number): Sender[] {
  const driver = new Driver({ seed, ticks: 60, crash: 0.03 })
  const [first, second] = driver.senders
  first!.say(Kind.define, { metric: 'loss', reduce: 'max' })
  second!.say(Kind.define, { metric: '*c*', reduce: 'last' }).say(Kind.params, { params: { lr: seed } })
    .say(Kind.lost, { points: { loss: 3, acc: 2 }, cause: 'full' }).logged += 5
  return driver.run().senders
}

function expectSameRows(seed: number): void {
  const partitions = partitionsOf(seed)
  const random = randomOf(seed)
  const senders = liveAndDie(seed)
  const skips = new Map(senders.filter(({ seq }) => seq > 3 && random() < 0.5)
    .map((sender) => [sender, skipOf(sender, random)]))
  const lines = new Lines(partitions, hashed(partitions, seed))
  const whole = feed(senders, skips, new Desk(), random)
  const parts = Array.from({ length: partitions }, (_, at) => {
    const mine = new Map(senders.map((sender) => [sender, lines.of(sender)[at]!]))
    const myskips = new Map([...skips].map(([sender, { points, ...skip }]) =>
      [mine.get(sender)!, { ...skip, points: mine.get(sender)!.mine(points) }]))
    // With little memory for open rows, so that they close early.
    return feed([...mine.values()], myskips, new Desk(undefined, 2000 + 2e4 * random()), random)
  })
  expectSame(whole, parts, ({ amended: _, ...row }) => row)
}

describe('K aggregators that hear at different times come to the same rows, points and books', () => {
  test('whatever was late, lost or repeated', () => { everySeed(SEED, expectSameRows) })
})

describe('what one aggregator has to decide for all, or each for itself:', () => {
  const placeOf = (metric: string): number => (metric === 'loss' ? 0 : 1)
  const worldSize = 2

  test('which of two rivals holds the rank: the others are told, or may judge otherwise', () => {
    const rivals = ['a', 'b'].map((id, i) =>
      new Sender(originOf(id.repeat(32), 0, { startedAt: 1000 + 1000 * i, worldSize })))
    for (const sender of rivals) {
      for (const step of [0, 1, 2]) sender.log({ loss: step, val: step }, step, { time: 1500 + 2000 * step })
    }
    const lines = new Lines(2, placeOf)
    const [older, newer] = rivals.map(({ instance }) => instance)
    /** Part of the older life comes when it is known to be dead, and after a verdict. */
    const hear = ([a, b]: Sender[], last: number | undefined, judge: (desk: Desk) => unknown): Desk => {
      const desk = new Desk().join(a!).take(a!, last).join(b!).take(b!).beat(a!, false)
      judge(desk)
      return desk.take(a!).end(a!).end(b!).drain()
    }
    const [mine, theirs] = [0, 1].map((at) => rivals.map((sender) => lines.of(sender)[at]!))
    const whole = hear(rivals, undefined, (desk) => desk.decide())
    const first = hear(mine!, undefined, (desk) => desk.decide())
    const alone = hear(theirs!, 2, (desk) => desk.decide())
    const told = hear(theirs!, 2, (desk) => desk.note('conflict', { instance: newer, holder: older }))
    expect([whole, first, alone, told].map(({ state }) => state.member(newer!)!.state))
      .toEqual(['rank-conflict', 'rank-conflict', 'ended', 'rank-conflict'])
    expect(union([first, told], rows)).toEqual([...rows(whole.ledger)])
  })

  test('how long a row waits for a backlog: each for its own part of it', () => {
    const [one, other] = [0, 1].map((rank) =>
      new Sender(originOf(`${rank}`.repeat(32), rank, { worldSize })).log({ loss: 1 }, 0))
    one!.log({ loss: 1 }, 1)
    other!.log({ val: 1 }, 0)
    const lines = new Lines(2, placeOf)
    const waits = (desk: Desk, at: number | null): string[] => {
      const [a, b] = [one!, other!].map((sender) => (at === null ? sender : lines.of(sender)[at]!))
      desk.join(a!).join(b!).take(a!).take(b!, 2).beat(b!, true, 100).decide()
      desk.now += SEAL_AFTER
      return desk.decide().map(({ body }) => (body as SealBody).by)
    }
    expect(waits(new Desk(), null)).toEqual([])
    expect(waits(new Desk(), 0)).toEqual(['deadline'])
  })
})
