import { describe, expect, test } from 'vitest'
import { Blocks, slotsOf, widthOf } from '../../lib/aggregator/core-blocks.ts'
import { Metrics } from '../../lib/aggregator/core-metrics.ts'
import { HOLDER, type Block } from '../../lib/aggregator/core-model.ts'

const shape = new Metrics().shape(['a', 'b'])

const holders = (block: Block): number[] => Array.from({ length: slotsOf(block) }, (_, slot) =>
  block.data[block.at + slot * widthOf(shape) + HOLDER]!)

const fill = (block: Block): void => {
  block.data.fill(7, block.at, block.at + block.size)
}

describe('memory of open rows', () => {
  test('is used again, and comes empty however it was left', () => {
    const blocks = new Blocks()
    for (const slots of [3, 40, 5000]) {
      const first = blocks.open(shape, 0, slots, 0)
      const { data, at } = first
      fill(first)
      blocks.close(first)
      const second = blocks.open(shape, 1, slots, 0)
      expect([second.data === data, second.at]).toEqual([true, at])
      expect(holders(second).every((holder) => holder === 0)).toBe(true)
    }
  })

  test('grows with what is in it, and the new slots are empty', () => {
    const blocks = new Blocks()
    const used = blocks.open(shape, 0, 40, 0)
    fill(used)
    blocks.close(used)
    const small = blocks.open(shape, 1, 3, 0)
    fill(small)
    const had = slotsOf(small)
    blocks.grow(small, 40)
    expect(holders(small).slice(0, had).every((holder) => holder === 7)).toBe(true)
    expect(holders(small).slice(had).every((holder) => holder === 0)).toBe(true)
  })

  test('never gives one place to two blocks, and counts what is open', () => {
    const blocks = new Blocks()
    const open = Array.from({ length: 300 }, (_, i) => blocks.open(shape, i, 1 + ((i * 37) % 900), 0))
    const places = open.map(({ data, at, size }) => ({ data, at, end: at + size }))
    for (const [i, one] of places.entries()) {
      for (const other of places.slice(i + 1)) {
        expect(one.data === other.data && one.at < other.end && other.at < one.end).toBe(false)
      }
    }
    expect(blocks.bytes).toBeGreaterThan(open.reduce((sum, { size }) => sum + 8 * size, 0))
    for (const block of open) blocks.close(block)
    expect(blocks.bytes).toBe(0)
  })
})
