/** The vendor's SDK under faults: it bears them, or loses, as comet-wire.md 4.2 says. */
import { describe, expect, it } from 'vitest'
import type { StandIn } from './index.ts'
import type { Knobs, Rule } from './knobs.ts'
import { LAB_MS, meet, sdk } from './vendor.ts'

const KEY = 'a'.repeat(40)
const METRIC = 'clientlib/batch/logger/experiment/metric'
/** The SDK's own retries follow at once; its batches are small and come often. */
const ENV = {
  COMET_HTTP_SESSION_RETRY_BACKOFF_FACTOR: '0', COMET_MESSAGE_BATCH_METRIC_INTERVAL: '0.2',
  COMET_MESSAGE_BATCH_METRIC_MAX_SIZE: '10',
}
const POINTS = 40
const ALL = Array.from({ length: POINTS }, (_, step) => step)

/** Steps that arrived, in their order, doubles too. */
const stepsOf = (standIn: StandIn): number[] =>
  (standIn.desk.series(KEY, 'loss')['loss'] ?? []).map(({ step }) => step!).sort((a, b) => a - b)

function points(knobs: Partial<Knobs>, check: (standIn: StandIn) => void, bursts = 4): Promise<void> {
  return meet(knobs, async (standIn, meeting) => {
    const args = [KEY, String(bursts), String(POINTS / bursts)]
    const { code, stderr } = await sdk({ ...meeting, env: ENV }, 'sdk_points.py', ...args)
    expect(code, stderr).toBe(0)
    expect(standIn.desk.experiment(KEY)!.state).toBe('ended')
    check(standIn)
  })
}

const once = (more: Partial<Rule>): Rule => ({ match: METRIC, kind: 'answer', times: 1, ...more })
const errorsOf = (standIn: StandIn): unknown[] => standIn.desk.experiment(KEY)!.errors

describe.concurrent('the SDK under faults', { timeout: LAB_MS }, () => {
  it('429 with Retry-After-Custom, 503, a reset: everything arrives once', () => {
    const limited = once({ status: 429, times: 2, headers: { 'Retry-After-Custom': '0.5' } })
    const faults = [limited, once({ status: 503 }), once({ kind: 'reset' })]
    return points({ faults }, (standIn) => {
      expect(stepsOf(standIn)).toEqual(ALL)
      const struck = standIn.desk.log({ match: METRIC }).filter(({ fault }) => fault !== null)
      expect(struck.map(({ status }) => status)).toEqual([429, 429, 503, 0])
    })
  })

  it('503 or a reset after storing: two batches are there twice, the same', () => {
    const faults = [once({ status: 503, after: true }), once({ kind: 'reset', after: true })]
    return points({ faults }, (standIn) => {
      const steps = stepsOf(standIn)
      expect([...new Set(steps)]).toEqual(ALL)
      expect(steps.length).toBeGreaterThan(ALL.length)
      const stored = standIn.desk.log({ match: METRIC }).filter((entry) => entry.stored)
      expect(stored.length - new Set(stored.map(({ digest }) => digest)).size).toBe(2)
    })
  })

  it('400, 401: those batches are lost, the rest arrives', () =>
    points({ faults: [once({ status: 400 }), once({ status: 401 })] }, (standIn) => {
      const steps = stepsOf(standIn)
      expect(steps.length).toBeLessThan(ALL.length)
      expect(steps.at(-1)).toBe(ALL.at(-1))
      expect(new Set(steps).size).toBe(steps.length)
      expect(errorsOf(standIn)).not.toEqual([])
    }))

  it('500 for ever: nothing arrives, the error is told, the run is ended', () =>
    points({ faults: [{ match: METRIC, kind: 'answer', status: 500 }] }, (standIn) => {
      expect(stepsOf(standIn)).toEqual([])
      expect(errorsOf(standIn)).not.toEqual([])
    }))

  it('a budget: 429s, then everything arrives within it, and the mark is taken back', () => {
    const budget = { max: 15, windowMs: 3_000 }
    return points({ budgets: { metric: budget } }, (standIn) => {
      expect(stepsOf(standIn)).toEqual(ALL)
      const batches = standIn.desk.log({ match: METRIC })
      expect(new Set(batches.map(({ status }) => status))).toEqual(new Set([200, 429]))
      expect(standIn.desk.experiment(KEY)!.throttled).toBe(false)
      expect(standIn.desk.log({ match: 'mark-not-throttled' })).toHaveLength(1)
      // All at once: the SDK sends it in one go at the end, however slow the machine is.
    }, 1)
  })
})
