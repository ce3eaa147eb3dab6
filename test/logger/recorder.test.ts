import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { REENTRANT_MAX } from '../../lib/limits.ts'
import { Recorder } from '../../lib/logger/recorder.ts'
import { Kind } from '../../lib/record/index.ts'
import { FakeJournal } from './fake-journal.ts'

let journal: FakeJournal
let recorder: Recorder
let late = 0
beforeEach(() => {
  late = 0
  journal = new FakeJournal()
  recorder = new Recorder(journal, () => { late++ })
})
const log = (values: unknown, options?: unknown) => recorder.log(values as never, options as never)
const causes = () => recorder.refusals.report()?.causes ?? {}
const steps = () => journal.records.map((record) => record.step)

describe('values', () => {
  it('keeps each double bit for bit, and booleans as 0 and 1', () => {
    log({ a: 0.1 + 0.2, b: -0, c: NaN, d: Infinity, e: -Infinity, f: 2 ** 53, g: true, h: false, i: 5e-324 })
    expect(journal.records[0]!.values)
      .toEqual([0.1 + 0.2, -0, NaN, Infinity, -Infinity, 2 ** 53, 1, 0, 5e-324])
  })

  it('refuses what is no number, by cause, and keeps its neighbours', () => {
    const hostile = {
      a: 1, s: '1', n: null, u: undefined, b: 10n, o: { x: 1 }, y: Symbol('y'), f: () => 1, z: 2,
    }
    log(hostile)
    log({ ...hostile, get g() { throw new Error('no') } })
    expect(journal.points()).toEqual([['a', 0, 1], ['z', 0, 2], ['a', 1, 1], ['z', 1, 2]])
    expect(causes()).toEqual({ string: 2, null: 2, undefined: 2, bigint: 2, object: 4, symbol: 2, threw: 1 })
    expect(recorder.refusals.total).toBe(15)
    expect(journal.refused).toBe(15)
  })

  it('tells each cause once, with value, place and remedy', () => {
    for (let i = 0; i < 3; i++) log({ lr: 'fast' })
    const lines = recorder.refusals.takeLines()
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('log() of \'lr\' with "fast": a string is no number')
    expect(lines[0]).toContain('Log numbers or booleans')
    expect(recorder.refusals.takeLines()).toEqual([])
  })

  it.each([[undefined], [null], [5], ['loss'], [true], [[1, 2]], [() => 1], [new Map([['a', 1]])], [10n]])(
    'refuses a call with %s instead of an object, as one', (values) => {
      log(values)
      expect(causes()).toEqual({ values: 1 })
      expect(journal.records).toEqual([])
    })

  it('writes nothing for an empty object', () => {
    log({})
    expect([journal.records, recorder.refusals.total]).toEqual([[], 0])
  })

  it('takes proxies and survives traps that throw', () => {
    log(new Proxy({ a: 1 }, {}))
    const no = () => { throw new Error('trap') }
    log(new Proxy({ a: 1 }, { ownKeys: no }))
    log(new Proxy({ a: 1 }, { get: no }))
    log(new Proxy({ a: 1 }, { ownKeys: no, getPrototypeOf: no, get: no }), { step: -1 })
    log({ a: 2 }, new Proxy({}, { get: no }))
    expect(journal.points()).toEqual([['a', 0, 1]])
    expect(causes()).toEqual({ threw: 3, step: 1 })
  })

  it('counts the points of a full journal as lost, not as refused', () => {
    journal.full = true
    log({ a: 1, b: 2 })
    log({ a: 1, b: 2 })
    expect([journal.lost, recorder.refusals.total]).toEqual([4, 0])
  })

  it('never throws and never interleaves records, whatever is logged', () => {
    const thing = fc.anything({
      withBigInt: true, withNullPrototype: true, withTypedArray: true, withMap: true,
    })
    fc.assert(fc.property(fc.array(fc.tuple(thing, thing)), (calls) => {
      const other = new Recorder(new FakeJournal(), () => {})
      for (const [values, options] of calls) other.log(values as never, options as never)
    }))
  })
})

