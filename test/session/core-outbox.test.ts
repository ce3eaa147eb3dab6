import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../lib/backend/index.ts'
import {
  OUTBOX_RETRY_AFTER_MS_MAX, OUTBOX_RETRY_MS_MAX, OUTBOX_RETRY_MS_MIN, OUTBOX_SEND_MS,
  OUTBOX_THIN_MS, OUTBOX_WINDOW_ROWS,
} from '../../lib/limits-outbox.ts'
import { Outbox, type OutboxEffect, type OutboxEvent } from '../../lib/session/core-outbox.ts'
import { newStanding } from '../../lib/session/core-standing.ts'
import { CAN, firsts, figuresOf, pack, partOf, play, pointsOf, rowsOf, step, World } from './outbox-world.ts'

describe('the outbox, whatever happens', () => {
  const worlds = fc.tuple(fc.nat(40), fc.array(step, { maxLength: 150, size: 'max' }), fc.boolean())

  test('every row reaches the tracker once, in order; repeats are the same bytes and counted', () => {
    fc.assert(fc.property(worlds, ([total, steps, amends]) => {
      const world = play(new World(total, amends), steps)
      const first = firsts(world)
      const rejected = new Set(world.notes.flatMap((note) => note.is === 'rejected' ? [note.batch] : []))
      const batches = new Map(world.notes.flatMap((note) => note.is === 'batch' ? [[note.batch, note]] : []))
      // Exactly the rows of its note, each batch with one content.
      for (const { batch, line } of world.stored) expect(`d${line}`).toBe(batches.get(batch)!.digest)
      // In order, each row once: what is not there was refused, or thinned by rule.
      expect(first.map(({ batch }) => batch)).toEqual(first.map(({ batch }) => batch).sort((a, b) => a - b))
      const arrived = first.flatMap(({ line }) => rowsOf(line))
      const wanted = Array.from({ length: total }, (_, i) => i + 1)
        .filter((n) => amends || !partOf(n).amends)
      const refused = [...rejected].flatMap((batch) => {
        const { from, to } = batches.get(batch)!
        return Array.from({ length: to - from + 1 }, (_, i) => from + i)
      })
      expect([...new Set([...arrived, ...refused])].sort((a, b) => a - b)).toEqual(wanted)
      expect(new Set(arrived).size).toBe(arrived.length)
      // Only what the tracker refused is set aside.
      for (const note of world.notes) if (note.is === 'rejected') expect(note.message).toBe('refused')
      // Repeats: each was announced.
      const again = new Map<number, number>()
      for (const note of world.notes) {
        if (note.is === 'again') again.set(note.batch, (again.get(note.batch) ?? 0) + 1)
      }
      for (const { batch } of first) {
        const times = world.stored.filter((one) => one.batch === batch).length
        expect(times - 1).toBeLessThanOrEqual(again.get(batch) ?? 0)
      }
    }), { numRuns: 1000 })
  })

  test('the books follow from the notes alone and balance', () => {
    fc.assert(fc.property(worlds, ([total, steps, amends]) => {
      const world = play(new World(total, amends), steps)
      const standing = world.standing()
      expect(standing).toEqual(world.outbox.standing)
      expect(standing.open).toBeNull()
      expect(standing.settled).toBe(total)
      expect(standing.delivered + standing.thinned + standing.rejected).toBe(pointsOf(1, total))
      const again = world.notes.filter((note) => note.is === 'again')
      expect(standing.resent > 0).toBe(again.length > 0)
    }), { numRuns: 500 })
  })

  test('what waits is bounded, whatever the backend does', () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 100, size: 'max' }), (steps) => {
      const world = new World(1000)
      for (const one of steps) {
        for (let i = 0; i < 20; i++) world.row()
        expect(world.outbox.next - world.outbox.standing.settled - 1).toBeLessThanOrEqual(3 * CAN.rowsMax)
        if (typeof one === 'number') world.pass(one)
        else if (one === 'crash' || one === 'crash-arrives') world.crash()
        else if (one !== 'row') world.go(one)
      }
    }), { numRuns: 300 })
  })
})

