import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CONSOLE_LINE_CHARS_MAX, CONSOLE_SETTLE_MS } from '../../lib/limits-console.ts'
import { Lines, uncoloured } from '../../lib/record/lines.ts'

function linesOf(...pieces: string[]): string[] {
  const lines = new Lines()
  return [...pieces.flatMap((piece) => lines.push(piece, 0)), ...lines.flush()]
}

describe('lines of a console', () => {
  it.each([
    ['plain', 'a\nb\n\nc', ['a', 'b', '', 'c']],
    ['with Windows ends', 'a\r\nb\r\n', ['a', 'b']],
    ['of a progress bar: the last state', '\r 10%\r 50%\r100%\ndone\n', ['100%', 'done']],
    ['of a bar without an end', 'x\n\r 10%\r 50%', ['x', ' 50%']],
    ['of a bar that returns to the start last', '10%\r50%\r', ['50%']],
    ['of a bar that is wiped with blanks', '\r10%\r    \rnext\n', ['next']],
    ['of a bar that is wiped with blanks at the end', 'x\n\r10%\r    \r', ['x']],
    ['of a bar that is erased', '10%\r\x1b[Knext\n', ['next']],
    ['of a bar that is erased as a whole', '10%\x1b[2K\rnext\n', ['next']],
    ['of a spinner', '-\b\\\b|\b/\bok\n', ['ok']],
    ['with colours', '\x1b[1;31mred\x1b[0m\n', ['\x1b[1;31mred\x1b[0m']],
    ['with a coloured bar', '\r\x1b[32m1\x1b[0m\r\x1b[32m2\x1b[0m\n', ['\x1b[32m2\x1b[0m']],
    ['without a title, a bell, a hidden cursor', '\x1b]0;title\x07a\x07\x1b[?25lb\x1b(Bc\n', ['abc']],
    ['without eight-bit controls', 'a\x9bb\x85c\n', ['abc']],
    ['with tabs and wide characters', 'a\tb 漢字 🎉\n', ['a\tb 漢字 🎉']],
  ])('%s', (_, text, expected) => {
    expect(linesOf(text)).toEqual(expected)
    expect(linesOf(...text)).toEqual(expected)
  })

  it('that are too long are cut, and say by how much', () => {
    const [line] = linesOf('x'.repeat(CONSOLE_LINE_CHARS_MAX), 'yz', '\n')
    expect(line).toBe(`${'x'.repeat(CONSOLE_LINE_CHARS_MAX)}… [2 more characters]`)
    const lines = new Lines()
    for (let i = 0; i < 1000; i++) lines.push('x'.repeat(100_000), 0)
    expect(lines.open()!.text.length).toBeLessThan(CONSOLE_LINE_CHARS_MAX + 100)
  })

  it('of bars below each other: each state once at the end, not one line per move', () => {
    const lines = new Lines()
    const out: string[] = []
    const write = (text: string, now: number): void => void out.push(...lines.push(text, now))
    write('\router 0', 0)
    for (let i = 1; i < 100; i++) {
      for (const piece of ['\n', `\rinner ${i}`, '\x1b[A', `\router ${i}`]) write(piece, i)
    }
    expect(lines.open()).toMatchObject({ text: 'outer 99', rewritten: true })
    write('\n', 100)
    write('\n', 100)
    write('done\n', 101)
    expect(lines.unsettled).toBe(true)
    out.push(...lines.settle(100 + CONSOLE_SETTLE_MS - 1))
    // The first move down looked like the end of the outer bar.
    expect(out).toEqual(['outer 0'])
    out.push(...lines.settle(101 + CONSOLE_SETTLE_MS), ...lines.flush())
    expect(out).toEqual(['outer 0', 'outer 99', 'inner 99', 'done'])
    expect(lines.unsettled).toBe(false)
  })

  it('shows what is being written, and whether it is a bar', () => {
    const lines = new Lines()
    expect(lines.open()).toBeNull()
    lines.push('name? ', 5)
    expect(lines.open()).toEqual({ text: 'name? ', rewritten: false, touchedAt: 5 })
    lines.push('\r10%', 6)
    expect(lines.open()).toEqual({ text: '10%', rewritten: true, touchedAt: 6 })
    lines.push('\n', 7)
    expect(lines.open()).toBeNull()
  })

  it('do not depend on where the text is cut', () => {
    const text = fc.array(fc.constantFrom(
      'a', 'bc', ' ', '\n', '\r', '\r\n', '\b', '\t', '\x1b[31m', '\x1b[K', '\x1b[2K', '\x1b[1G',
      '\x1b]0;t\x07', '\x1b[?25h', '\x1b', '[', 'é', '\x9b',
    ), { maxLength: 40 }).map((parts) => parts.join(''))
    fc.assert(fc.property(text, fc.array(fc.nat(80), { maxLength: 6 }), (whole, cuts) => {
      const at = [0, ...cuts.filter((cut) => cut <= whole.length).sort((a, b) => a - b), whole.length]
      const pieces = at.slice(1).map((end, i) => whole.slice(at[i], end))
      expect(linesOf(...pieces)).toEqual(linesOf(whole))
    }), { numRuns: 500 })
  })

  it('never hold more than text and colours, and never too many rows', () => {
    const noise = fc.array(fc.oneof(
      fc.string({ unit: 'binary', maxLength: 5 }),
      fc.constantFrom(
        '\n', '\r', '\x1b[A', '\x1b[999A', '\x1b[B', '\x1b[999B', '\x1b[J', '\x1b[5F', '\x1b[2E'),
    ), { maxLength: 100 })
    fc.assert(fc.property(noise, (pieces) => {
      const control = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/
      expect(linesOf(...pieces).filter((line) => control.test(uncoloured(line)))).toEqual([])
    }))
  })
})
