/** Assets, pages, tags, names and others: by real ranks, through the ledger, to the stand-in. */
import { readdirSync, renameSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { kill, sleep, type Place } from '../scenario/harness.ts'
import { cometPlace, script } from './kit.ts'
import type { Knobs } from './knobs.ts'
import { spawnStandIn } from './process.ts'

let place: Place
let server: Awaited<ReturnType<typeof spawnStandIn>>
afterEach(async () => {
  place.dispose()
  await server.close()
})

async function begin(knobs: Partial<Knobs> = {}): Promise<void> {
  server = await spawnStandIn({ knobs: { beatMs: 1000, ...knobs } })
  place = cometPlace(server.url)
}

const digestOf = (bytes: string): string => createHash('sha256').update(bytes).digest('hex')
const stored = (): string[] => readdirSync(join(place.dir, '.assets')).sort()

const CODE = `run.log({ a: 1 }, { step: 7 })
  run.asset(process.env.T_FILE, { metadata: { epoch: 2 } })
  const model = { name: 'again/model.bin', type: 'model-element', metadata: { model: 'net' } }
  run.asset(process.env.T_FILE, model)
  run.asset({ uri: 's3://b/k.pt', size: 5 }, { step: 3 })
  run.asset(Buffer.from('png'), { name: 'pic.png', type: 'image' })
  run.html('<b>' + (run.rank === 0 ? 'x' : 'x') + '</b>')
  run.other('commit', 'abc')
  run.other('seed', run.rank)
  run.tags(['t1', 'rank ' + run.rank])
  run.name('named')
  run.asset('/nowhere/at/all')`

describe('assets', () => {
  it('of all ranks come once, with names, types, steps and what is said beside', async () => {
    await begin()
    const file = join(place.root, 'model.bin')
    writeFileSync(file, 'content')
    const flags = ['--tags', 'a', '--exit-timeout', '120']
    const done = await place.run(script(2, ...flags), { T_CODE: CODE, T_FILE: file })
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toMatch(/asset: .*\/nowhere\/at\/all.*left out/)
    const [view] = await server.desk.experiments()
    const assets = Object.fromEntries(view!.assets.map((asset) => [asset.fileName, asset]))
    expect(assets).toMatchObject({
      'model.bin': { type: 'asset', sha256: digestOf('content'), step: 7, uploads: 1 },
      'again/model.bin': { type: 'model-element', groupingName: 'net', uploads: 1 },
      'k.pt': { type: 'asset', link: 's3://b/k.pt', step: 3, uploads: 1 },
      'pic.png': { type: 'image', sha256: digestOf('png'), uploads: 1 },
    })
    expect(JSON.parse(assets['model.bin']!.metadata!)).toMatchObject({ 'epoch': 2, 'rankzero/size': 7 })
    expect(view!.assets).toHaveLength(4)
    expect(view).toMatchObject({
      name: 'named', html: '<b>x</b>', state: 'ended', errors: [],
      others: { 'commit': 'abc', 'seed': 0, 'seed, by rank': '0: 0; 1: 1', 'rankzero status': 'finished' },
    })
    expect(view!.tags.sort()).toEqual(['a', 'rank 0', 'rank 1', 't1'])
    expect((await server.desk.log()).filter(({ status }) => status !== 200)).toEqual([])
    expect(stored()).toEqual([digestOf('content'), digestOf('png'), digestOf('<b>x</b>')].sort())
    const status = place.status()
    expect(status.backends[1]).toMatchObject({ name: 'comet', state: 'ended' })
    expect(status.assets).toMatchObject({ count: 5 })
    const [first] = status.assets!.newest
    expect(first).toMatchObject({ name: 'model.bin', size: 7, sha256: digestOf('content') })
  }, 120_000)

  it('that change while they are read are told, and the run goes on', async () => {
    await begin()
    const file = join(place.root, 'model.bin')
    const done = await place.run(script(1, '--exit-timeout', '120'), { T_FILE: file, T_CODE: `
      const { spawn } = process.getBuiltinModule('node:child_process')
      const { existsSync, writeFileSync } = process.getBuiltinModule('node:fs')
      writeFileSync(process.env.T_FILE, Buffer.alloc(32e6))
      const writer = spawn('sh', ['-c', 'while :; do echo more >> "$T_FILE"; done'])
      while (process.getBuiltinModule('node:fs').statSync(process.env.T_FILE).size === 32e6) await sleep(5)
      run.asset(process.env.T_FILE)
      writer.kill('SIGKILL')
      run.asset(Buffer.from('whole'), { name: 'whole' })
      run.log({ a: 1 })` })
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toMatch(/asset: .*model\.bin changed while it was read.*Training goes on/)
    const [view] = await server.desk.experiments()
    expect(view!.assets.map(({ fileName }) => fileName)).toEqual(['whole'])
    expect(stored()).toEqual([digestOf('whole')])
    expect(place.rows()).toHaveLength(1)
  }, 120_000)

  it('that the server refuses are counted in status, audit and the experiment', async () => {
    const body = JSON.stringify({ msg: 'too many of them' })
    await begin({ faults: [{ match: 'asset/upload', kind: 'answer', status: 400, times: 1, body }] })
    const code = 'for (const name of ["a", "b"]) run.asset(Buffer.from(name), { name })'
    const done = await place.run(script(1, '--exit-timeout', '120'), { T_CODE: code })
    expect(done.code, done.stderr).toBe(0)
    const [view] = await server.desk.experiments()
    expect(view!.assets.map(({ fileName }) => fileName)).toEqual(['b'])
    expect(view).toMatchObject({ state: 'ended', others: { 'rankzero assets refused': 1 } })
    const [, comet] = place.status().backends
    expect(comet).toMatchObject({ assets: { pending: 0, rejected: 1 } })
    expect((await place.run(['status'])).stdout).toMatch(/comet ended, 0 pending, 1 asset rejected/)
    const assets = { logged: 2, delivered: 1, rejected: 1, pending: 0 }
    expect(place.audit()).toMatchObject({ balanced: true, complete: true, backends: [{}, { assets }] })
    expect((await place.run(['audit'])).stdout).toMatch(/2 assets = 1 delivered \+ 1 rejected \+ 0 pending/)
  }, 120_000)

  it('come once when the aggregator is killed after an upload was stored, and before it was', async () => {
    await begin({ beatMs: 60_000 })
    const stop = join(place.root, 'stop')
    const job = place.start(script(1, '--exit-timeout', '60'), { T_STOP: stop, T_CODE: `
      const { existsSync } = process.getBuiltinModule('node:fs')
      run.log({ a: 1 })
      for (let n = 0; !existsSync(process.env.T_STOP); n++) {
        run.asset(Buffer.from('content ' + n), { name: 'file ' + n, step: n })
        await sleep(250)
      }` })
    for (const after of [true, false]) {
      // One that has begun before may be the one that hangs.
      const hung = async (): Promise<number> =>
        (await server.desk.log()).filter(({ fault }) => fault?.startsWith('hang') === true).length
      const before = await hung()
      await server.desk.set({ faults: [{ match: 'asset/upload', kind: 'hang', times: 1, after }] })
      await seen(async () => await hung() > before)
      kill(await place.one('aggregator'))
      const { length } = await server.desk.log()
      await server.desk.set({ faults: [] })
      await seen(async () => (await server.desk.log()).slice(length).some(({ path, status }) =>
        path.endsWith('asset/upload') && status === 200))
    }
    writeFileSync(stop, '')
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    const [view] = await server.desk.experiments()
    const status = place.status()
    expect(view!.assets).toHaveLength(status.assets!.count)
    expect(view!.assets.filter(({ uploads }) => uploads !== 1)).toEqual([])
    expect(view!.assets[0]).toMatchObject({ fileName: 'file 0', sha256: digestOf('content 0'), step: 0 })
    expect(status.backends[1]).toMatchObject({ state: 'ended' })
  }, 300_000)

  it('whose content is on another node are pending, keep no other waiting, and come by sync', async () => {
    await begin()
    const away = join(place.root, 'away')
    const stop = join(place.root, 'stop')
    const job = place.start(script(1, '--exit-timeout', '10'), { T_STOP: stop, T_CODE: `
      const { existsSync, renameSync } = process.getBuiltinModule('node:fs')
      const store = process.env.RANKZERO_DIR + '/.assets'
      run.asset(Buffer.from('far'), { name: 'far' })
      renameSync(store, ${JSON.stringify(away)})
      await sleep(1000)
      run.asset(Buffer.from('near'), { name: 'near' })
      while (!existsSync(process.env.T_STOP)) await sleep(20)
      run.log({ a: 1 })` })
    const told = /the content of far is on .*: copy \.assets\/.* then: rankzero sync/
    await seen(() => Promise.resolve(told.test(place.picture()?.backends[1]?.warning ?? '')))
    writeFileSync(stop, '')
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toMatch(/1 asset to comet/)
    expect(done.stderr).toMatch(told)
    const books = place.audit()
    expect(books).toMatchObject({ balanced: true, complete: false })
    const all = { logged: 2, delivered: 1, rejected: 0, pending: 1 }
    expect(books.backends[1]).toMatchObject({ pending: 0, assets: all })
    const names = async (): Promise<string[]> =>
      (await server.desk.experiments())[0]!.assets.map(({ fileName }) => fileName).sort()
    expect(await names()).toEqual(['near'])
    expect(place.status().backends[1]).toMatchObject({ assets: { pending: 1 } })
    const early = await place.run(['sync', 'latest'])
    expect(early.code).toBe(4)
    expect(early.stdout).toMatch(/1 asset: .*the content of far is on .*\.assets/)
    renameSync(join(away, digestOf('far')), join(place.dir, '.assets', digestOf('far')))
    const synced = await place.run(['sync', 'latest'])
    expect(synced.code, synced.stdout + synced.stderr).toBe(0)
    expect(await names()).toEqual(['far', 'near'])
    expect(place.status().backends[1]).toMatchObject({ state: 'ended' })
    const now = { ...all, delivered: 2, pending: 0 }
    expect(place.audit()).toMatchObject({ complete: true, backends: [{}, { assets: now }] })
    expect((await server.desk.experiments())[0]).toMatchObject({ state: 'ended' })
    expect((await server.desk.experiments())[0]!.assets.filter(({ uploads }) => uploads !== 1)).toEqual([])
  }, 300_000)
})

/** Bounded by the time of the test. */
async function seen(look: () => Promise<boolean>): Promise<void> {
  while (!await look()) await sleep(30)
}
