import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RankzeroError } from '../../lib/errors.ts'
import { jsonLine } from '../../lib/record/row.ts'
import { brief, csvLine, duration, table, tell } from '../../lib/cli/output.ts'

describe('a JSON line', () => {
  test('gives every value back, -0 and null included; undefined is left out', () => {
    const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string(), fc.boolean(),
      fc.constant(null), fc.constant(-0))
    fc.assert(fc.property(fc.dictionary(fc.string(), value), (object) => {
      expect(Object.entries(JSON.parse(jsonLine(object)))).toEqual(Object.entries(object))
    }))
    expect(jsonLine({ a: -0, b: undefined, c: 'x\n' })).toBe('{"a":-0,"c":"x\\n"}\n')
  })
})

describe('a CSV line', () => {
  test.each([
    [[1, 'a', null, undefined, true], '1,a,,,true\n'],
    [[-0, 'a,b', 'say "x"', 'two\nlines'], '-0,"a,b","say ""x""","two\nlines"\n'],
  ])('%j', (values, line) => { expect(csvLine(values)).toBe(line) })
})

test('a table sets numbers to the right and text to the left', () => {
  expect(table(['name', 'points', 'lag'], [['a', '1,234', '3 ms'], ['long', 5, null]])).toBe([
    'name  points   lag', 'a      1,234  3 ms', 'long       5     –', '',
  ].join('\n'))
})

test.each([
  [0, '0 ms'], [999.4, '999 ms'], [1500, '1.5 s'], [61_000, '1 min 01 s'], [3_780_000, '1 h 03 min'],
])('%d ms is %s', (ms, text) => { expect(duration(ms)).toBe(text) })

test.each([
  [0.1 + 0.2, '0.3'], [1e-9, '1e-9'], [123456, '123456'], [null, '–'], ['NaN', 'NaN'],
  [2 ** 53, '9007200000000000'],
])('%s is shown as %s', (value, text) => { expect(brief(value)).toBe(text) })

test('an error has its code, its remedy and its exit status', () => {
  const seen: string[] = []
  const write = process.stderr.write
  process.stderr.write = ((text: string) => seen.push(text) > 0) as typeof write
  try {
    expect(tell(new RankzeroError('COLLISION', "key 'k' is held", 'wait'))).toBe(75)
    expect(tell(new TypeError('x is undefined'))).toBe(1)
  } finally {
    process.stderr.write = write
  }
  expect(seen.slice(0, 2)).toEqual(["rankzero: key 'k' is held [COLLISION]\n", 'rankzero: to do: wait\n'])
  expect(seen[2]).toBe('rankzero: x is undefined\n')
})
