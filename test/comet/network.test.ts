/** Backend comet where a proxy, a CA of the company, or a bad line is between it and the server. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { sleep, until, type Place } from '../scenario/harness.ts'
import {
  API_KEY, arrived, cometPlace, expectOffline, expectOnline, expectWhole, NO_PROXIES, train,
} from './kit.ts'
import { spawnStandIn } from './process.ts'
import { startProxy, startTls, type Middle } from './proxy.ts'
import { startRelay } from './relay.ts'

let place: Place
let server: Awaited<ReturnType<typeof spawnStandIn>>
let middle: Middle | null = null
let relay: Awaited<ReturnType<typeof startRelay>> | null = null
afterEach(async () => {
  place.dispose()
  middle?.close()
  await relay?.close()
  relay = null
  await server.close()
})

describe('a proxy that wants credentials', () => {
  it.each(['right', 'wrong', 'not for this server'])('%s', async (which) => {
    server = await spawnStandIn({})
    middle = await startProxy('user:right')
    const proxy = `http://user:${which === 'wrong' ? 'wrong' : 'right'}@127.0.0.1:${middle.port}`
    const not = which === 'not for this server' ? { NO_PROXY: '127.0.0.1' } : {}
    place = cometPlace(server.url, { ...NO_PROXIES, HTTP_PROXY: proxy, ...not })
    if (which === 'wrong') {
      const why = /407.*; the proxy wants other credentials: HTTPS_PROXY=http/
      await expectOffline(server.desk, place, why)
      expect(middle.asked.every((one) => !one.let)).toBe(true)
    } else {
      await expectOnline(server.desk, place)
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
      place = cometPlace(`https://localhost:${front.port}`, { ...NO_PROXIES, ...trust })
      if (isKnown) await expectOnline(server.desk, place)
      else {
        await expectOffline(server.desk, place,
          /the CA 'Company CA' that signed .* is not known here: NODE_EXTRA_CA_CERTS=FILE/)
      }
      const words = front.asked.map(({ target }) => target).join()
      expect([words.includes('HEAD / '), words.includes(API_KEY)]).toEqual([!isKnown, isKnown])
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
})

describe('a server by its address', () => {
  it('of IPv6', async () => {
    server = await spawnStandIn({ host: '::1' })
    expect(server.url).toContain('http://[::1]:')
    place = cometPlace(server.url, NO_PROXIES)
    await expectOnline(server.desk, place)
  })
})

describe('a line', () => {
  async function begin(): Promise<void> {
    server = await spawnStandIn({ knobs: { beatMs: 1000 } })
    relay = await startRelay(server.url)
    place = cometPlace(relay.url, NO_PROXIES)
  }
  const failed = (): number => place.picture()?.backends[1]?.calls?.failed ?? 0

  it('that is slow: 200 ms there and back, 1 Mbit/s', async () => {
    await begin()
    relay!.set({ delayMs: 100, perMs: 125 })
    const done = await place.run(train(2, '--exit-timeout', '120'),
      { T_METRICS: '20', T_STEPS: '200', T_RATE: '40' })
    expect(done.code, done.stderr).toBe(0)
    const { view, twice } = await expectWhole(server.desk, place)
    expect([view.state, twice]).toEqual(['ended', 0])
    const { slowest } = place.status().backends[1]!.calls!
    expect(slowest[0]!.ms).toBeGreaterThan(100)
  })

  it('that resets again and again', async () => {
    await begin()
    // A call takes so long that some are cut off in it.
    relay!.set({ delayMs: 100 })
    const job = place.start(train(2, '--exit-timeout', '120'),
      { T_METRICS: '4', ...place.endless, T_RATE: '40' })
    await until('a call', 60_000, () => (place.picture()?.backends[1]?.calls?.made ?? 0) > 0)
    for (let n = 0; n < 8 || (failed() < 3 && n < 200); n++) {
      await sleep(300)
      relay!.reset()
    }
    place.stop()
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    expect((await expectWhole(server.desk, place)).view.state).toBe('ended')
    expect(place.status().backends[1]!.calls!.failed).toBeGreaterThan(2)
  })

  it('that swallows everything for a while, with signs of life on it too', async () => {
    await begin()
    const job = place.start(train(1, '--exit-timeout', '120'), { ...place.endless, T_RATE: '20' })
    await until('a point', 60_000, () => (place.picture()?.backends[1]?.calls?.made ?? 0) > 5)
    relay!.set({ mute: 'both' })
    await until('a call that nobody answers', 90_000, () => failed() > 0)
    expect(place.picture()!.backends[1]).toMatchObject({ state: 'retrying' })
    relay!.set({})
    const before = (await server.desk.experiments())[0]!.life.beats
    place.stop()
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    const { view } = await expectWhole(server.desk, place)
    expect(view).toMatchObject({ state: 'ended', afterEnd: 0 })
    expect(view.life.beats).toBeGreaterThan(before)
  })

  it('that swallows the end: the exit does not wait for it, and `sync` completes', async () => {
    await begin()
    const job = place.start(train(1, '--exit-timeout', '4'), { ...place.endless, T_RATE: '20' })
    await arrived(server.desk)
    relay!.set({ mute: 'both' })
    place.stop()
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    await until('the end', 60_000, () => place.picture()?.state === 'ended')
    expect(place.audit()).toMatchObject({ balanced: true, complete: false })
    expect(place.status().backends[1]).toHaveProperty('archive')
    relay!.set({})
    const synced = await place.run(['sync', 'latest'])
    expect(synced.code, synced.stdout + synced.stderr).toBe(0)
    expect((await expectWhole(server.desk, place)).view.state).toBe('ended')
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  })
})