describe('names', () => {
  it('takes unicode, spaces, odd and long names as they are', () => {
    const names = [
      'ä b', '損失', '💥'.repeat(1024), 'x'.repeat(1024), '__proto__', 'constructor', '0', '\n', '\ud800',
    ]
    log(Object.fromEntries(names.map((name, i) => [name, i])))
    expect(new Set(journal.points().map(([name]) => name))).toEqual(new Set(names))
  })

  it('refuses names over 1,024 code points, and none', () => {
    log({ ['x'.repeat(1025)]: 1, ['💥'.repeat(1025)]: 1, '': 1, ok: 1 })
    expect(journal.points()).toEqual([['ok', 0, 1]])
    expect(causes()).toEqual({ name: 3 })
  })

  it('takes 10,000 names in one call, and splits layouts that are too large for a record', () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `${'m'.repeat(500)}${i}`)
    for (let step = 0; step < 3; step++) log(Object.fromEntries(names.map((name, i) => [name, i])), { step })
    expect(journal.points()).toHaveLength(30_000)
    expect(journal.points().slice(20_000).map(([name]) => name)).toEqual(names)
    expect(journal.layouts.size).toBeGreaterThan(5)
    for (const layout of journal.layouts.values()) expect(JSON.stringify(layout).length).toBeLessThan(600_000)
  })
})

describe('layouts', () => {
  it('are defined once per set and order of names, with alternating shapes too', () => {
    for (let i = 0; i < 20; i++) {
      log({ loss: i, acc: i })
      log({ acc: i, loss: i })
      if (i % 5 === 0) log({ val: i })
      log({ loss: i })
      log({ loss: i, acc: true, lr: i })
    }
    expect([...journal.layouts.values()]).toEqual([
      ['loss', 'acc'], ['acc', 'loss'], ['val'], ['loss'], ['loss', 'acc', 'lr'],
    ])
    expect(journal.points()).toHaveLength(20 * 8 + 4)
  })

  it('write what was logged for any sequence of shapes', () => {
    const key = fc.constantFrom('a', 'b', 'c', '1:a', '', '1')
    const call = fc.dictionary(key, fc.oneof(fc.double(), fc.boolean(), fc.constant('no')))
    fc.assert(fc.property(fc.array(call, { maxLength: 40 }), (calls) => {
      const fake = new FakeJournal()
      const other = new Recorder(fake, () => {})
      calls.forEach((values, step) => other.log(values as never, { step }))
      const expected = calls.flatMap((values, step) => Object.entries(values)
        .filter(([name, value]) => name !== '' && typeof value !== 'string')
        .map(([name, value]) => [name, step, Number(value)]))
      expect(fake.points()).toEqual(expected)
    }))
  })
})

describe('steps', () => {
  it('count from 0 before any is given, then repeat the last one given', () => {
    log({ a: 1 })
    log({ a: 1 })
    log({ a: 1 }, { step: 10 })
    log({ b: 1 })
    log({ a: 1 }, { step: 7 })
    log({ b: 1 }, {})
    expect(steps()).toEqual([0, 1, 10, 10, 7, 7])
  })

  it.each([[-1], [0.5], [NaN], [Infinity], [2 ** 53], ['5'], [5n], [{}], [true]])(
    'out of range (%s) void the call and change nothing', (step) => {
      log({ a: 1 }, { step: 3 })
      log({ a: 1, b: 2 }, { step })
      log({ a: 1 })
      expect(steps()).toEqual([3, 3])
      expect(causes()).toEqual({ step: 2 })
      expect(recorder.refusals.report()!.values).toEqual({ a: 1, b: 1 })
    })

  it('may be 0, -0 and 2^53-1', () => {
    for (const step of [0, -0, Number.MAX_SAFE_INTEGER]) log({ a: 1 }, { step })
    expect(steps()).toEqual([0, 0, Number.MAX_SAFE_INTEGER])
  })
})

describe('weights', () => {
  it('are written when they are given, and count as 1 when they cannot be used, told once', () => {
    for (const weight of [2.5, 0, -1, NaN, Infinity, '3', undefined, null]) log({ a: 1 }, { weight })
    expect(journal.records.map((record) => record.weight)).toEqual([2.5, 1, 1, 1, 1, 1, NaN, NaN])
    expect(recorder.refusals.takeLines()).toHaveLength(1)
    expect(recorder.refusals.total).toBe(0)
  })
})

describe('calls from within a call', () => {
  it('are written after it', () => {
    log({ a: 1, get b() { log({ inner: 5 }); recorder.text('within'); return 2 } }, { step: 4 })
    log({ a: 3, b: 4 })
    expect(journal.points().filter(([name]) => name !== 'inner')).toEqual([
      ['a', 4, 1], ['b', 4, 2], ['a', 4, 3], ['b', 4, 4],
    ])
    expect(journal.points().filter(([name]) => name === 'inner').length).toBeGreaterThan(0)
    expect(journal.payloads[0]).toEqual({ kind: Kind.text, body: { line: 'within' } })
  })

  it('are bounded when they never end', () => {
    const endless = { get a(): number { log(endless); return 1 } }
    log(endless)
    expect(journal.records.length).toBeLessThanOrEqual(REENTRANT_MAX + 1)
    expect(causes()).toMatchObject({ nested: expect.any(Number) })
    log({ a: 1 })
    expect(journal.points().at(-1)![0]).toBe('a')
  })
})

