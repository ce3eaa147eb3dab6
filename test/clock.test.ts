import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { atMost, Pulse } from '../lib/clock.ts'

beforeEach(() => { vi.useFakeTimers() })
afterEach(() => { vi.useRealTimers() })

/** When `act` was called, ms from now on. */
function recorder(): { times: number[]; act: () => void } {
  const begun = performance.now()
  const times: number[] = []
  return { times, act: () => times.push(performance.now() - begun) }
}

describe('a pulse', () => {
  test('beats when nobody kicks it', () => {
    const { times, act } = recorder()
    const pulse = new Pulse(100, 250, act)
    vi.advanceTimersByTime(800)
    expect(times).toEqual([250, 500, 750])
    pulse.stop()
    vi.advanceTimersByTime(1000)
    expect(times).toHaveLength(3)
  })

  test('follows a kick at once after a rest, and once after several', () => {
    const { times, act } = recorder()
    const pulse = new Pulse(100, 250, act)
    for (const at of [120, 130, 140, 210, 211]) setTimeout(() => { pulse.kick() }, at)
    vi.advanceTimersByTime(600)
    expect(times).toEqual([121, 221, 471])
    pulse.stop()
  })

  test('may be kicked by what it does, and not after its end', () => {
    const { times, act } = recorder()
    const pulse: Pulse = new Pulse(100, 250, () => {
      act()
      if (times.length < 3) pulse.kick()
    })
    vi.advanceTimersByTime(500)
    expect(times).toEqual([250, 350, 450])
    pulse.stop()
    pulse.kick()
    vi.advanceTimersByTime(500)
    expect(times).toHaveLength(3)
  })
})

test('what is to be done at most so often is, and less often when it takes long', () => {
  const { times, act } = recorder()
  let takes = 1
  const often = atMost(500, 0.1, () => {
    act()
    vi.advanceTimersByTime(takes)
  })
  const during = (ms: number): void => {
    for (const end = performance.now() + ms; performance.now() < end; vi.advanceTimersByTime(1)) often()
  }
  during(1200)
  takes = 200
  during(3000)
  const pauses = times.slice(1).map((at, i) => at - times[i]!)
  expect(pauses.slice(0, 3).every((pause) => pause >= 500 && pause < 503)).toBe(true)
  expect(pauses.at(-1)).toBe(2000)
})