describe('an outbox whose backend cannot take all', () => {
  const paces = fc.integer({ min: 1, max: 40 })
  const worlds = fc.tuple(fc.nat(90), fc.array(step, { maxLength: 200, size: 'max' }), paces)

  test('leaves rows out by decision, and never the first, last, lowest or highest of a metric', () => {
    fc.assert(fc.property(worlds, ([total, steps, pace]) => {
      const world = play(new World(total, false, pace), steps)
      const standing = world.standing()
      expect(standing).toEqual(world.outbox.standing)
      expect(standing).toMatchObject({ open: null, plan: null, settled: total })
      expect(standing.delivered + standing.thinned + standing.rejected).toBe(pointsOf(1, total))
      const arrived = firsts(world).flatMap(({ line }) => rowsOf(line))
      expect(arrived).toEqual([...new Set(arrived)].sort((a, b) => a - b))
      if (standing.rejected > 0) return
      for (const metric of ['m0', 'm1', 'm2']) {
        const all = Array.from({ length: total }, (_, i) => i + 1)
          .filter((n) => !partOf(n).amends && figuresOf(n).metric === metric)
        const some = arrived.filter((n) => figuresOf(n).metric === metric)
        expect([some[0], some.at(-1)]).toEqual([all[0], all.at(-1)])
        for (const figure of [
          (n: number) => figuresOf(n).value, (n: number) => -figuresOf(n).value,
          (n: number) => -figuresOf(n).min, (n: number) => figuresOf(n).max,
        ]) expect(Math.max(...some.map(figure))).toBe(Math.max(...all.map(figure)))
      }
    }), { numRuns: 1000 })
  })

  test.each([2, 3, 4, 5, 6])('takes more than its window holds, a batch on its way (%i)', (steps) => {
    const total = 3 * OUTBOX_WINDOW_ROWS
    const world = new World(total, false, 10)
    for (let i = 0; i < CAN.rowsMax; i++) world.row()
    world.pass(OUTBOX_THIN_MS)
    // Opened, so that it is not down.
    for (let i = 0; i < steps; i++) world.go('done')
    for (let turns = 0; world.outbox.next <= total; turns++) {
      expect(turns).toBeLessThan(10)
      while (world.outbox.wants && world.outbox.next <= total) world.row()
      world.pass(1)
      // What is decided becomes durable, what is called does not answer.
      world.go('hang')
    }
    world.settle()
    expect(world.standing()).toMatchObject({ settled: total, rejected: 0 })
    expect(world.standing().delivered + world.standing().thinned).toBe(pointsOf(1, total))
    expect(firsts(world).flatMap(({ line }) => rowsOf(line)).length).toBeLessThan(100)
  })

  test('sends all when it is not too much after all', () => {
    const world = new World(30, false, 40)
    world.settle()
    expect(world.standing().delivered).toBe(pointsOf(1, 30) - [5, 10, 15, 20, 25, 30]
      .reduce((sum, n) => sum + partOf(n).points, 0))
  })
})

