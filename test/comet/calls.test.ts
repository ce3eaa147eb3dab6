/** What is told of HTTP calls: counts in `status`, and in debug mode a line each. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { Calls, lineOf, pathOf, type Call } from '../../lib/backend/core-calls.ts'
import { openRequestLog } from '../../lib/backend/request-log.ts'
import { REQUEST_LOG_BYTES, REQUEST_LOG_FILES, SLOWEST_CALLS } from '../../lib/limits-outbox.ts'
import { until, type Place } from '../scenario/harness.ts'
import { API_KEY, cometPlace, expectWhole, train } from './kit.ts'
import type { Knobs } from './knobs.ts'
import { spawnStandIn } from './process.ts'

const CALL: Call = {
  at: 0, ms: 5, call: 'POST /a', status: 200, sent: 1, received: 2, attempt: 1, denied: false, headers: {},
}

describe('counts', () => {
  it('are by kind, with the slowest calls first', () => {
    const calls = new Calls()
    expect(calls.view()).toBeNull()
    const statuses = [200, 429, 401, 500, 'ECONNRESET', 404, 200, 429]
    statuses.forEach((status, ms) => calls.add({ ...CALL, status, ms, denied: status === 401 }))
    const { slowest, ...counts } = calls.view()!
    expect(counts).toEqual({ made: 8, throttled: 2, denied: 1, failed: 2 })
    expect(slowest.map(({ ms }) => ms)).toEqual([7, 6, 5, 4, 3].slice(0, SLOWEST_CALLS))
    expect(slowest[0]).toEqual({ at: 0, ms: 7, call: 'POST /a', status: 429 })
  })
})

describe('a line', () => {
  it('has what the server says of the request, as one word', () => {
    expect(lineOf(CALL)).toBe('1970-01-01T00:00:00.000Z POST /a 200 ms=5 sent=1 received=2 attempt=1')
    const headers = { 'retry-after': '9', 'retry-after-custom': '0.5', 'x-request-id': 'a b\tc' }
    expect(lineOf({ ...CALL, headers })).toMatch(/ retry-after=0\.5 id=a_b_c$/)
    expect(lineOf({ ...CALL, headers: { 'cf-ray': 'x'.repeat(5000) } }).length).toBeLessThan(300)
    expect(pathOf('/a?apiKey=k\n&b')).toBe('/a')
  })
})

describe('the file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'rz-log-'))
  const path = join(dir, 'requests.log')
  afterEach(() => rmSync(dir, { recursive: true }))

  it('is its owner\'s, and so are those before it; there are only so many, of a bounded size', () => {
    const log = openRequestLog(path)
    const line = 'x'.repeat(REQUEST_LOG_BYTES / 4)
    for (let n = 0; n < 4 * (REQUEST_LOG_FILES + 2); n++) log(`${n} ${line}`)
    const files = readdirSync(dir).sort()
    expect(files).toEqual(['requests.log', ...[1, 2, 3].map((n) => `requests.log.${n}`)])
    for (const file of files) {
      const { mode, size } = statSync(join(dir, file))
      expect([file, mode & 0o777, size <= REQUEST_LOG_BYTES]).toEqual([file, 0o600, true])
    }
    expect(readFileSync(path, 'utf8').split(' ')[0]).toBe(`${4 * (REQUEST_LOG_FILES + 2) - 3}`)
    openRequestLog(join(dir, 'none', 'requests.log'))('a line of a directory that is gone')
  })
})

describe('a run', () => {
  let place: Place
  let server: Awaited<ReturnType<typeof spawnStandIn>>
  afterEach(async () => {
    place.dispose()
    await server.close()
  })
  async function begin(knobs: Partial<Knobs>): Promise<void> {
    server = await spawnStandIn({ knobs: { beatMs: 1000, ...knobs } })
    place = cometPlace(server.url)
  }
  const linesOf = (): string[] => {
    const path = join(place.dir, place.runs().at(-1)!, 'requests.log')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    return readFileSync(path, 'utf8').trimEnd().split('\n')
  }

  it('with --debug logs every call that the server saw, and never the key', async () => {
    const headers = { 'Retry-After-Custom': '0.3', 'X-Request-Id': `r-${API_KEY}` }
    const throttled = { status: 429, headers }
    await begin({ faults: [
      { match: 'experiment/metric', kind: 'answer', times: 2, ...throttled },
      { match: 'experiment/metric', kind: 'answer', status: 503, times: 1, after: true, body: API_KEY },
      { match: 'log-other', kind: 'reset', times: 1 },
    ] })
    const done = await place.run(train(2, '--debug', '--exit-timeout', '60'), { T_STEPS: '60', T_RATE: '40' })
    expect(done.code, done.stderr).toBe(0)
    await expectWhole(server.desk, place)
    const lines = linesOf()
    const seen = await server.desk.log()
    const short = (method: string, path: string, status: unknown): string => `${method} ${path} ${status}`
    const told = lines.map((line) => {
      const [, method, path, status] = line.split(' ')
      return short(method!, path!, status === 'UND_ERR_SOCKET' || status === 'ECONNRESET' ? 0 : status)
    })
    expect(told.sort()).toEqual(seen.map(({ method, path, status }) => short(method, path, status)).sort())
    expect(lines.filter((line) => / 429 .* retry-after=0\.3 id=r-\(the_API_key\)/.test(line))).toHaveLength(2)
    const batches = lines.filter((line) => line.includes('/batch/logger/experiment/metric'))
    expect(batches.map((line) => /attempt=(\d+)/.exec(line)![1]).slice(0, 4)).toEqual(['1', '2', '3', '4'])
    const bytes = seen.filter(({ path }) => path.endsWith('experiment/metric')).map((one) => `${one.bytes}`)
    expect(batches.map((line) => /sent=(\d+)/.exec(line)![1])).toEqual(bytes)
    const status = place.status()
    expect(status.backends[1]!.calls).toMatchObject({ made: seen.length, throttled: 2, denied: 0, failed: 2 })
    const shown = (await place.run(['status'])).stdout
    expect(shown).toMatch(/^calls +\d+ made, 2 throttled \(429\), 2 failed; slowest: (GET|POST) \/\S+ \d/m)
    expect(lines.join('\n') + shown + JSON.stringify(status)).not.toContain(API_KEY)
  })

  it('without it keeps no log, and counts all the same, also what is refused for the key', async () => {
    await begin({ keys: ['anotherKey0000000000000001'] })
    const done = await place.run(train(1, '--exit-timeout', '2'), { T_STEPS: '10' })
    expect(done.code, done.stderr).toBe(0)
    await until('the end', 60_000, () => place.picture()?.state === 'ended')
    const [, comet] = place.status().backends
    expect(comet!.calls).toMatchObject({ throttled: 0, failed: 0 })
    expect(comet!.calls!.denied).toBe(comet!.calls!.made)
    expect(comet!.fault).toMatch(/the API key is not registered/)
    expect(readdirSync(join(place.dir, place.runs().at(-1)!))).not.toContain('requests.log')
  })

  it('whose server has another time says so once, and goes on', async () => {
    await begin({ dateSkewMs: 3_600_000 })
    const done = await place.run(train(1), { T_STEPS: '60', T_RATE: '30' })
    expect(done.code, done.stderr).toBe(0)
    await expectWhole(server.desk, place)
    const skewed = /the clock of the server is 3(599|600|601) s ahead of ours/
    expect(place.status().backends[1]!.warning).toMatch(skewed)
    expect((await place.run(['status'])).stdout).toMatch(skewed)
    const dir = join(place.dir, place.runs().at(-1)!)
    const diary = readFileSync(join(dir, 'log', 'aggregator.log'), 'utf8')
    expect(diary.split('\n').filter((line) => skewed.test(line))).toHaveLength(1)
  })
})
