/** Archives of backend comet: the vendor's own `comet upload` takes them, and so does `rankzero sync`. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { until, type Place } from '../scenario/harness.ts'
import type { View } from './desk.ts'
import { arrived, cometPlace, expectWhole, script, train } from './kit.ts'
import { spawnStandIn, type Spawned } from './process.ts'
import { API_KEY, upload } from './vendor.ts'

let place: Place
let server: Spawned
const cleanups: (() => void)[] = []
afterEach(async () => {
  place.dispose()
  await server.close()
  for (const clean of cleanups.splice(0)) clean()
})

async function begin(): Promise<void> {
  server = await spawnStandIn({ knobs: { keys: [API_KEY] } })
  place = cometPlace(server.url, { COMET_API_KEY: API_KEY })
}

/** With the vendor's client, in a directory of its own. */
async function byVendor(archive: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'rz-comet-'))
  cleanups.push(() => { rmSync(dir, { recursive: true }) })
  const sent = await upload({ url: server.url, dir }, archive)
  expect(sent.code, sent.stdout + sent.stderr).toBe(0)
  expect(sent.stdout + sent.stderr).not.toMatch(/error|fail/i)
}

/** What the vendor's client has brought is not sent again, and counts as delivered. */
async function syncedAfter(before: View, twiceBefore: number): Promise<void> {
  const synced = await place.run(['sync', 'latest'])
  expect(synced.code, synced.stderr + synced.stdout).toBe(0)
  const { view, twice } = await expectWhole(server.desk, place)
  const { metrics, output, assets } = before
  expect([twice, view.metrics, view.output, view.assets]).toEqual([twiceBefore, metrics, output, assets])
  expect(view.state).toBe('ended')
  expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  expect(place.status().backends[1]).toMatchObject({ state: 'ended', pending: 0 })
  expect(place.status().backends[1]).not.toHaveProperty('archive')
}

const CODE = `run.params({ lr: 0.1, list: [1, 2], opt: { name: 'adam' }, none: null })
  for (let step = 0; step < 50; step++) run.log({ a: step + run.rank, odd: step === 7 ? NaN : 1 }, { step })
  run.text('hello')
  run.asset(Buffer.from('content'), { name: 'd/blob.bin', step: 7, metadata: { m: 1 } })
  run.asset(Buffer.from('content'), { name: 'blob.bin', type: 'model-element', metadata: { model: 'net' } })
  run.asset(Buffer.from('png'), { name: 'pic.png', type: 'image', step: 3 })
  run.asset({ uri: 's3://b/k.pt' })
  run.html('<b>x</b>')
  run.other('k', 'v')
  run.tags(['c'])`

const digestOf = (bytes: string): string => createHash('sha256').update(bytes).digest('hex')
/** By name; each came once. */
const ASSETS = {
  'd/blob.bin': { type: 'asset', sha256: digestOf('content'), step: 7, uploads: 1 },
  'blob.bin': { type: 'model-element', groupingName: 'net', sha256: digestOf('content'), uploads: 1 },
  'pic.png': { type: 'image', sha256: digestOf('png'), step: 3, uploads: 1 },
  'k.pt': { type: 'asset', link: 's3://b/k.pt', uploads: 1 },
}
const assetsOf = ({ assets }: View): object => Object.fromEntries(assets.map((one) => [one.fileName, one]))

describe('an archive', () => {
  it('of an offline run is taken whole by `comet upload`', async () => {
    await begin()
    const flags = ['--offline', '--tags', 'a,b', '--name', 'far away']
    const done = await place.run(script(2, ...flags), { T_CODE: CODE })
    expect(done.code, done.stderr).toBe(0)
    expect(await server.desk.log()).toEqual([])
    const [, { archive, ...shown }] = place.status().backends as [unknown, { archive: string }]
    expect(shown).toMatchObject({ name: 'comet', state: 'offline', pending: 200 })
    await byVendor(archive)
    const { view } = await expectWhole(server.desk, place)
    expect(view).toMatchObject({
      name: 'far away', state: 'ended', offline: true, tags: ['a', 'b', 'c'], errors: [], html: '<b>x</b>',
      parameters: { 'lr': 0.1, 'list': [1, 2], 'opt/name': 'adam', 'none': null },
      others: { 'rankzero status': 'finished', 'k': 'v' },
    })
    expect(view.assets).toHaveLength(Object.keys(ASSETS).length)
    expect(assetsOf(view)).toMatchObject(ASSETS)
    expect(view.output.map(({ output }) => output).sort()).toEqual(['rank 0: hello\n', 'rank 1: hello\n'])
    await syncedAfter(view, 0)
  })

  it('has what a server that was lost does not have, and no more', async () => {
    await begin()
    const job = place.start(train(2, '--exit-timeout', '4'), { ...place.endless, T_RATE: '30' })
    await arrived(server.desk)
    await server.desk.set({ down: true })
    const before = place.steps(1)
    await until('more steps', 60_000, () => place.steps(1) > before + 30)
    place.stop()
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    await until('the end', 60_000, () => place.picture()?.state === 'ended')
    const { archive } = place.status().backends[1]!
    await server.desk.set({ down: false })
    await byVendor(archive!)
    const { view, twice } = await expectWhole(server.desk, place)
    expect(view).toMatchObject({ state: 'ended', resumed: 1 })
    // Of the batch that was on its way, perhaps, the same once more.
    expect(twice).toBeLessThanOrEqual(1000)
    await syncedAfter(view, twice)
  })
})
