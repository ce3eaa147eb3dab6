import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  blockLine, Collapser, parseBlock, prefixOf, shownBlock, type Block, type Said, type Stream,
} from '../../lib/launch/core-collapse.ts'

const BOUNDS = { holdMs: 250, lines: 1000, chars: 1e6 }

/** Lines as `rank text` at equal times; what is shown. */
function collapse(ranks: number, ...said: string[]): string[] {
  const collapser = new Collapser(BOUNDS)
  for (let rank = 0; rank < ranks; rank++) collapser.open(rank)
  for (const one of said) {
    const at = one.indexOf(' ')
    collapser.add({ rank: Number(one.slice(0, at)), stream: 'stdout', line: one.slice(at + 1), time: 5 }, 0)
  }
  return collapser.flush().map((block) => shownBlock(block).trimEnd())
}

describe('equal lines', () => {
  it('of all ranks are one, of some are one, and the one that differs stands apart', () => {
    expect(collapse(3, '0 a', '1 a', '2 a', '1 b', '0 b', '2 other', '0 c', '1 c', '2 c')).toEqual([
      'ranks 0–2: a', 'ranks 0–1: b', 'rank 2: other', 'ranks 0–2: c',
    ])
  })
  it('meet in spite of lines in between that only one rank says', () => {
    expect(collapse(2, '0 mine 0', '0 x', '0 y', '1 mine 1', '1 more', '1 x', '1 y')).toEqual([
      'rank 0: mine 0', 'rank 1: mine 1', 'rank 1: more', 'ranks 0–1: x', 'ranks 0–1: y',
    ])
  })
  it('meet the k-th with the k-th', () => {
    expect(collapse(2, '0 a', '0 a', '0 b', '1 a', '1 a', '1 a', '1 b')).toEqual([
      'ranks 0–1: a', 'ranks 0–1: a', 'rank 1: a', 'ranks 0–1: b',
    ])
  })
  it('do not meet when that would turn the order of a rank', () => {
    expect(collapse(2, '0 a', '0 b', '1 b', '1 a')).toEqual(['rank 0: a', 'ranks 0–1: b', 'rank 1: a'])
  })
  it('that differ in a number only are not equal', () => {
    expect(collapse(2, '0 loss 1', '1 loss 2')).toEqual(['rank 0: loss 1', 'rank 1: loss 2'])
  })
  it('on different streams are not equal', () => {
    const collapser = new Collapser(BOUNDS)
    collapser.add({ rank: 0, stream: 'stdout', line: 'a', time: 1 }, 0)
    collapser.add({ rank: 1, stream: 'stderr', line: 'a', time: 1 }, 0)
    expect(collapser.flush()).toHaveLength(2)
  })
})

describe('waiting', () => {
  const said = (rank: number, line: string): Said => ({ rank, stream: 'stdout', line, time: 0 })
  it('ends when all ranks have said it, or when the time is up', () => {
    const collapser = new Collapser(BOUNDS)
    collapser.open(0)
    collapser.open(1)
    collapser.add(said(0, 'a'), 0)
    expect(collapser.due(249)).toEqual([])
    collapser.add(said(1, 'a'), 249)
    expect(collapser.due(249)).toMatchObject([{ ranks: [0, 1] }])
    collapser.add(said(0, 'b'), 300)
    expect(collapser.due(549)).toEqual([])
    expect(collapser.due(550)).toMatchObject([{ ranks: [0], line: 'b' }])
    expect(collapser.waiting).toBe(0)
  })
  it('is not for a rank that has gone', () => {
    const collapser = new Collapser(BOUNDS)
    for (const rank of [0, 1, 2]) collapser.open(rank)
    collapser.add(said(0, 'a'), 0)
    collapser.close(2)
    collapser.add(said(1, 'a'), 0)
    expect(collapser.due(0)).toHaveLength(1)
    collapser.add(said(0, 'b'), 0)
    collapser.close(0)
    collapser.add(said(1, 'b'), 0)
    expect(collapser.due(0)).toMatchObject([{ ranks: [0, 1] }])
  })
  it('is bounded in lines and characters', () => {
    const collapser = new Collapser({ holdMs: 1e9, lines: 10, chars: 50 })
    collapser.open(9)
    for (let i = 0; i < 100; i++) collapser.add(said(0, `line ${i}`), 0)
    expect(collapser.due(0).length + collapser.waiting).toBe(100)
    expect(collapser.waiting).toBeLessThan(10)
    expect(collapser.flush().at(-1)).toMatchObject({ line: 'line 99' })
  })
})

