/** One drill from its beginning to its judgement. */
import { generator } from '../../lib/cli/drill/core-plan.ts'
import { sleep } from '../scenario/harness.ts'
import type { Drill } from './drills.ts'
import { judge, type Outcome } from './judge.ts'
import { World } from './world.ts'

export interface DriveOptions {
  seconds: number
  workers: number
  seed: number
  /** Told of each blow. */
  say?: (line: string) => void
}

export const METRICS = 5
/** 500 points a second of each worker. */
export const RATE = 100
/** No new blow in the last part of a run (ms): what was broken comes back. */
const QUIET_MS = 3000
const SHORTEST_MS = 1000
/** Of its part of the time, a fault takes a half at most. */
const SHARE = 2

export async function drive(drill: Drill, options: DriveOptions): Promise<Outcome> {
  const { seconds, workers, seed, say = () => {} } = options
  const runMs = seconds * 1000
  // Each fault gets its turn in a short drill.
  const longestMs = Math.max(SHORTEST_MS, runMs / (SHARE * drill.faults.length))
  const world = await World.make({ hosts: drill.hosts, workers, rate: RATE, metrics: METRICS, longestMs })
  const random = generator(seed)
  const blows: string[] = []
  try {
    if (drill.setUp !== undefined) world.options.env = await drill.setUp(world)
    await world.begin(runMs)
    const begun = performance.now()
    for (let round = 0; ; round++) {
      await sleep(drill.pauseMs[0] + random() * (drill.pauseMs[1] - drill.pauseMs[0]))
      // One that may outlast the run is begun for its first turn only: a rank that starts and ends while
      // nothing takes a journal is on stderr, and not in the books (GUARANTEES.md 2).
      const longest = round < drill.faults.length ? 0 : longestMs
      if (performance.now() - begun + longest > runMs - QUIET_MS) break
      // Each fault once, then any.
      const fault = drill.faults[round] ?? drill.faults[Math.floor(random() * drill.faults.length)]!
      const at = ((performance.now() - begun) / 1000).toFixed(1)
      const did = await fault.strike(world, random)
      if (did === null) continue
      blows.push(`${at} s: ${did}`)
      say(`${drill.name} ${blows.at(-1)}`)
    }
    const agentAway = blows.some((blow) => blow.includes('agent'))
    const facts = await judge(world, { mayLose: drill.mayLose === true, agentAway })
    if (facts.problems.length > 0) facts.problems.push(world.diaries())
    return { drill: drill.name, seed, seconds, blows, ...facts }
  } finally {
    world.dispose()
  }
}
