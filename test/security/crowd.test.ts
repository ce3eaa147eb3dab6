/** Ten thousand connections that say nothing, to a head that may have 1,024 files open. */
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import type { Endpoint } from '../../lib/record/run-status.ts'
import { Place, TRAINER, sleep, until } from '../scenario/harness.ts'

const CROWD = 10_000
/** As many at once as a test may have open itself. */
const WAVE = 2000
const cleanups: (() => void)[] = []
afterEach(() => { for (const clean of cleanups.splice(0)) clean() })

const LIMITED = ['/bin/sh', '-c', 'ulimit -n 1024 && exec "$@"', 'sh']

/** The most that a process ever had, KiB. */
const memoryOf = (pid: number): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)

it('is kept out, and nothing of the run is late or lost', async () => {
  const at = new Place()
  cleanups.push(() => at.dispose())
  const rankzero = [...LIMITED, process.execPath, at.cli, 'run', '--nproc', '2']
  const job = at.start([...rankzero, '--', process.execPath, TRAINER],
    { T_METRICS: '2', T_STEPS: '1500', T_RATE: '100' })
  const name = await until('a meeting file', 60_000, () => {
    try {
      return readdirSync(at.locks).find((one) => /^meet-.*json$/.test(one))
    } catch {
      return undefined
    }
  })
  const { port, pid } = JSON.parse(readFileSync(join(at.locks, name), 'utf8')) as Endpoint
  const crowd = new Set<Socket>()
  cleanups.push(() => { for (const socket of crowd) socket.destroy() })
  for (let n = 0; n < CROWD; n += WAVE) {
    for (let i = 0; i < WAVE; i++) {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      socket.on('close', () => crowd.delete(socket)).resume()
      crowd.add(socket)
    }
    await sleep(1000)
    // The last wave is left to the head, which closes who does not shake hands.
    if (n + WAVE < CROWD) for (const socket of crowd) socket.destroy()
  }
  await until('the end of the crowd', 60_000, () => crowd.size === 0)
  expect(memoryOf(pid)).toBeLessThan(256 * 1024)
  expect((await job.ended).code).toBe(0)
  expect(at.points()).toHaveLength(2 * 2 * 1500)
  expect(at.audit()).toMatchObject({ balanced: true, complete: true })
  expect(at.status()).toMatchObject({ status: 'finished', ranks: 2 })
  expect(at.status().denied).toBeGreaterThan(1000)
}, 180_000)
