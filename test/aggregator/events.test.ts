/** Which events are due, from pictures; a ledger is stood for by the list of what was told. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eventsDue, type EventFacts } from '../../lib/aggregator/core-events.ts'
import { Told } from '../../lib/aggregator/core-told.ts'
import type { RunEvent } from '../../lib/record/run-event.ts'
import { GOOD_HEALTH, NO_BOOKS, type Failure, type RunStatus } from '../../lib/record/run-status.ts'

const PICTURE: RunStatus = {
  run: 'r', key: 'k', project: 'p', name: 'n', dir: '/d', host: 'h', term: 1, state: 'live', status: null,
  reason: null, fault: null, ranks: 2, startedAt: 0, endedAt: null, updatedAt: 0, failed: [], processes: [],
  members: [], params: [], metricCount: 0, metrics: [], books: NO_BOOKS, health: GOOD_HEALTH, backends: [],
}
const failure = (rank: number, at: number): Failure => ({
  rank, host: 'h', pid: rank, exit: 1, signal: null, cause: 'parent', lastStep: 1, at, recovered: false,
})
const hang = (sinceStep: number): RunStatus['health'] =>
  ({ ...GOOD_HEALTH, hang: { ranks: '1', sinceStep, forMs: 1, others: 9 } })

/** A run and whoever serves it, one look after another. */
class Run {
  readonly ledger = new Told()
  private stood: boolean | null = null
  private n = 0

  look(now: number, more: Partial<RunStatus> = {}, status: string | null = null, closing = false): string[] {
    const picture = { ...PICTURE, ...more }
    const { events: told, before, began } = this.ledger
    const facts: EventFacts = { picture, told, before, began, stood: this.stood, closing, status, now }
    const due = eventsDue(facts)
    for (const one of due) {
      this.ledger.event({ id: `${++this.n}`, n: told.length + 1, at: now, ...one })
    }
    expect(eventsDue({ ...facts, told, stood: true })).toEqual([])
    this.stood = picture.health.hang !== null
    return due.map(({ event }) => event)
  }

  /** Of the aggregator. */
  restart(): void { this.stood = null }

  end(): void { this.ledger.session({ state: 'ended' }) }
}

describe('events', () => {
  it('are live, first failure, stalled, ended, each once', () => {
    const run = new Run()
    expect(run.look(10)).toEqual(['live'])
    expect(run.look(20)).toEqual([])
    expect(run.look(1000, { failed: [failure(1, 900)] })).toEqual([])
    // Somebody who failed before was seen after.
    expect(run.look(2500, { failed: [failure(0, 890), failure(1, 900)] })).toEqual(['failure'])
    expect(run.ledger.events[1]!.failure!.rank).toBe(0)
    expect(run.look(3000, { health: hang(7) })).toEqual(['stalled'])
    expect(run.look(3001, { health: hang(7) })).toEqual([])
    expect(run.look(4000, { failed: [failure(0, 890)] }, 'failed')).toEqual(['ended'])
    expect(run.look(4001, {}, 'failed')).toEqual([])
  })

  it('of a run that goes on and stands again are told again, not of one whose aggregator is another', () => {
    const run = new Run()
    run.look(1)
    expect(run.look(2, { health: hang(7) })).toEqual(['stalled'])
    run.restart()
    expect(run.look(3, { health: hang(7) })).toEqual([])
    expect(run.look(4)).toEqual([])
    expect(run.look(5, { health: hang(7) })).toEqual(['stalled'])
    run.restart()
    expect(run.look(6, { health: hang(9) })).toEqual(['stalled'])
  })

  it('of an end are told before the end, at once, and again only if it turns out otherwise', () => {
    const run = new Run()
    expect(run.look(1, { failed: [failure(1, 1)] }, 'failed')).toEqual(['live', 'failure', 'ended'])
    run.restart()
    expect(run.look(2, {}, 'failed')).toEqual([])
    expect(run.look(3, {}, 'partial')).toEqual(['ended'])
    expect(run.ledger.events.map(({ status }) => status)).toEqual([undefined, undefined, 'failed', 'partial'])
  })

  it('of a run that is resumed begin anew, with its own failures', () => {
    const run = new Run()
    run.look(10)
    run.look(5000, { failed: [failure(1, 20), failure(0, 30)] })
    run.look(5001, {}, 'failed')
    run.end()
    // One that comes too late, and `sync`, serve the run that was.
    expect(run.look(6000)).toEqual([])
    expect(run.look(6001, {}, 'failed')).toEqual([])
    expect(run.look(6002, { failed: [failure(1, 20), failure(0, 30)] }, 'failed', true)).toEqual([])
    run.ledger.joined('supervisor', 6002)
    expect(run.look(6003)).toEqual([])
    run.ledger.joined('worker', 6900)
    expect(run.look(7000, { failed: [failure(1, 20), failure(0, 30)] })).toEqual(['live'])
    expect(run.look(9999, { failed: [failure(1, 20), failure(1, 6950)] })).toEqual(['failure'])
    expect(run.look(10_000, {}, 'failed')).toEqual(['ended'])
  })

  it('of `sync` are what an aggregator that is gone had not told', () => {
    const run = new Run()
    expect(run.look(1, { failed: [failure(1, 1)] }, null, true)).toEqual([])
    expect(run.look(5000, { failed: [failure(1, 1)] }, 'lost', true)).toEqual(['failure', 'ended'])
    expect(run.look(5001, {}, 'lost', true)).toEqual([])
  })

  it('are counted from 1 without a gap, whatever happens, and no two lives mix', () => {
    const step = fc.record({
      what: fc.constantFrom('look', 'hang', 'fail', 'restart', 'end', 'late', 'again'), ms: fc.nat(3000),
    })
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const run = new Run()
      const failed: Failure[] = []
      let now = 0
      for (const { what, ms } of steps) {
        now += ms
        if (what === 'fail') failed.push(failure(failed.length, now))
        if (what === 'restart') run.restart()
        if (what === 'again') run.ledger.joined('worker', now)
        if (what === 'end') {
          run.look(now, { failed }, 'finished')
          run.end()
        } else run.look(now, { failed, ...what === 'hang' ? { health: hang(now) } : {} })
      }
      const all: readonly RunEvent[] = run.ledger.events
      expect(all.map(({ n }) => n)).toEqual(all.map((_, i) => i + 1))
      // Between two lives there is an end.
      const frame = all.map(({ event }) => event).filter((event) => event === 'live' || event === 'ended')
      expect(frame.join(' ')).toMatch(/^(live( ended)? ?)*$/)
      for (const [i, { event }] of all.entries()) {
        if (event !== 'failure') continue
        const next = all.slice(i + 1).find((one) => one.event === 'failure' || one.event === 'live')
        expect(next?.event).not.toBe('failure')
      }
    }))
  })
})