interface Step { rank: number; stream: Stream; line: string; pause: number }

const steps = (ranks: number, texts: number): fc.Arbitrary<Step[]> => fc.array(fc.record({
  rank: fc.nat(ranks - 1), stream: fc.constantFrom<Stream>('stdout', 'stdout', 'stderr'),
  line: fc.nat(texts).map((n) => `text ${n}`),
  pause: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(300) }),
}), { maxLength: 200 })

describe('laws, for any lines of any ranks', () => {
  it('each line is shown once, by the ranks that said it, in their order, in time', () => {
    fc.assert(fc.property(
      steps(5, 6), fc.constantFrom(3, 20, 1000), fc.option(fc.nat(4)), (said, lines, closed) => {
        const collapser = new Collapser({ holdMs: 250, lines, chars: 1e6 })
        for (let rank = 0; rank < 5; rank++) collapser.open(rank)
        const shown: Block[] = []
        const addedAt: number[] = []
        let now = 0
        for (const [i, { rank, stream, line, pause }] of said.entries()) {
          now += pause
          if (i === 50 && closed !== null) collapser.close(closed)
          // Unique times tell lines with one text apart.
          collapser.add({ rank, stream, line, time: i }, now)
          addedAt.push(now)
          const due = collapser.due(now)
          for (const { time } of due) expect(now - addedAt[time]!).toBeLessThanOrEqual(250 + pause)
          shown.push(...due)
          expect(collapser.waiting).toBeLessThanOrEqual(lines)
          const heard = addedAt.filter((at) => now - at >= 250).length
          const out = shown.reduce((sum, { ranks }) => sum + ranks.length, 0)
          expect(out).toBeGreaterThanOrEqual(heard)
        }
        shown.push(...collapser.flush())
        for (let rank = 0; rank < 5; rank++) {
          const own = said.filter((one) => one.rank === rank).map(({ stream, line }) => `${stream} ${line}`)
          const seen = shown.filter(({ ranks }) => ranks.includes(rank))
          expect(seen.map(({ stream, line }) => `${stream} ${line}`)).toEqual(own)
        }
        for (const { ranks } of shown) expect(new Set(ranks).size).toBe(ranks.length)
      },
    ), { numRuns: 300 })
  })
  it('ranks that say the same in the same order are one rank, however they are mixed', () => {
    const mixed = fc.tuple(fc.array(fc.nat(3), { maxLength: 30 }), fc.array(fc.nat(3), { maxLength: 120 }))
    fc.assert(fc.property(mixed, ([script, turns]) => {
      const collapser = new Collapser(BOUNDS)
      const at = [0, 0, 0, 0]
      for (const rank of [...turns, ...at.flatMap((_, r) => script.map(() => r))]) {
        const text = script[at[rank]!++]
        if (text !== undefined) collapser.add({ rank, stream: 'stdout', line: `${text}`, time: 0 }, 0)
      }
      const shown = collapser.flush()
      expect(shown.map(({ line }) => Number(line))).toEqual(script)
      for (const { ranks } of shown) expect(ranks).toEqual([0, 1, 2, 3])
    }))
  })
})

describe('a block', () => {
  it('is shown with its ranks, colours closed, further lines below', () => {
    expect(prefixOf([0, 1, 2, 5])).toBe('ranks 0–2,5: ')
    expect(shownBlock({ ranks: [3], line: '\x1b[31mred' })).toBe('rank 3: \x1b[31mred\x1b[0m\n')
    expect(shownBlock({ ranks: [3], line: 'a\nb' })).toBe('rank 3: a\n        b\n')
  })
  it('comes back from its file, and half a line does not', () => {
    const block: Block = { time: 7, ranks: [0, 1, 2, 9], stream: 'stderr', line: 'a "b"' }
    expect(blockLine(block)).toBe('{"time":7,"ranks":"0-2,9","stream":"stderr","line":"a \\"b\\""}\n')
    expect(parseBlock(blockLine(block))).toEqual(block)
    expect(parseBlock(blockLine({ ...block, stream: null }))).toEqual({ ...block, stream: null })
    for (const text of ['', '{"time":7,"ran', '[]', 'null', '{"time":7,"ranks":[0],"line":"a"}']) {
      expect(parseBlock(text)).toBeNull()
    }
  })
})
