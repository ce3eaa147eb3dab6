/** The pure cores of backend comet: keys, names, values, answers, budgets, lines of an archive. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { outcomeOf, skewOf } from '../../lib/backend/comet/core-answer.ts'
import { metricLine } from '../../lib/backend/comet/core-archive.ts'
import { factsOf, tellings } from '../../lib/backend/comet/core-facts.ts'
import { cometKey, nameOf, rootOf, serverOfKey, textOf } from '../../lib/backend/comet/core-names.ts'
import { metricsOf } from '../../lib/backend/comet/core-values.ts'
import { Budget } from '../../lib/backend/core-budget.ts'
import { COMET_AUTH_RETRY_MS, COMET_THROTTLED_MS } from '../../lib/limits-comet.ts'
import type { RunStatus } from '../../lib/record/run-status.ts'
import type { Row } from '../../lib/record/row.ts'

const ROW: Row = {
  metric: 'm', step: 3, value: 2, count: 2, expected: 2, mean: 2, min: 1, max: 3, minRank: 0, maxRank: 1,
  std: 1, sum: 4, median: 2, p95: 3, last: 3, nan: 0, inf: 0, sealed: true, amended: false,
}
const rowOf = (row: Partial<Row>, has: string[] = [], ranks?: [number, number | string][]) => ({
  n: 1, at: 5, row: { ...ROW, ...row }, of: [0, 1], amends: false, nth: 1, sinceMs: 0, ranks,
  has: (name: string) => has.includes(name),
})
const named = (...args: Parameters<typeof metricsOf>): Record<string, unknown> =>
  Object.fromEntries(metricsOf(...args).map(({ metricName, metricValue }) => [metricName, metricValue]))

describe('names', () => {
  test('a key that fits is used, any other by its digest', () => {
    expect(cometKey('a'.repeat(32))).toBe('a'.repeat(32))
    for (const key of ['short', 'a'.repeat(51), `${'a'.repeat(32)}-2`, '']) {
      expect(cometKey(key)).toMatch(/^[0-9a-f]{40}$/)
    }
    expect(cometKey('run 1')).not.toBe(cometKey('run 2'))
  })

  test('long names stay different, and no name is empty or half a pair', () => {
    const long = 'x'.repeat(120)
    expect(nameOf(`${long}a`)).not.toBe(nameOf(`${long}b`))
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (name) => {
      expect(nameOf(name).length).toBeGreaterThan(0)
      expect(nameOf(name).length).toBeLessThanOrEqual(100)
      expect(nameOf(name)).not.toMatch(/\p{Surrogate}/u)
    }))
    expect(textOf('y'.repeat(2000))).toBe(`${'y'.repeat(1000)} [truncated]`)
  })

  test('the server is what the variable names, or the key', () => {
    expect(rootOf('https://comet.example/clientlib/')).toBe('https://comet.example')
    expect(rootOf('https://tools.example/comet/clientlib/')).toBe('https://tools.example/comet')
    expect(rootOf('http://[::1]:80')).toBe('http://[::1]:80')
    expect(serverOfKey(`abc*${btoa('{"baseUrl":"https://own.example/"}')}`)).toBe('https://own.example')
    const odd = `a*${btoa('{"baseUrl":"file:///etc"}')}`
    for (const key of ['abc', 'a*b', odd]) expect(serverOfKey(key)).toBeNull()
  })
})

describe('values of a row', () => {
  test('ranks that agree make one, ranks that differ make five', () => {
    expect(named(rowOf({ min: 2, max: 2, std: 0 }), 'none')).toEqual({ m: 2 })
    expect(named(rowOf({}), 'none')).toEqual({ 'm': 2, 'm/min': 1, 'm/max': 3, 'm/std': 1, 'm/coverage': 1 })
    expect(named(rowOf({ count: 1, min: 2, max: 2 }), 'none')).toEqual({ 'm': 2, 'm/coverage': 0.5 })
    expect(named(rowOf({ nan: 1, count: 1, min: 1, max: 1 }), 'none'))
      .toMatchObject({ 'm/coverage': 1, 'm/min': 1 })
    expect(named(rowOf({ value: 'NaN', count: 0, nan: 2, min: null, max: null, std: null }), 'none'))
      .toEqual({ m: 'NaN' })
    expect(named(rowOf({ value: null }), 'none')).not.toHaveProperty('m')
  })

  test('what is derived gives way to a metric of that name', () => {
    expect(named(rowOf({}, ['m/min']), 'none')).not.toHaveProperty('m/min')
  })

  test('single ranks come by choice', () => {
    const ranks: [number, number | string][] = [[0, 1], [1, 3], [2, 2], [3, 'NaN']]
    const of = (choice: 'all' | 'outliers' | 'none'): string[] =>
      Object.keys(named(rowOf({}, [], ranks), choice)).filter((name) => name.includes('rank'))
    expect(of('all')).toEqual(['m/rank/0', 'm/rank/1', 'm/rank/2', 'm/rank/3'])
    expect(of('outliers')).toEqual(['m/rank/0', 'm/rank/1', 'm/rank/3'])
    expect(of('none')).toEqual([])
  })
})

describe('answers', () => {
  const answer = (status: number, headers = {}, text = '{"msg":"so it is","sdk_error_code":7}') =>
    outcomeOf({ status, headers, text, body: JSON.parse(text) as Record<string, unknown> }, 'call', 0)

  test('429 waits as the server says: its own header, the standard one, or a minute', () => {
    const both = { 'retry-after-custom': '0.5', 'retry-after': '9' }
    expect(answer(429, both)).toMatchObject({ is: 'later', afterMs: 500 })
    expect(answer(429, { 'retry-after': '9' })).toMatchObject({ afterMs: 9000 })
    expect(answer(429, { 'retry-after': new Date(30_000).toUTCString() })).toMatchObject({ afterMs: 30_000 })
    const wrong = { date: new Date(90_000).toUTCString(), 'retry-after': new Date(100_000).toUTCString() }
    expect(answer(429, wrong)).toMatchObject({ afterMs: 10_000 })
    expect(answer(429, { 'retry-after': 'soon' })).toMatchObject({ afterMs: COMET_THROTTLED_MS })
    expect(answer(429)).toMatchObject({ afterMs: COMET_THROTTLED_MS })
  })

  test('4xx is refused with the server\'s words; a bad key leaves the call pending', () => {
    expect(answer(400)).toEqual({ is: 'refused', message: 'call: HTTP 400, code 7: so it is' })
    expect(answer(401)).toMatchObject({ is: 'later', afterMs: COMET_AUTH_RETRY_MS })
    expect(answer(403)).toMatchObject({ is: 'later', afterMs: COMET_AUTH_RETRY_MS })
    expect(answer(400, {}, '{"sdk_error_code":90212}')).toMatchObject({ is: 'later' })
    expect(answer(413)).toMatchObject({ is: 'refused' })
  })

  test('what is in the way is named with its remedy', () => {
    const said = (code: string, message = 'no', more = {}): string =>
      (outcomeOf({ code, message, ...more }, 'call', 0) as { message: string }).message
    const untunneled = (status: number): string =>
      said('UND_ERR_ABORTED', `Proxy response (${status}) !== 200 when HTTP Tunneling`)
    for (const status of [401, 407]) expect(untunneled(status)).toMatch(/HTTPS_PROXY=http:\/\/USER:PASSWORD@/)
    expect(untunneled(503)).toMatch(/check HTTPS_PROXY and NO_PROXY/)
    expect(said('SELF_SIGNED_CERT_IN_CHAIN', 'no', { issuer: 'Company CA' }))
      .toMatch(/; the CA 'Company CA' that signed .* NODE_EXTRA_CA_CERTS=FILE/)
    expect(said('UNABLE_TO_GET_ISSUER_CERT_LOCALLY')).toMatch(/; the CA that signed/)
    for (const code of ['ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT', 'ENETUNREACH']) {
      expect(said(code), code).toMatch(/check COMET_URL_OVERRIDE, DNS and firewalls, or name a proxy/)
    }
    expect(said('ECONNRESET')).toBe('call: no (ECONNRESET)')
  })

  test('the clock of a server is as far off as its date proves; one of a cache proves nothing', () => {
    const skew = (told: number, from: number, to: number, more = {}): number | null =>
      skewOf({ date: new Date(told).toUTCString(), ...more }, from, to)
    expect(skew(5000, 5000, 5000)).toBe(0)
    expect(skew(5000, 5999, 5999)).toBe(0)
    expect(skew(5000, 4000, 9000)).toBe(0)
    expect(skew(5000, 3000, 4000)).toBe(1000)
    expect(skew(5000, 16_000, 17_000)).toBe(-10_000)
    expect(skew(5000, 16_000, 17_000, { age: '10' })).toBeNull()
    expect(skewOf({}, 0, 0)).toBeNull()
    expect(skewOf({ date: 'today' }, 0, 0)).toBeNull()
  })

  test('what may have been stored is unsure, what was never sent is not', () => {
    for (const status of [408, 500, 502, 503]) expect(answer(status)).toMatchObject({ is: 'unsure' })
    const failed = (code: string) => outcomeOf({ code, message: 'no' }, 'call', 0).is
    for (const code of ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT',
      'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE']) {
      expect(failed(code), code).toBe('later')
    }
    for (const code of ['ECONNRESET', 'UND_ERR_SOCKET', 'UND_ERR_HEADERS_TIMEOUT', 'EPIPE', '']) {
      expect(failed(code), code).toBe('unsure')
    }
  })
})

describe('a budget', () => {
  test('lets no window have more than its limit, whatever is asked when', () => {
    const ask = fc.tuple(fc.nat(4000), fc.integer({ min: 1, max: 30 }))
    const all = fc.array(ask, { maxLength: 200, size: 'max' })
    const some = [all, fc.integer({ min: 30, max: 200 }), fc.boolean(), fc.nat(200)] as const
    fc.assert(fc.property(...some, (asks, max, full, hurryAt) => {
      const windowMs = 10_000
      const budget = new Budget({ calls: { max, windowMs } }, full, 0)
      const spent: { at: number; count: number }[] = []
      let now = 0
      for (const [i, [pause, count]] of asks.entries()) {
        now += pause
        if (i === hurryAt) budget.hurry()
        const small = Math.min(count, Math.floor(max / 4))
        if (budget.spend({ calls: small }, now) === 0) spent.push({ at: now, count: small })
      }
      for (const { at } of spent) {
        const inside = spent.filter((one) => one.at >= at && one.at < at + windowMs)
        expect(inside.reduce((sum, { count }) => sum + count, 0)).toBeLessThanOrEqual(max)
      }
    }))
  })

  test('keeps nothing for later in a hurry, and spends no more than the window has left', () => {
    for (const [full, from] of [[true, 0], [false, 10_000]] as const) {
      const budget = new Budget({ calls: { max: 100, windowMs: 10_000 } }, full, 0)
      expect(budget.spend({ calls: 20 }, from)).toBe(0)
      expect(budget.spend({ calls: 20 }, from)).toBeGreaterThan(0)
      budget.hurry()
      expect(budget.pace('calls', from)).toEqual({ now: 80, perMs: 0 })
      expect(budget.spend({ calls: 70 }, from)).toBe(0)
      expect(budget.spend({ calls: 20 }, from)).toBeGreaterThan(0)
      expect(budget.use('calls', from)).toMatchObject({ used: 90 })
    }
    const fresh = new Budget({ calls: { max: 100, windowMs: 10_000 } }, false, 0)
    fresh.hurry()
    expect(fresh.spend({ calls: 20 }, 0)).toBeGreaterThan(0)
  })

  test('says how long it takes, and it is true; a restart begins with nothing', () => {
    const budget = new Budget({ calls: { max: 100, windowMs: 1000 } }, false, 0)
    const wait = budget.spend({ calls: 10 }, 0)
    expect(wait).toBeGreaterThan(0)
    expect(budget.spend({ calls: 10 }, wait)).toBe(0)
    expect(budget.use('calls', wait)).toMatchObject({ used: 10, max: 100 })
    expect(budget.use('calls', wait + 2000)).toMatchObject({ used: 0 })
  })
})

describe('facts', () => {
  const picture = {
    run: 'r', name: 'n', ranks: 2, status: null, members: [{ host: 'h', rank: 1 }, { host: 'h', rank: 0 }],
    params: [{ key: 'a', value: { b: 1, c: [{ d: 1 }] } }, { key: 'e', value: null }],
    backends: [], failed: [],
  } as unknown as RunStatus

  test('are told once, and again when they change', () => {
    const facts = factsOf(picture, ['t'])
    const known = new Map<string, string>()
    const first = tellings('k', facts, known, 9)
    expect(first.map(({ request }) => request.path.split('/').at(-1))).toEqual([
      'log-other', 'log-other', 'log-other', 'log-other', 'add-tags-to-experiment', 'parameter',
      'system-details'])
    const { values } = JSON.parse(first[5]!.request.body!) as { values: Record<string, unknown>[] }
    expect(values.map((each) => [each['parameterName'], each['parameterValue']])).toEqual(
      [['a/b', 1], ['a/c', '[{"d":1}]'], ['e', null]])
    for (const one of first) for (const [fact, value] of one.facts) known.set(fact, value)
    expect(tellings('k', facts, known, 9)).toEqual([])
    const later = factsOf({ ...picture, status: 'failed' }, ['t'])
    expect(tellings('k', later, known, 9)).toHaveLength(1)
  })
})

describe('a line of an archive', () => {
  const VALUE = { metricName: 'm', metricValue: 1, step: 2, epoch: null, context: null, timestamp: 3 }

  test('is what the uploader takes, or nothing', () => {
    expect(JSON.parse(metricLine(VALUE)!)).toEqual({
      type: 'metric_msg',
      payload: { local_timestamp: 3, metric: { metricName: 'm', metricValue: 1, step: 2 } },
    })
    for (const wrong of [{ metricValue: NaN }, { step: 1.5 }, { timestamp: 0.1 }, { metricName: '' }]) {
      expect(metricLine({ ...VALUE, ...wrong })).toBeNull()
    }
  })
})
