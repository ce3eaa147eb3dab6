/** The stand-in by itself: what it takes, what it refuses and how, how it fails when told to. */
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { startStandIn, type Options, type StandIn } from './index.ts'
import { spawnStandIn } from './process.ts'

const API_KEY = 'secretOfThisTest00000001'
const KEY = 'a'.repeat(40)
let standIn: StandIn
afterEach(() => standIn.close())

const start = async (options: Options = {}): Promise<void> => {
  standIn = await startStandIn({ ...options, knobs: { keys: [API_KEY], ...options.knobs } })
}

interface Reply { status: number; headers: Headers; body: any }

interface Manner { key?: string; gzip?: boolean }

async function send(path: string, body?: object, more: Manner = {}): Promise<Reply> {
  const json = body === undefined ? undefined : JSON.stringify(body)
  const response = await fetch(`${standIn.url}/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'Authorization': more.key ?? API_KEY, ...more.gzip ? { 'Content-Encoding': 'gzip' } : {} },
    body: more.gzip ? gzipSync(json!) : json,
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
}

const addRun = (more: object = {}): Promise<Reply> => send('clientlib/logger/add/run', {
  apiKey: API_KEY, local_timestamp: Date.now(), experimentKey: KEY, offline: false, projectName: 'p',
  teamName: 'ws', libVersion: '3.58.8', getOrCreateEnabled: false, ...more,
})
const point = (step: number, value: unknown = step): object =>
  ({ metricName: 'loss', metricValue: value, step, epoch: null, context: null, timestamp: Date.now() })
const BATCH = 'clientlib/batch/logger/experiment/metric'
const batch = (values: object[], more = {}): Promise<Reply> =>
  send(BATCH, { experimentKey: KEY, values }, { gzip: true, ...more })
const beat = (runId: string, isAlive: boolean): Promise<Reply> => send('clientlib/status-report/update', {
  apiKey: API_KEY, runId, experimentKey: KEY, projectId: 'p', is_alive: isAlive, local_timestamp: Date.now(),
  offline: false,
})
const codeOf = ({ status, body }: Reply): unknown[] => [status, body.sdk_error_code]
const storedSteps = (): (number | null)[] => standIn.desk.series(KEY, 'loss')['loss']!.map(({ step }) => step)

describe('an experiment', () => {
  it('by the path of the SDK: made, filled, ended', async () => {
    await start()
    const { status, body } = await addRun()
    expect([status, body.project_id]).toEqual([200, expect.any(String)])
    expect((await beat(body.runId, true)).body.is_alive_beat_duration_millis).toBe(10_000)
    await batch([point(1, 0.5), point(2, 'NaN')])
    expect(standIn.desk.experiment(KEY)).toMatchObject({ state: 'running', metrics: { loss: 2 } })
    await beat(body.runId, false)
    await batch([point(3)])
    expect(standIn.desk.experiment(KEY)).toMatchObject({ state: 'ended', project: 'p', afterEnd: 1 })
    expect(storedSteps()).toEqual([1, 2, 3])
  })

  it('by REST: the key is the server’s; reads tell what was written', async () => {
    await start()
    const rest = 'api/rest/v2'
    const place = { workspaceName: 'ws', projectName: 'p', experimentName: 'n' }
    const { experimentKey } = (await send(`${rest}/write/experiment/create`, place)).body
    const write = (path: string, body: object): Promise<Reply> =>
      send(`${rest}/write/experiment/${path}`, { experimentKey, ...body })
    for (const value of [3, 1, 2]) await write('metric', { metricName: 'm', metricValue: value, step: value })
    await write('parameter', { parameterName: 'lr', parameterValue: 0.1 })
    await write('tags', { addedTags: ['a', 'b', 'a'] })
    await send(`${rest}/write/experiment/set-status?experimentKey=${experimentKey}`)
    const read = async (path: string): Promise<any> =>
      (await send(`${rest}/experiment/${path}?experimentKey=${experimentKey}`)).body
    expect(await read('metadata')).toMatchObject({ experimentName: 'n', running: true, throttle: false })
    const summary = { name: 'm', valueMax: '3', valueMin: '1', valueCurrent: '2', stepMin: 1 }
    expect((await read('metrics/summary')).values).toMatchObject([summary])
    expect((await read('tags')).tags).toEqual(['a', 'b'])
    expect(standIn.desk.experiment(experimentKey)!.parameters).toEqual({ lr: 0.1 })
  })
})

describe('refused, with the code of the sheet', () => {
  it.each<[string, object, unknown[]]>([
    ['a key that is not registered', { apiKey: 'other' }, [400, 90_212]],
    ['a workspace that does not exist', { teamName: 'nobody' }, [400, 90_219]],
    ['no project', { projectName: null }, [400, 98_219]],
    ['a long project name', { projectName: 'p'.repeat(100) }, [400, 1_341_241]],
    ['a short experiment key', { experimentKey: 'a'.repeat(31) }, [400, undefined]],
    ['a key with a dash', { experimentKey: `${'a'.repeat(35)}-b` }, [400, undefined]],
    ['an unknown field', { extra: 1 }, [400, undefined]],
    ['a missing field', { libVersion: undefined }, [400, undefined]],
  ])('hand-shake: %s', async (_, more, answer) => {
    await start()
    expect(codeOf(await addRun(more))).toEqual(answer)
    expect(standIn.desk.experiments()).toEqual([])
  })

  it('the same key twice, but for get-or-create; one that is unknown', async () => {
    await start()
    await addRun()
    expect(codeOf(await addRun())).toEqual([400, 90_999])
    expect((await addRun({ getOrCreateEnabled: true })).status).toBe(200)
    const get = { apiKey: API_KEY, local_timestamp: 1, libVersion: '3' }
    const getRun = (previousExperiment: string): Promise<Reply> =>
      send('clientlib/logger/get/run', { ...get, previousExperiment })
    expect((await getRun(KEY)).status).toBe(200)
    expect(codeOf(await getRun('b'.repeat(40)))).toEqual([400, 90_210])
    expect(standIn.desk.experiments()).toHaveLength(1)
  })

  it.each<[string, unknown, number]>([
    ['null', null, 400], ['true', true, 400], ['a list', [1], 400], ['a number', 1, 200],
    ['NaN by name', 'NaN', 200],
  ])('a metric whose value is %s', async (_, value, status) => {
    await start()
    await addRun()
    expect((await batch([point(1, value)])).status).toBe(status)
    expect(standIn.desk.experiment(KEY)!.metrics).toEqual(status === 200 ? { loss: 1 } : {})
  })

  it('wrong keys, unknown experiments, unknown paths, wrong methods, what is no JSON', async () => {
    await start()
    await addRun()
    expect(codeOf(await batch([point(1)], { key: 'other' }))).toEqual([401, 90_212])
    expect(codeOf(await send(BATCH, { experimentKey: 'b'.repeat(40), values: [] }))).toEqual([400, 90_211])
    expect(codeOf(await send(BATCH, { values: [] }))).toEqual([400, 90_998])
    expect((await send('clientlib/nothing', {})).status).toBe(404)
    expect((await send(BATCH)).status).toBe(405)
    const body = `{"experimentKey":"${KEY}","values":[{"metricName":"a","metricValue":NaN,"timestamp":1}]}`
    const bare = { method: 'POST', headers: { Authorization: API_KEY }, body }
    expect((await fetch(`${standIn.url}/${BATCH}`, bare)).status).toBe(400)
    expect(standIn.desk.experiment(KEY)!.metrics).toEqual({})
  })
})

describe('unwell on demand', () => {
  it('429 by budget: points and calls in a sliding window; nothing of it is stored', async () => {
    await start({ knobs: { budgets: { metric: { max: 3, windowMs: 600_000 } } } })
    await addRun()
    expect((await batch([point(1), point(2)])).status).toBe(200)
    const { status, headers } = await batch([point(3), point(4)])
    const waits = ['Retry-After-Custom', 'Retry-After'].map((name) => Number(headers.get(name)))
    expect([status, waits[0]! > 500, waits[1]]).toEqual([429, true, 0])
    expect((await batch([point(5)])).status).toBe(200)
    expect(storedSteps()).toEqual([1, 2, 5])
    expect(standIn.desk.experiment(KEY)!.throttled).toBe(true)
    const calls = standIn.desk.calls(600_000, { kind: 'metric' })
    expect(calls).toEqual({ total: 3, items: 5, worst: 3, worstItems: 5 })
    expect(standIn.desk.budgets()['metric']).toEqual({ max: 3, windowMs: 600_000, used: 3, refused: 1 })
  })

  it('by rule: before and after storing, so often, with headers', async () => {
    const rules = [
      { match: BATCH, kind: 'answer', status: 429, times: 1, headers: { 'Retry-After-Custom': '3' } },
      { match: BATCH, kind: 'reset', times: 1 }, { match: BATCH, kind: 'reset', after: true, times: 1 },
      { match: BATCH, kind: 'answer', status: 503, after: true, times: 1 },
      { match: BATCH, kind: 'hang', ms: 20, times: 1 },
    ] as const
    await start({ knobs: { faults: [...rules] } })
    await addRun()
    const limited = await batch([point(0)])
    expect([limited.status, limited.headers.get('Retry-After-Custom')]).toEqual([429, '3'])
    await expect(batch([point(1)])).rejects.toThrow()
    await expect(batch([point(2)])).rejects.toThrow()
    expect((await batch([point(3)])).status).toBe(503)
    await expect(batch([point(4)])).rejects.toThrow()
    expect((await batch([point(5)])).status).toBe(200)
    expect(storedSteps()).toEqual([2, 3, 5])
    const told = standIn.desk.log({ match: BATCH })
    expect(told.map(({ status, fault, stored }) => [status, fault, stored])).toEqual([
      [429, 'answer', false], [0, 'reset', false], [0, 'reset after', true], [503, 'answer after', true],
      [0, 'hang', false], [200, null, true],
    ])
    expect(standIn.desk.calls(60_000, { kind: 'metric' }).total).toBe(told.length)
  })

  it('over IPv6 as well', async () => {
    await start({ host: '::1' })
    expect(standIn.url).toMatch(/^http:\/\/\[::1\]:\d+$/)
    expect((await addRun()).status).toBe(200)
  })

  it('the same seed gives the same faults', async () => {
    const run = async (seed: number): Promise<number[]> => {
      await start({ seed, knobs: { faults: [{ kind: 'answer', status: 500, rate: 0.5 }] } })
      for (let i = 0; i < 20; i++) await send('clientlib/health/ping')
      await standIn.close()
      return standIn.desk.log().map(({ status }) => status)
    }
    const first = await run(7)
    expect(first).toEqual(await run(7))
    expect(first).not.toEqual(await run(8))
    expect(new Set(first)).toEqual(new Set([200, 500]))
  })

  it('down and up again on the same port; without the batch path; another day; another key', async () => {
    await start()
    const { url } = standIn
    await addRun()
    await standIn.desk.set({ down: true })
    await expect(batch([point(1)])).rejects.toThrow()
    await standIn.desk.set({ down: false, missing: ['clientlib/batch/'], dateSkewMs: -86_400_000 })
    expect(standIn.url).toBe(url)
    const { status, headers } = await batch([point(1)])
    expect([status, Date.now() - Date.parse(headers.get('Date')!) > 86_000_000]).toEqual([404, true])
    await standIn.desk.set({ keys: ['another'], missing: [] })
    expect((await batch([point(1)])).status).toBe(401)
    await expect(standIn.desk.set({ donw: true } as object)).rejects.toThrow('no knob donw')
  })
})

describe('the log', () => {
  it('names no key, tells a repeat by its digest, and what is odd', async () => {
    await start()
    await addRun()
    const values = [{ ...point(1), timestamp: 1_795_425_156_687_000 }]
    await batch(values)
    await batch(values)
    const [first, second] = standIn.desk.log({ match: BATCH })
    expect(first!.odd).toEqual(['timestamp 1795425156687000 is no time in ms'])
    expect([second!.digest, second!.key]).toEqual([first!.digest, 'secr…'])
    expect(first).toMatchObject({ experiment: KEY, kind: 'metric', items: 1, stored: true, status: 200 })
    expect(JSON.stringify(standIn.desk.log())).not.toContain(API_KEY)
  })

  it('is the same from another process, which takes no key on its command line', async () => {
    await start()
    const other = await spawnStandIn({ knobs: { keys: [API_KEY] } })
    try {
      standIn.close()
      Object.defineProperty(standIn, 'url', { value: other.url })
      await addRun()
      await batch([point(1), point(2)])
      expect(await other.desk.experiment(KEY)).toMatchObject({ state: 'new', metrics: { loss: 2 } })
      expect(await other.desk.calls(1000)).toMatchObject({ total: 2 })
      await expect(other.desk.series('nobody')).rejects.toThrow('no experiment nobody')
    } finally {
      await other.close()
    }
  })
})
