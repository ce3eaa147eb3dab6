import { hostname, networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { namesThisHost } from '../../lib/launch/hosts.ts'

const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []).map(({ address }) => address)

const names = [hostname(), 'localhost', '127.0.0.1', '127.0.1.1', '::1', ...own]

test.each(names)('%s is this host', async (name) => {
  expect(await namesThisHost(name)).toBe(true)
})
test.each(['192.0.2.7', 'no-such-host.invalid'])('%j is not', async (name) => {
  expect(await namesThisHost(name)).toBe(false)
})
