/** The bad line of the drills, before one server. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { begin, until } from '../scenario/harness.ts'

/** See test/drill/proxy.js. */
export interface LineFaults { delayMs?: number; perMs?: number; mute?: 'up' | 'down' | 'both' }

const SCRIPT = join(import.meta.dirname, '../drill/proxy.js')
const START_MS = 60_000

export async function startRelay(url: string) {
  const place = mkdtempSync(join(tmpdir(), 'rz-relay-'))
  const { host, protocol } = new URL(url)
  const { child, stdout, ended } = begin([process.execPath, SCRIPT, place, '0', host], {})
  const port = await until('the relay', START_MS, () => /^ready (\d+)/.exec(stdout())?.[1])
  let faults: LineFaults = {}
  let reset = 0
  const tell = (): void => {
    writeFileSync(join(place, 'new'), JSON.stringify({ ...faults, reset }))
    renameSync(join(place, 'new'), join(place, 'proxy.json'))
  }
  return {
    url: `${protocol}//127.0.0.1:${port}`,
    set(now: LineFaults) {
      faults = now
      tell()
    },
    reset() {
      reset++
      tell()
    },
    async close() {
      child.kill()
      await ended
      rmSync(place, { recursive: true })
    },
  }
}
