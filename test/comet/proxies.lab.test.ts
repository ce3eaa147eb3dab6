/** Backend comet through proxies that companies run, with what they want, and without. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Diagnosis } from '../../lib/cli/doctor/index.ts'
import type { Place } from '../scenario/harness.ts'
import { cometPlace, expectOffline, expectOnline, expectWhole, NO_PROXIES } from './kit.ts'
import { spawnStandIn } from './process.ts'
import { startTls, type Middle } from './proxy.ts'
import { startSquid, startTinyproxy, type Proxy } from './real-proxies.ts'

let dir: string
let server: Awaited<ReturnType<typeof spawnStandIn>>
let place: Place | null = null
let proxy: Proxy | null = null
let front: Middle | null = null
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'rz-proxy-'))
  server = await spawnStandIn({})
})
afterEach(async () => {
  place?.dispose()
  await proxy?.close()
  front?.close()
  await server.close()
  rmSync(dir, { recursive: true })
})

/** Another run of the same world: the server forgets the one before. */
async function fresh(url: string, env: NodeJS.ProcessEnv): Promise<Place> {
  place?.dispose()
  await server.desk.clear()
  place = cometPlace(url, { ...NO_PROXIES, ...env })
  return place
}

const CREDENTIALS = /the proxy wants other credentials: HTTPS_PROXY=http/

describe('tinyproxy', () => {
  it('leads to the server', async () => {
    proxy = await startTinyproxy(dir, null)
    await expectOnline(server.desk, await fresh(server.url, { HTTP_PROXY: `http://${proxy.at}` }))
    const { stdout } = await place!.run(['doctor', '--backend', 'comet', '--json'])
    const [one] = (JSON.parse(stdout) as Diagnosis).backends
    expect(one!.facts).toMatchObject({ proxy: proxy.at, key: 'valid' })
  })

  it('with credentials: right, none, wrong; what waited goes with the right ones', async () => {
    proxy = await startTinyproxy(dir, 'user:right')
    const by = (user: string): NodeJS.ProcessEnv => ({ http_proxy: `http://${user}${proxy!.at}` })
    await expectOnline(server.desk, await fresh(server.url, by('user:right@')))
    await expectOffline(server.desk, await fresh(server.url, by('')), CREDENTIALS)
    await expectOffline(server.desk, await fresh(server.url, by('user:wrong@')), CREDENTIALS)
    const synced = await place!.run(['sync', 'latest'], by('user:right@'))
    expect(synced.code, synced.stdout + synced.stderr).toBe(0)
    await expectWhole(server.desk, place!)
  })
})

describe('squid that breaks TLS open', () => {
  it('works where its CA is known, and is named where not; wants its credentials', async () => {
    const origin = front = await startTls(server.url, dir)
    const squid = await startSquid(dir, origin.ca, 'user:right')
    proxy = squid
    const url = `https://localhost:${origin.port}`
    const by = (user: string, ca: string): NodeJS.ProcessEnv =>
      ({ HTTPS_PROXY: `http://${user}@${squid.at}`, NODE_EXTRA_CA_CERTS: ca })
    await expectOnline(server.desk, await fresh(url, by('user:right', squid.ca)))
    // It has seen what was said.
    expect(readFileSync(join(dir, 'access.log'), 'utf8')).toContain('/clientlib/logger/add/run')
    await expectOffline(server.desk, await fresh(url, by('user:right', origin.ca)),
      /the CA 'Intercepting CA' that signed .* is not known here: NODE_EXTRA_CA_CERTS=FILE/)
    await expectOffline(server.desk, await fresh(url, by('user:wrong', squid.ca)), CREDENTIALS)
  })
})
