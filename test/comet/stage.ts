/** The place and the server of one test, for files whose every test has both: `begin` makes them. */
import { afterEach } from 'vitest'
import type { Place } from '../scenario/harness.ts'
import { cometPlace } from './kit.ts'
import type { Knobs } from './knobs.ts'
import { spawnStandIn } from './process.ts'

export let place: Place
export let server: Awaited<ReturnType<typeof spawnStandIn>>
afterEach(async () => {
  place.dispose()
  await server.close()
})

export async function begin(knobs: Partial<Knobs> = {}, env: NodeJS.ProcessEnv = {}): Promise<void> {
  server = await spawnStandIn({ knobs: { beatMs: 1000, ...knobs } })
  place = cometPlace(server.url, env)
}