describe('one outbox', () => {
  const effectsOf = (world: World, event: OutboxEvent): OutboxEffect[] =>
    world.outbox.handle(event, world.now, world.wall)

  /** With a batch of one row that has just been sent: the call's number. */
  function sent(world: World): number {
    world.row()
    world.pass(CAN.ageMs)
    for (const answer of ['done', 'done', 'done'] as const) world.go(answer)
    const [send] = world['effects'] as OutboxEffect[]
    expect(send).toMatchObject({ do: 'send', batch: 1 })
    world['effects'] = []
    return send!.do === 'send' ? send!.call : 0
  }

  test('nothing is opened, committed or sent before there is a row that waited long enough', () => {
    const world = new World(1)
    world.pass(10_000)
    world.row()
    expect(effectsOf(world, { type: 'tick' })).toEqual([])
    world.now += CAN.ageMs
    expect(effectsOf(world, { type: 'tick' })).toMatchObject([{ do: 'open', cursor: null }])
  })

  test('Retry-After is waited for, but not for ever; a short one does not undo the backoff', () => {
    for (const [afterMs, pause] of [
      [7000, 7000], [1, OUTBOX_RETRY_MS_MIN], [1e12, OUTBOX_RETRY_AFTER_MS_MAX],
    ] as const) {
      const world = new World(1)
      const call = sent(world)
      const later: Outcome = { is: 'later', message: '429', afterMs }
      expect(effectsOf(world, { type: 'result', call, outcome: later })).toEqual([])
      expect(world.outbox.fault).toBe('429')
      world.now += pause - 1
      expect(effectsOf(world, { type: 'tick' })).toEqual([])
      world.now += 1
      // Surely not stored: sent again at once, without a note.
      expect(effectsOf(world, { type: 'tick' })).toMatchObject([{ do: 'send', batch: 1 }])
    }
  })

  test('a server that names its pauses does not make them grow', () => {
    const world = new World(1)
    let call = sent(world)
    const pauses: number[] = []
    for (let i = 0; i < 30; i++) {
      const asks = i % 10 !== 9
      const later: Outcome = { is: 'later', message: 'no', ...asks ? { afterMs: 700 } : {} }
      effectsOf(world, { type: 'result', call, outcome: later })
      const from = world.now
      let send: OutboxEffect | undefined
      for (; send === undefined; world.now += 10) [send] = effectsOf(world, { type: 'tick' })
      call = send.do === 'send' ? send.call : -1
      if (asks) expect(world.now - from).toBeLessThanOrEqual(720)
      else pauses.push(world.now - from)
    }
    expect(pauses.map((each) => Math.round(each / 100))).toEqual([5, 8, 15])
  })

  test('the end of a run does not wait for our own pauses, but for those that the server asked for', () => {
    for (const [afterMs, wait] of [[undefined, 0], [20_000, 20_000]] as const) {
      const world = new World(1)
      for (let failures = 0, call = sent(world); failures < 10; failures++) {
        const asked = failures === 9 ? afterMs : undefined
        const outcome: Outcome = { is: 'later', message: '503', ...asked === undefined ? {} : { afterMs } }
        effectsOf(world, { type: 'result', call, outcome })
        if (failures === 9) break
        world.now += OUTBOX_RETRY_MS_MAX
        const [send] = effectsOf(world, { type: 'tick' })
        call = send?.do === 'send' ? send.call : -1
      }
      const finish = { type: 'finish', last: 1, status: 'failed' } as const
      if (wait > 0) expect(effectsOf(world, finish)).toEqual([])
      world.now += wait
      expect(effectsOf(world, finish)).toMatchObject([{ do: 'send', batch: 1 }])
    }
  })

  test('what an archive has brought counts as delivered and is not sent, though it is too much', () => {
    const world = new World(12, true, 2)
    world.pass(1)
    for (let n = 0; n < 12; n++) world.row()
    const [open] = world['effects'].splice(0)
    const call = open!.do === 'open' ? open!.call : -1
    world.tell({ type: 'result', call, outcome: { is: 'done', found: 6 } })
    world.settle()
    const batches = world.notes.filter((note) => note.is === 'batch').map(({ from, to }) => [from, to])
    expect(batches.slice(0, 2)).toEqual([[1, 4], [5, 6]])
    expect(world.stored.flatMap(({ line }) => rowsOf(line)).every((n) => n > 6)).toBe(true)
    expect(world.stored.at(-1)!.line).toContain('12,')
    const { delivered, thinned } = world.standing()
    expect(delivered).toBeGreaterThan(pointsOf(1, 6))
    expect(delivered + thinned).toBe(pointsOf(1, 12))
  })

  test('a call that hangs is given up; its late answer changes nothing', () => {
    const world = new World(1)
    const call = sent(world)
    world.now += OUTBOX_SEND_MS
    expect(effectsOf(world, { type: 'tick' })).toEqual([{ do: 'giveUp', call }])
    expect(effectsOf(world, { type: 'result', call, outcome: { is: 'done' } })).toEqual([])
    expect(world.outbox.standing.settled).toBe(0)
    world.now += OUTBOX_RETRY_MS_MAX
    // What is known of the other side is doubtful now.
    expect(effectsOf(world, { type: 'tick' })).toMatchObject([{ do: 'open' }])
    // Nor is it taken for that of the next call.
    expect(effectsOf(world, { type: 'result', call, outcome: { is: 'done' } })).toEqual([])
  })

  test('another version that builds other bytes sends nothing under the same batch', () => {
    const world = new World(1)
    sent(world)
    const other = (parts: readonly Uint8Array[], at: number) => ({ ...pack(parts, at), digest: 'another' })
    world.outbox = new Outbox({ backend: 'b', can: CAN, pack: other, random: () => 0 }, world.standing())
    world.settle()
    expect(world.stored).toEqual([])
    expect(world.standing()).toMatchObject({ rejected: partOf(1).points, delivered: 0, settled: 1 })
    expect(world.standing().refusal).toContain('another version')
  })

  test('what only somebody else can help is stuck, until it goes on', () => {
    const outbox = new Outbox({ backend: 'b', can: CAN, pack, random: () => 0 }, newStanding())
    const seen: boolean[] = []
    const say = (event: OutboxEvent, now: number): OutboxEffect[] => {
      const effects = outbox.handle(event, now, now)
      seen.push(outbox.isStuck)
      return effects
    }
    const callOf = (effects: OutboxEffect[]): number => (effects.at(-1) as { call: number }).call
    expect(outbox.isIdle).toBe(true)
    let call = callOf(say({ type: 'finish', last: 0, status: 'finished' }, 0))
    expect(outbox.isIdle).toBe(false)
    call = callOf(say({ type: 'result', call, outcome: { is: 'done' } }, 0))
    say({ type: 'result', call, outcome: { is: 'later', message: 'bring it', stuck: true } }, 0)
    expect(outbox.isIdle).toBe(true)
    call = callOf(say({ type: 'tick' }, OUTBOX_RETRY_MS_MAX))
    say({ type: 'result', call, outcome: { is: 'later', message: 'busy' } }, OUTBOX_RETRY_MS_MAX)
    expect(seen).toEqual([false, false, true, true, false])
  })

  test('a run that goes on after its end opens again, and ends again', () => {
    const world = new World(3)
    world.settle()
    expect(world.standing().ended).toBe('finished')
    world.total = 5
    world.crash()
    world.row()
    world.settle()
    expect(world.standing()).toMatchObject({ settled: 5, ended: 'finished' })
    expect(world.stored.flatMap(({ line }) => rowsOf(line))).toEqual([1, 2, 3, 4, 5])
  })
})
