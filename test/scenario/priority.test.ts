/** Daemons give way to the trainers of their node, and to nobody else. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { DAEMON_NICE } from '../../lib/limits.ts'
import { Place, TRAINER, until } from './harness.ts'

let place: Place
afterEach(() => place?.dispose())

const GROUPS = existsSync('/proc/self/autogroup')
const groupOf = (pid: number): number | null =>
  GROUPS ? Number(/nice (-?\d+)/.exec(readFileSync(`/proc/${pid}/autogroup`, 'utf8'))?.[1]) : null
const [ownNice, ownGroup] = [getPriority(), groupOf(process.pid)]

/** Niceness of all threads of a process, each once, and of its session's group. */
function nicenessOf(pid: number): { threads: number[]; group: number | null } {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => getPriority(Number(thread)))
  return { threads: [...new Set(threads)], group: groupOf(pid) }
}

/** It gives way some time after it has started. */
async function yielding(pid: number): Promise<object> {
  await until('a daemon to give way', 60_000, () =>
    nicenessOf(pid).threads.every((nice) => nice >= DAEMON_NICE))
  return nicenessOf(pid)
}

const low = { threads: [Math.max(DAEMON_NICE, ownNice)], group: GROUPS ? DAEMON_NICE : null }
const usual = (pid: number): object => ({ threads: [ownNice], group: GROUPS ? groupOf(pid) : null })

interface Job { head: number; agent: number; end(): Promise<void> }

async function job(env: NodeJS.ProcessEnv): Promise<Job> {
  place = new Place()
  const run = place.start(['run', '--', process.execPath, TRAINER], { ...place.endless, ...env })
  await until('a live run', 60_000, () => place.picture()?.state === 'live')
  const [head, agent] = [await place.one('aggregator'), await place.one('agent')]
  return {
    head, agent,
    async end() {
      place.stop()
      const done = await run.ended
      expect(done.code, done.stderr).toBe(0)
    },
  }
}

describe('priority of the daemons', () => {
  it('is below that of trainers and supervisor', async () => {
    const { head, agent, end } = await job({})
    const trainer = await place.one('trainer')
    expect(await yielding(head)).toEqual(low)
    expect(await yielding(agent)).toEqual(low)
    expect(nicenessOf(trainer)).toEqual(usual(trainer))
    expect(groupOf(trainer)).toBe(ownGroup)
    await end()
  })

  it('is the usual one for a head of several nodes', async () => {
    const { head, agent, end } = await job({ SLURM_JOB_NUM_NODES: '2' })
    expect(await yielding(agent)).toEqual(low)
    expect(nicenessOf(head)).toEqual({ threads: [ownNice], group: GROUPS ? 0 : null })
    await end()
  })
})
