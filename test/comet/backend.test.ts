/** Backend comet against the stand-in, with real processes: what arrives, whatever died or was ill. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { sleep, until, type Place } from '../scenario/harness.ts'
import type { View } from './desk.ts'
import { API_KEY, cometPlace, contentsOf, extremesOf, expectWhole, script, train, wantedOf } from './kit.ts'
import type { Knobs } from './knobs.ts'
import { spawnStandIn } from './process.ts'

let place: Place
let server: Awaited<ReturnType<typeof spawnStandIn>>
afterEach(async () => {
  place.dispose()
  await server.close()
})

async function begin(knobs: Partial<Knobs> = {}, env: NodeJS.ProcessEnv = {}): Promise<void> {
  server = await spawnStandIn({ knobs: { beatMs: 1000, ...knobs } })
  place = cometPlace(server.url, env)
}

const filesWith = (dir: string, text: string): string[] =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile() && readFileSync(path).includes(text))

/** Of all processes that there are. */
const commandLines = (): string[] => readdirSync('/proc').flatMap((pid) => {
  try {
    return [readFileSync(`/proc/${pid}/cmdline`, 'utf8')]
  } catch {
    return []
  }
})

const LIFE = `run.params({ lr: 0.1, opt: { name: 'adam', betas: [0.9, 0.99] }, seed: run.rank })
  for (let step = 0; step < 40; step++) {
    const odd = step === 7 ? NaN : step
    run.log({ same: step, loss: 1 / (step + 1 + run.rank), odd, 'loss/min': 3 }, { step })
    if (step % 20 === 0) run.text('step ' + step)
    await sleep(20)
  }`

