import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drainIntervalMs, pauseMs } from '../../lib/agent/core-pace.ts'
import {
  DRAIN_BUSY_MS, DRAIN_INTERVAL_MS, DRAIN_INTERVAL_MS_MAX, DRAIN_ROUND_BYTES, HEAD_BATCHES_PER_S,
} from '../../lib/limits.ts'

const worlds = fc.integer({ min: 0, max: 2 ** 20 })

describe('the pace of an agent', () => {
  it('is that of a small job up to 800 ranks, and bounds what a head hears of more', () => {
    expect(drainIntervalMs(0)).toBe(DRAIN_INTERVAL_MS)
    expect(drainIntervalMs(800)).toBe(DRAIN_INTERVAL_MS)
    expect(drainIntervalMs(2048)).toBe(500)
    fc.assert(fc.property(worlds, (ranks) => {
      const ms = drainIntervalMs(ranks)
      expect(ms).toBeGreaterThanOrEqual(DRAIN_INTERVAL_MS)
      expect(ms).toBeLessThanOrEqual(DRAIN_INTERVAL_MS_MAX)
      if (ms < DRAIN_INTERVAL_MS_MAX) expect(ranks * 1000 / ms).toBeLessThanOrEqual(HEAD_BATCHES_PER_S + 1e-6)
    }))
  })

  it('follows what comes: a steady stream is read when DRAIN_ROUND_BYTES of it may be there', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1e9 }), worlds, (bytesPerS, ranks) => {
      let pause = drainIntervalMs(ranks)
      for (let round = 0; round < 20; round++) pause = pauseMs(bytesPerS * pause / 1000, pause, ranks)
      const wanted = 1000 * DRAIN_ROUND_BYTES / bytesPerS
      expect(pause).toBeCloseTo(Math.min(drainIntervalMs(ranks), Math.max(DRAIN_BUSY_MS, wanted)), 3)
    }))
  })

  it('rests as long as it may when nothing came, also in the first round of all', () => {
    expect(pauseMs(0, 50, 8)).toBe(DRAIN_INTERVAL_MS)
    expect(pauseMs(0, Infinity, 8)).toBe(DRAIN_INTERVAL_MS)
    expect(pauseMs(100, Infinity, 8)).toBe(DRAIN_INTERVAL_MS)
  })
})
