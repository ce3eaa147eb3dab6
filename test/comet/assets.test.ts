/** Assets, pages, tags, names and others: by real ranks, through the ledger, to the stand-in. */
import { readdirSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { kill, until, type Place } from '../scenario/harness.ts'
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
const uploads = async (): Promise<string[]> =>
  (await server.desk.log()).map(({ path }) => path).filter((path) => path.includes('upload'))

const CODE = `run.log({ a: 1 }, { step: 7 })
  run.asset(process.env.T_FILE, { metadata: { epoch: 2 } })
  run.asset(process.env.T_FILE, { name: 'again/model.bin', type: 'model-element', metadata: { model: 'net' } })
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
    const done = await place.run(script(2, '--tags', 'a'), { T_CODE: CODE, T_FILE: file })
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toMatch(/asset: .*\/nowhere\/at\/all.*left out/)
    const [view] = await server.desk.experiments()
    const assets = Object.fromEntries(view!.assets.map((asset) => [asset.fileName, asset]))
    expect(assets).toMatchObject({
      'model.bin': { type: 'asset', sha256: digestOf('content'), step: 7, uploads: 1 },
      'again/model.bin': { type: 'model-element', groupingName: 'net', sha256: digestOf('content'), uploads: 1 },
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
    expect(status.assets!.newest[0]).toMatchObject({ name: 'model.bin', size: 7, sha256: digestOf('content') })
  }, 120_000)
})
