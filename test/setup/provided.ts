/** For tests of the lab: waits for what they need of provision.js, which may run beside them (beside.js). */
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { provisionRuns, stampOf } from './stamps.js'

/** Every step of provision.js ends within its own limit; this (ms) is more than all of them. */
export const PROVIDED_MS_MAX = 3_000_000
const LOOK_MS = 500

export async function provided(what: 'base' | 'complete'): Promise<void> {
  const stamp = stampOf(what)
  const end = performance.now() + PROVIDED_MS_MAX
  while (!existsSync(stamp)) {
    const runs = provisionRuns()
    // It may have ended between the two looks.
    if (!runs && existsSync(stamp)) return
    if (!runs || performance.now() > end) {
      throw new Error(`${stamp} is not there: node test/setup/provision.js makes it; what it did last is in`
        + ' .cache/provision.log; npm run test:core needs nothing of it')
    }
    await sleep(LOOK_MS)
  }
}
