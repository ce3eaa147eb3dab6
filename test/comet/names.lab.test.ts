/** Backend comet where the name of the server is not known at first, and where it is forgotten. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { until, type Place, type Started } from '../scenario/harness.ts'
import { cometPlace, expectWhole, NO_PROXIES, train } from './kit.ts'
import { spawnStandIn } from './process.ts'

let place: Place
let server: Awaited<ReturnType<typeof spawnStandIn>>
afterEach(async () => {
  place.dispose()
  await server.close()
})

const NAME = 'comet.example'
/** A machine whose names are in a file of ours, and that has nobody else to ask: it refuses. */
const HOSTS =
  'mount --bind "$1/hosts" /etc/hosts; mount --bind "$1/resolv" /etc/resolv.conf; shift; exec "$@"'

/** Written in place: the machine of the run sees this very file. */
const know = (isKnown: boolean): void =>
  writeFileSync(join(place.root, 'hosts'), `127.0.0.1 localhost\n${isKnown ? `127.0.0.1 ${NAME}\n` : ''}`)

async function begin(isKnown: boolean): Promise<Started> {
  server = await spawnStandIn({ knobs: { beatMs: 1000 } })
  place = cometPlace(server.url.replace('127.0.0.1', NAME), NO_PROXIES)
  know(isKnown)
  writeFileSync(join(place.root, 'resolv'), 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
  const apart = ['/usr/bin/unshare', '--mount', '--propagation', 'private', 'sh', '-ec', HOSTS, 'sh']
  const run = [process.execPath, place.cli, ...train(1, '--exit-timeout', '60')]
  return place.start([...apart, place.root, ...run], { ...place.endless, T_RATE: '20' })
}
const faultOf = (): string => place.picture()?.backends[1]?.fault ?? ''
const UNKNOWN = /(ENOTFOUND|EAI_AGAIN).*; check COMET_URL_OVERRIDE, DNS and firewalls, or name a proxy/

async function end(job: Started): Promise<void> {
  place.stop()
  const done = await job.ended
  expect(done.code, done.stderr).toBe(0)
  expect((await expectWhole(server.desk, place)).view).toMatchObject({ state: 'ended', afterEnd: 0 })
}

describe('the name of the server', () => {
  it('is not known when the run begins: all is delivered when it is', async () => {
    const job = await begin(false)
    await until('a fault', 60_000, () => UNKNOWN.test(faultOf()))
    expect(place.steps(0)).toBeGreaterThan(0)
    know(true)
    await until('a call that went well', 120_000, () => faultOf() === '')
    await end(job)
  })

  it('is forgotten in the middle: what is connected stays so, what is not waits', async () => {
    const job = await begin(true)
    await until('points', 60_000, () => (place.picture()?.backends[1]?.calls?.made ?? 0) > 5)
    know(false)
    await server.desk.set({ down: true })
    await server.desk.set({ down: false })
    await until('a fault', 60_000, () => UNKNOWN.test(faultOf()))
    know(true)
    await until('a call that went well', 120_000, () => faultOf() === '')
    await end(job)
  })
})
