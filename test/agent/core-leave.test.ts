import { describe, expect, test } from 'vitest'
import { mayLeave, type LeaveFacts } from '../../lib/agent/core-leave.ts'
import { Starter } from '../../lib/agent/core-starter.ts'
import {
  AGENT_LINGER_MS, HEAD_PATIENCE_MS, HEAD_START_AFTER_MS, HEAD_START_PAUSE_MS_MAX,
} from '../../lib/limits.ts'

type Over = Partial<Omit<LeaveFacts, 'headSeenAt' | 'delivered'> & { headSeenAt: number; delivered: boolean }>
const at = ({ headSeenAt = -Infinity, delivered = false, ...over }: Over) => mayLeave({
  now: 100_000, open: 1, emptySince: null, orphanedSince: null, refused: false, progressAt: 0,
  headSeenAt: () => headSeenAt, termAt: null, delivered: () => delivered, exitTimeoutMs: 10_000, ...over,
})

describe('when the agent leaves', () => {
  test('it stays while an owner lives, whatever the head does', () => {
    expect(at({})).toBe('stay')
    expect(at({ refused: true })).toBe('stay')
  })

  test('it lingers after the last END, for whoever comes', () => {
    expect(at({ open: 0, emptySince: 100_000 - AGENT_LINGER_MS + 1 })).toBe('stay')
    expect(at({ open: 0, emptySince: 100_000 - AGENT_LINGER_MS })).toBe('done')
  })

  test('records of the dead wait for a missing head as long as an exit may, longer for one there', () => {
    expect(at({ orphanedSince: 90_001 })).toBe('stay')
    expect(at({ orphanedSince: 90_000 })).toBe('left')
    expect(at({ orphanedSince: 90_000, progressAt: 99_000 })).toBe('stay')
    expect(at({ orphanedSince: 80_000, headSeenAt: 90_001 })).toBe('stay')
    expect(at({ orphanedSince: 80_000, headSeenAt: 90_000 })).toBe('left')
    expect(at({ orphanedSince: 100_000 - HEAD_PATIENCE_MS, headSeenAt: 100_000 })).toBe('left')
  })

  test('what is refused is put away soon after the last owner has gone', () => {
    expect(at({ orphanedSince: 99_900, refused: true })).toBe('stay')
    expect(at({ orphanedSince: 100_000 - AGENT_LINGER_MS, refused: true })).toBe('left')
  })

  test('after TERM it goes as soon as all is delivered, and at the latest when time is up', () => {
    expect(at({ termAt: 99_999 })).toBe('stay')
    expect(at({ termAt: 99_999, delivered: true })).toBe('done')
    expect(at({ termAt: 90_000 })).toBe('left')
  })
})

describe('when the agent starts a head', () => {
  test('after none was there for a moment, then with pauses that double up to a bound', () => {
    const starter = new Starter()
    const starts: number[] = []
    for (let now = 0; now < 120_000; now += 10) if (starter.due(now, false, true)) starts.push(now)
    expect(starts[0]).toBe(HEAD_START_AFTER_MS)
    const pauses = starts.slice(1).map((start, i) => start - starts[i]!)
    expect(pauses.slice(0, 3)).toEqual([400, 800, 1600])
    expect(Math.max(...pauses)).toBe(HEAD_START_PAUSE_MS_MAX)
  })

  test('never while one is there, nor without rank 0 on its node', () => {
    const starter = new Starter()
    for (let now = 0; now < 10_000; now += 10) {
      expect(starter.due(now, true, true)).toBe(false)
    }
    const other = new Starter()
    for (let now = 0; now < 10_000; now += 10) {
      expect(other.due(now, false, false)).toBe(false)
    }
  })
})