describe('params, text, define, resume', () => {
  it('are written as JSON, whatever is in them', () => {
    const circular: Record<string, unknown> = {
      lr: 0.1, big: 10n, nan: NaN, at: new Date(0), list: new Set([1]),
    }
    circular.self = circular
    recorder.params(circular)
    recorder.define('loss/*', { reduce: 'max' })
    recorder.resume({ step: 5 })
    recorder.text('ä\n')
    expect(journal.payloads.map(({ body }) => body)).toEqual([
      {
        params: {
          lr: 0.1, big: '10', nan: 'NaN', at: '1970-01-01T00:00:00.000Z', list: [1], self: '[circular]',
        },
      },
      { metric: 'loss/*', reduce: 'max' }, { step: 5 }, { line: 'ä\n' },
    ])
  })

  it('cut a text over a record at a whole character, and mark it', () => {
    for (const part of ['x', '💥', '\u0001', 'ä']) recorder.text(part.repeat(10_000_000 / part.length))
    for (const { body } of journal.payloads) {
      expect(body.cut).toBe(true)
      expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThan(2 ** 20)
      expect(Buffer.byteLength(JSON.stringify(body))).toBeGreaterThan(1_030_000)
      expect(body.line).toMatch(/^(x+|💥+|\u0001+|ä+)$/u)
    }
    expect(journal.payloads).toHaveLength(4)
  })

  it('write large params one by one, and leave out the one that is too large', () => {
    recorder.params({ a: 'x'.repeat(900_000), b: 'y'.repeat(900_000), c: 'z'.repeat(2_000_000) })
    expect(journal.payloads.map(({ body }) => Object.keys(body.params))).toEqual([['a'], ['b']])
    expect(recorder.refusals.takeLines()).toHaveLength(1)
  })

  it('never throw, and tell what they leave out', () => {
    const no = new Proxy({}, { ownKeys() { throw new Error('trap') }, get() { throw new Error('trap') } })
    for (const bad of [no, undefined, null, 5, [1]]) recorder.params(bad as never)
    recorder.text(Object.create(null) as string)
    for (const bad of [no, undefined, { reduce: 'median' }]) recorder.define('a', bad as never)
    recorder.define('', { reduce: 'mean' })
    for (const bad of [no, undefined, { step: -1 }, { step: '5' }]) recorder.resume(bad as never)
    expect(journal.payloads).toEqual([])
    expect(recorder.refusals.takeLines()).toHaveLength(4)
  })
})

describe('the reports', () => {
  it('of refusals hold what came since the last one', () => {
    log({ a: 'x', b: 1 })
    recorder.report()
    recorder.report()
    log({ a: null, c: 'x' })
    recorder.report()
    expect(journal.payloads).toEqual([
      { kind: Kind.refused, body: { values: { a: 1 }, causes: { string: 1 } } },
      { kind: Kind.refused, body: { values: { a: 1, c: 1 }, causes: { null: 1, string: 1 } } },
    ])
  })

  it('wait while the journal is full', () => {
    log({ a: 'x' })
    journal.full = true
    recorder.report()
    journal.full = false
    recorder.report()
    expect(journal.payloads).toHaveLength(1)
  })

  it('of the end count what was logged, lost ones included, and what was refused', () => {
    log({ a: 1, b: 'no' })
    journal.full = true
    log({ a: 1 })
    recorder.end(3, { type: 'Error', message: 'm' })
    recorder.end(0, null)
    expect(journal.payloads).toEqual([
      { kind: Kind.end, body: { exit: 3, error: { type: 'Error', message: 'm' }, logged: 2, refused: 1 } },
    ])
  })

  it('tell of calls after the end, which write nothing', () => {
    recorder.end(0, null)
    log({ a: 1 })
    recorder.text('x')
    expect([journal.records, late]).toEqual([[], 2])
    expect(recorder.refusals.takeLines()[0]).toContain('run.end() was called before')
  })

  it('end a process that leaves in the middle of a call', () => {
    log({ a: 1, get b(): number { log({ c: 1 }); recorder.end(3, null); return 1 } })
    expect(journal.payloads.at(-1)).toMatchObject({ kind: Kind.end, body: { exit: 3 } })
  })
})