describe('backend comet', () => {
  it('makes one experiment with rows, texts, parameters, tags, name and end', async () => {
    await begin()
    const done = await place.run(script(2, '--name', 'one of two', '--tags', 'a,b', '--project', 'digits'),
      { T_CODE: LIFE })
    expect(done.code, done.stderr).toBe(0)
    const { desk } = server
    const [view] = await desk.experiments()
    expect(view).toMatchObject({
      name: 'one of two', workspace: 'ws', project: 'digits', state: 'ended', tags: ['a', 'b'], errors: [],
      afterEnd: 0, parameters: { 'lr': 0.1, 'opt/name': 'adam', 'opt/betas': [0.9, 0.99], 'seed': 0 },
      others: { 'rankzero run': place.runs()[0], 'rankzero status': 'finished', 'rankzero ranks': 2,
        'seed, by rank': '0: 0; 1: 1' },
    })
    expect(view!.output.map(({ output }) => output).sort()).toEqual(
      [0, 1].flatMap((rank) => [0, 20].map((step) => `rank ${rank}: step ${step}\n`)))
    const series = await desk.series(view!.key)
    expect(Object.keys(series).sort()).toEqual([
      'loss', 'loss/coverage', 'loss/max', 'loss/min', 'loss/std', 'odd', 'same'])
    // A metric of that name is logged, so nothing is derived under it.
    expect(series['loss/min']!.every(({ value }) => value === 3)).toBe(true)
    expect(series['odd']!.map(({ value }) => value)[7]).toBe('NaN')
    expect(series['loss']!.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, step) => step))
    for (const entry of await desk.log()) expect(entry.odd, entry.path).toEqual([])
    expect((await desk.log()).filter(({ status }) => status !== 200)).toEqual([])
    expect(place.status().backends).toMatchObject([{}, { name: 'comet', state: 'ended', pending: 0 }])
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  }, 120_000)

  it('lives through 429, 5xx, resets before and after, and what hangs', async () => {
    await begin({ faults: [
      { match: 'batch/', kind: 'answer', status: 429, headers: { 'Retry-After-Custom': '0.4' }, rate: 0.2 },
      { match: 'batch/', kind: 'answer', status: 503, rate: 0.1 },
      { match: 'batch/', kind: 'reset', rate: 0.1 },
      { match: 'batch/', kind: 'reset', rate: 0.1, after: true },
      { match: 'status-report', kind: 'answer', status: 500, rate: 0.3 },
      { match: 'log-other', kind: 'answer', status: 502, rate: 0.2 },
      { match: 'batch/logger/experiment/metric', kind: 'hang', times: 1, ms: 3000 },
    ] })
    const done = await place.run(train(2, '--exit-timeout', '120'),
      { T_METRICS: '4', T_STEPS: '300', T_RATE: '30' })
    expect(done.code, done.stderr).toBe(0)
    const { view, twice } = await expectWhole(server.desk, place)
    expect(view).toMatchObject({ state: 'ended', afterEnd: 0 })
    const { backends } = place.audit()
    expect(backends[1]).toMatchObject({ delivered: 2400, pending: 0, rejected: 0 })
    if (twice > 0) expect(backends[1]!.resent).toBeGreaterThan(0)
  }, 240_000)

  const TIMES = ['start', 'middle', 'end']

  it.each(TIMES)('goes on without a server at the %s, and `sync` completes', async (when) => {
    await begin()
    if (when === 'start') await server.desk.set({ down: true })
    const job = place.start(train(2, '--exit-timeout', '4'), { T_METRICS: '2', T_STEPS: '200', T_RATE: '40' })
    await until('two trainers', 60_000, () => place.processes('trainer').length === 2)
    if (when === 'middle') {
      await sleep(2500)
      await server.desk.set({ down: true })
      await sleep(1000)
      await server.desk.set({ down: false })
    } else if (when === 'end') {
      await sleep(2500)
      await server.desk.set({ down: true })
    }
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    await until('the end', 60_000, () => place.status().state === 'ended')
    if (when !== 'middle') {
      expect(place.audit()).toMatchObject({ balanced: true, complete: false })
      expect(place.status().backends[1]!.fault).toContain('ECONNREFUSED')
    }
    await server.desk.set({ down: false })
    const synced = await place.run(['sync', 'latest'])
    expect(synced.code, synced.stderr + synced.stdout).toBe(0)
    const { view } = await expectWhole(server.desk, place)
    expect(view.state).toBe('ended')
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  }, 180_000)

  it('is read back by `sync`, which does not believe a server that took all and kept nothing', async () => {
    const lie = { kind: 'answer', status: 200, body: '{"msg":"saved"}' } as const
    await begin({ readLagMs: 1500, faults: [{ match: 'batch/logger/experiment/metric', times: 1, ...lie }] })
    const lacks = /read back, 5 series lack points: a has \d+ of 30 steps/
    const answers = [[4, lacks], [0, /, 0 lost\n$/]] as const
    for (const [code, said] of answers) {
      const done = await place.run(script(2, '--offline'), { T_CODE: `
        for (let step = 0; step < 30; step++) run.log({ a: step + run.rank }, { step })` })
      expect(done.code, done.stderr).toBe(0)
      const synced = await place.run(['sync', 'latest'])
      expect(synced.code, synced.stdout + synced.stderr).toBe(code)
      expect(synced.stdout).toMatch(said)
    }
    expect(place.status().backends[1]).not.toHaveProperty('missing')
  }, 240_000)

  it('stays within its budgets, and keeps first, last, lowest and highest of each metric', async () => {
    const budgets = { metric: { max: 400, windowMs: 10_000 }, calls: { max: 60, windowMs: 10_000 } }
    await begin({ budgets }, { RANKZERO_COMET_METRICS: '400/10', RANKZERO_COMET_CALLS: '60/10' })
    const done = await place.run(train(4, '--exit-timeout', '120'),
      { T_METRICS: '5', T_STEPS: '3000', T_RATE: '150' })
    expect(done.code, done.stderr).toBe(0)
    const [view] = await server.desk.experiments() as [View]
    const { values } = contentsOf(await server.desk.series(view.key))
    const rows = place.rows()
    const wanted = wantedOf(rows)
    for (const [name, value] of values) expect(value, name).toBe(wanted.get(name))
    for (const name of extremesOf(rows)) expect(values.has(name), name).toBe(true)
    expect(view.state).toBe('ended')
    const { backends, ...books } = place.audit()
    const { delivered, thinned } = backends[1]!
    expect(books).toMatchObject({ balanced: true, complete: true, problems: [] })
    expect(delivered + thinned).toBe(4 * 5 * 3000)
    expect(thinned).toBeGreaterThan(0)
    expect(view.others['rankzero points not sent']).toBe(thinned)
    const calls = await server.desk.calls(10_000)
    expect(calls.worst).toBeLessThanOrEqual(60)
    expect((await server.desk.calls(10_000, { kind: 'metric' })).worstItems).toBeLessThanOrEqual(400)
    expect((await server.desk.log()).filter(({ status }) => status === 429)).toEqual([])
  }, 240_000)

  it('keeps a series below the points that it may have, online and by `sync`', async () => {
    await begin({ pointsMax: 150 }, { RANKZERO_COMET_POINTS: '150' })
    for (const flags of [[], ['--offline']]) {
      await server.desk.clear()
      const done = await place.run(train(2, '--exit-timeout', '120', ...flags),
        { T_METRICS: '3', T_STEPS: '4000', T_RATE: '2000' })
      expect(done.code, done.stderr).toBe(0)
      const synced = await place.run(['sync', 'latest'])
      expect(synced.code, synced.stdout + synced.stderr).toBe(0)
      const [view] = await server.desk.experiments() as [View]
      const { values, twice } = contentsOf(await server.desk.series(view.key))
      const rows = place.rows()
      const wanted = wantedOf(rows)
      for (const [name, value] of values) expect(value, name).toBe(wanted.get(name))
      for (const name of extremesOf(rows)) expect(values.has(name), name).toBe(true)
      expect([twice, Math.max(...Object.values(view.metrics)) <= 150]).toEqual([0, true])
      const { backends, ...books } = place.audit()
      const { delivered, thinned } = backends[1]!
      expect(books).toMatchObject({ balanced: true, complete: true, problems: [] })
      expect([delivered + thinned, thinned > 0]).toEqual([2 * 3 * 4000, true])
      expect(view.others['rankzero points not sent']).toBe(thinned)
    }
  }, 240_000)

  it('has what agents sample of their nodes, online and by `sync`', async () => {
    await begin({}, { RANKZERO_SYSTEM_METRICS: '1s' })
    for (const flags of [[], ['--offline']]) {
      await server.desk.clear()
      const done = await place.run(train(2, ...flags), { T_STEPS: '100', T_RATE: '40' })
      expect(done.code, done.stderr).toBe(0)
      if (flags.length > 0) expect((await place.run(['sync', 'latest'])).code).toBe(0)
      const [view] = await server.desk.experiments() as [View]
      const { values, twice } = contentsOf(await server.desk.series(view.key))
      const host = place.status().nodes![0]!.host
      const names = [...values.keys()].filter((name) => name.startsWith('sys/'))
      expect(names.map((name) => name.split('@')[0])).toContain(`sys/${host}/memory/total`)
      expect(names.filter((name) => name.startsWith('sys/rank'))).toEqual([])
      const known = place.points(undefined, '--metric', 'sys/*')
      for (const name of names) {
        const [metric, step] = name.replace(`/${host}/`, '/').split('@')
        const point = known.find((one) => one.metric === metric && one.step === Number(step))
        expect(values.get(name), name).toBe(point?.value)
      }
      expect(twice).toBe(0)
      expect(place.audit()).toMatchObject({ balanced: true, complete: true })
    }
  }, 120_000)

  it('has its key in no file, process list or worker, even if the server repeats it', async () => {
    const body = JSON.stringify({ msg: `${API_KEY} is unwelcome` })
    const repeats = { kind: 'answer', status: 400, body } as const
    await begin({ faults: [
      { match: 'log-other', ...repeats }, { match: 'batch/logger/experiment/m', times: 1, ...repeats },
    ] })
    const job = place.start(script(2), { T_CODE: `for (let step = 0; step < 100; step++) {
      run.log({ a: step }, { step })
      await sleep(30)
    }
    const key = '${API_KEY.slice(0, 12)}' + '${API_KEY.slice(12)}'
    if (JSON.stringify(process.env).includes(key)) throw new Error('seen')` })
    await place.one('aggregator')
    await sleep(1500)
    expect(commandLines().filter((line) => line.includes(API_KEY))).toEqual([])
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    expect(done.stdout + done.stderr).not.toContain(API_KEY)
    expect(filesWith(place.root, API_KEY)).toEqual([])
    expect(place.status().backends[1]!.rejected).toBeGreaterThan(0)
    expect(place.status().backends[1]!.fault).toContain('(the API key) is unwelcome')
  }, 120_000)

  it('holds its key against a job of another project, since the server knows one of it', async () => {
    await begin()
    const one = train(1, '--key', 'shared', '--project', 'one')
    const first = place.start(one, { T_STEPS: '300', T_RATE: '50' })
    await until('a trainer', 60_000, () => place.processes('trainer').length === 1)
    const second = await place.run(train(1, '--key', 'shared', '--project', 'two'))
    expect(second.code, second.stderr).toBe(75)
    const local = await place.run(['run', '--key', 'shared', '--project', 'two', '--', 'true'])
    expect(local.code, local.stderr).toBe(0)
    const done = await first.ended
    expect(done.code, done.stderr).toBe(0)
    expect(await server.desk.experiments()).toHaveLength(1)
  }, 120_000)

  it('keeps out of an experiment that a run is in whose locks it does not see', async () => {
    await begin()
    const flags = ['--key', 'shared', '--exit-timeout', '5']
    const first = place.start(train(1, ...flags), { T_STEPS: '600', T_RATE: '50' })
    for (let there = 0; there === 0; await sleep(100)) {
      there = Object.keys((await server.desk.experiments())[0]?.others ?? {}).length
    }
    const [locks, runs] = [join(place.root, 'other'), join(place.root, 'there')]
    const elsewhere = { RANKZERO_LOCK_DIR: locks, RANKZERO_DIR: runs }
    const second = await place.run(train(1, ...flags), { ...elsewhere, T_STEPS: '7' })
    expect(second.code, second.stderr).toBe(0)
    expect(second.stderr).toMatch(/14 to comet/)
    expect((await first.ended).code).toBe(0)
    const { view } = await expectWhole(server.desk, place)
    expect(view.others['rankzero run']).toBe(place.runs()[0])
    expect(view.resumed).toBe(0)
  }, 120_000)

  it('sends value by value where the server has no batches', async () => {
    await begin({ missing: ['clientlib/batch/'] })
    const done = await place.run(script(2), { T_CODE: `run.params({ lr: 0.1, list: [1, 2], none: null })
      for (let step = 0; step < 20; step++) run.log({ a: step + run.rank, same: 1 }, { step })` })
    expect(done.code, done.stderr).toBe(0)
    const { view, twice } = await expectWhole(server.desk, place)
    expect(twice).toBe(0)
    expect(view).toMatchObject({ state: 'ended', parameters: { lr: 0.1, list: '[1,2]', none: 'null' } })
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  }, 120_000)

  it('tells how a job failed', async () => {
    await begin()
    const done = await place.run(train(2), { T_STEPS: '20', T_LEAVE: 'exit3' })
    expect(done.code).toBe(3)
    const { view } = await expectWhole(server.desk, place)
    expect(view).toMatchObject({ state: 'ended', others: { 'rankzero status': 'failed' } })
    expect(view.errors).toMatchObject([{ hasCrashed: true, isAlive: true }])
    expect(String(view.errors[0]!.error)).toMatch(/^failed: rank [01] on .*: exit 3, last step 19/)
  }, 120_000)
})
