import { describe, expect, it } from 'vitest'
import { Shapes, type Layout } from '../../lib/logger/shapes.ts'

function shapesOf(max: { names: number; layouts: number }) {
  const defined: Layout[] = []
  return { defined, shapes: new Shapes((layout) => defined.push(layout), max) }
}

describe('shapes', () => {
  it('are one per list of names, also where joined names look alike', () => {
    const { shapes, defined } = shapesOf({ names: 100, layouts: 100 })
    const lists = [['a', 'b'], ['ab'], ['a1:b'], ['b', 'a'], ['1:a', 'b'], ['1', 'a1:b']]
    expect(new Set(lists.map((names) => shapes.of(names))).size).toBe(lists.length)
    expect(lists.map((names) => shapes.of(names).names)).toEqual(lists)
    expect(defined.map(({ names }) => names)).toEqual(lists)
  })

  it.each([['layouts', { names: 100, layouts: 2 }], ['names held', { names: 5, layouts: 100 }]])(
    'beyond the limit of %s are made of layouts of one name, each defined once', (_, max) => {
      const { shapes, defined } = shapesOf(max)
      shapes.of(['a', 'b'])
      shapes.of(['b', 'c'])
      const odd = shapes.of(['a', 'c'])
      expect(odd.id).toBe(-1)
      expect(odd.layouts.map(({ names }) => names)).toEqual([['a'], ['c']])
      expect(shapes.of(['c', 'a']).layouts).toEqual([...odd.layouts].reverse())
      expect(defined).toHaveLength(4)
      expect(shapes.of(['a', 'b']).id).toBe(defined[0]!.id)
    })

  it('admit names up to the limit, and known ones for ever', () => {
    const { shapes } = shapesOf({ names: 2, layouts: 9 })
    const admitted = ['a', 'b', 'c', 'a', 'b'].map((name) => shapes.admit(name))
    expect(admitted).toEqual([true, true, false, true, true])
  })
})
