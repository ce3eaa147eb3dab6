/** Backend comet where a proxy, or a CA of the company, is between it and the server. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { until, type Place } from '../scenario/harness.ts'
import { cometPlace, expectWhole, train } from './kit.ts'
import { spawnStandIn } from './process.ts'
import { startProxy, startTls, type Middle } from './proxy.ts'

let place: Place
let server: Awaited<ReturnType<typeof spawnStandIn>>
let middle: Middle | null = null
afterEach(async () => {
  place.dispose()
  middle?.close()
  await server.close()
})

const NONE = { HTTP_PROXY: '', HTTPS_PROXY: '', NO_PROXY: '', http_proxy: '', https_proxy: '', no_proxy: '' }
const JOB = { T_STEPS: '30', T_RATE: '50' }

/** Training is well; what was not sent waits in an archive, and why is said. */
async function expectOffline(why: RegExp): Promise<void> {
  const done = await place.run(train(1, '--exit-timeout', '4'), JOB)
  expect(done.code, done.stderr).toBe(0)
  await until('the end', 60_000, () => place.status().state === 'ended')
  expect(place.status().backends[1]!.fault).toMatch(why)
  expect(place.status().backends[1]).toHaveProperty('archive')
  expect(await server.desk.experiments()).toEqual([])
  expect(place.audit()).toMatchObject({ balanced: true, complete: false })
}

async function expectOnline(): Promise<void> {
  const done = await place.run(train(1), JOB)
  expect(done.code, done.stderr).toBe(0)
  await expectWhole(server.desk, place)
}

describe('a proxy that wants credentials', () => {
  it.each(['right', 'wrong', 'not for this server'])('%s', async (which) => {
    server = await spawnStandIn({})
    middle = await startProxy('user:right')
    const proxy = `http://user:${which === 'wrong' ? 'wrong' : 'right'}@127.0.0.1:${middle.port}`
    const not = which === 'not for this server' ? { NO_PROXY: '127.0.0.1' } : {}
    place = cometPlace(server.url, { ...NONE, HTTP_PROXY: proxy, ...not })
    if (which === 'wrong') {
      await expectOffline(/407.*; the proxy wants other credentials: HTTPS_PROXY=http/)
      expect(middle.asked.every((one) => !one.let)).toBe(true)
    } else {
      await expectOnline()
      const target = server.url.replace('http://', '')
      expect(middle.asked.length > 0).toBe(which === 'right')
      expect(middle.asked.every((one) => one.let && one.target === target)).toBe(true)
    }
  })
})

describe('a CA of the company', () => {
  it.each([true, false])('known: %s', async (isKnown) => {
    server = await spawnStandIn({})
    const dir = mkdtempSync(join(tmpdir(), 'rz-comet-'))
    try {
      const front = middle = await startTls(server.url, dir)
      const trust = isKnown ? { NODE_EXTRA_CA_CERTS: front.ca } : {}
      place = cometPlace(`https://localhost:${front.port}`, { ...NONE, ...trust })
      if (isKnown) await expectOnline()
      else await expectOffline(/the CA that signed .* is not known here: NODE_EXTRA_CA_CERTS=FILE/)
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
})
