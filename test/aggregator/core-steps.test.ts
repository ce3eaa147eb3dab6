import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { StepSet, toRuns, type Run } from '../../lib/aggregator/core-steps.ts'

const expand = (runs: readonly Run[]): number[] =>
  runs.flatMap(([start, stride, count]) => Array.from({ length: count }, (_, i) => start + stride * i))

const setOf = (steps: readonly number[]): StepSet => {
  const set = new StepSet()
  for (const step of steps) set.add(step)
  return set
}

describe('a set of steps', () => {
  test('holds exactly what was added, in any order', () => {
    const steps = fc.array(fc.oneof(fc.nat(60), fc.nat(5000), fc.maxSafeNat()), { maxLength: 300 })
    fc.assert(fc.property(steps, steps, (added, asked) => {
      const set = setOf(added)
      const naive = new Set(added)
      for (const step of [...asked, ...added]) expect(set.has(step)).toBe(naive.has(step))
      expect(set.top).toBe(added.length === 0 ? -1 : Math.max(...added))
      expect(expand(set.toRuns())).toEqual([...naive].sort((a, b) => a - b))
      for (const step of [...asked, ...added]) expect(set.has(step)).toBe(naive.has(step))
    }))
  })

  test('says whether a step is new', () => {
    const set = setOf([5, 1])
    expect([set.add(5), set.add(1), set.add(3), set.add(3)]).toEqual([false, false, true, false])
  })

  test('stays right through bulk merges of thousands of steps out of order', () => {
    const steps = Array.from({ length: 5000 }, (_, i) => (i * 2741) % 5003)
    expect(expand(setOf(steps).toRuns())).toEqual([...steps].sort((a, b) => a - b))
  })

  test('is one run for a training loop, also when odd steps come after even ones', () => {
    expect(toRuns(Array.from({ length: 100_000 }, (_, i) => 50 * i))).toEqual([[0, 50, 100_000]])
    const even = Array.from({ length: 1000 }, (_, i) => 2 * i)
    expect(setOf([...even, ...even.map((step) => step + 1)]).toRuns()).toEqual([[0, 1, 2000]])
  })

  test('reaches to 2^53 - 1', () => {
    const top = Number.MAX_SAFE_INTEGER
    const set = setOf([0, top, top - 1])
    expect([set.has(top), set.has(top - 1), set.has(top - 2)]).toEqual([true, true, false])
  })

  test('is not changed through its copy', () => {
    const set = setOf([1, 2, 9, 4])
    const copy = set.copy()
    copy.add(3)
    copy.add(10)
    expect(expand(set.toRuns())).toEqual([1, 2, 4, 9])
    expect(expand(copy.toRuns())).toEqual([1, 2, 3, 4, 9, 10])
  })
})
