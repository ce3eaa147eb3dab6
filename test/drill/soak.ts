/**
 * The soak: one run for long, a fault every so often, memory and files of its processes looked at meanwhile.
 *
 * In: minutes, workers, points per second of each, seconds between faults. Out: a JSON file, a table, and
 * whether all was right. Processes whose memory is compared must live through three quarters of it, so
 * daemons are killed in the first quarter only, and after it of the workers only ranks 0 and 1.
 */
import { writeFileSync } from 'node:fs'
import { generator } from '../../lib/cli/drill/core-plan.ts'
import { lifeOf } from '../../lib/cli/drill/processes.ts'
import { table } from '../../lib/cli/output.ts'
import { sleep } from '../scenario/harness.ts'
import { METRICS } from './drive.ts'
import { FAULTS, type Fault } from './faults.ts'
import { judge, type Outcome } from './judge.ts'
import { flatnessOf, takeSamples, type Flatness, type Life } from './samples.ts'
import { outcomesTable, problemsText } from './table.ts'
import { World } from './world.ts'

export interface SoakOptions {
  minutes: number
  workers: number
  /** Points per second of each worker. */
  rate: number
  /** Seconds from one fault to the next. */
  every: number
  /** File for the JSON. */
  out: string
  seed: number
}

const SAMPLE_MS = 10_000
const QUIET_MS = 10_000
const MORTAL_RANKS = 2

const killFewWorkers: Fault = {
  name: 'SIGKILL worker 0 or 1',
  strike: async (world, random) => {
    const rank = Math.floor(random() * MORTAL_RANKS)
    const pid = lifeOf(world.root, rank)
    return pid === null || !world.pids('worker').includes(pid) ? null : world.killLife({ rank, pid })
  },
}

const ALWAYS = [
  killFewWorkers, FAULTS.stopWorker, FAULTS.stopAgent, FAULTS.stopAggregator, FAULTS.stopSupervisor,
]
const AT_FIRST = [...ALWAYS, FAULTS.killAgent, FAULTS.killAggregator, FAULTS.killWorker, FAULTS.noFiles]

export async function soak(options: SoakOptions): Promise<number> {
  const { minutes, workers, rate, seed, out } = options
  const seconds = minutes * 60
  const world = await World.make({ hosts: 1, workers, rate: rate / METRICS, metrics: METRICS })
  const lives = new Map<number, Life>()
  const save = (more: object): void => {
    writeFileSync(out, JSON.stringify({ options, ...more, lives: [...lives.values()] }))
  }
  try {
    await world.begin(seconds * 1000)
    const begun = performance.now()
    const blows: string[] = []
    const sampling = setInterval(() => {
      takeSamples(world.root, (performance.now() - begun) / 1000, lives)
      save({ blows })
    }, SAMPLE_MS)
    await strikes(world, options, begun, blows).finally(() => clearInterval(sampling))
    const facts = await judge(world, { mayLose: false, agentAway: true })
    const outcome: Outcome = { drill: 'soak', seed, seconds, blows, ...facts }
    const flatness = [...lives.values()].map((life) => flatnessOf(life, seconds))
      .filter((one) => one !== null)
    if (flatness.length === 0) outcome.problems.push('no process lived through the second and last quarter')
    const grown = flatness.filter(({ flat }) => !flat)
    outcome.problems.push(...grown.map(({ kind, pid }) => `${kind} ${pid} has grown`))
    save({ blows, outcome, flatness })
    process.stdout.write(`${flatnessTable(flatness)}\n${outcomesTable([outcome])}${problemsText(outcome)}`)
    return outcome.problems.length === 0 ? 0 : 1
  } finally {
    world.dispose()
  }
}

async function strikes(
  world: World, { minutes, every, seed }: SoakOptions, begun: number, blows: string[],
): Promise<void> {
  const random = generator(seed)
  const runMs = minutes * 60_000
  for (let round = 1; ; round++) {
    // Anywhere in the second half of its interval, so that two are never close.
    const at = (round - random() / 2) * every * 1000
    const now = Math.min(at, runMs)
    await sleep(Math.max(0, begun + now - performance.now()))
    if (at > runMs - QUIET_MS) break
    const faults = at < runMs / 4 ? AT_FIRST : ALWAYS
    const did = await faults[Math.floor(random() * faults.length)]!.strike(world, random)
    if (did !== null) blows.push(`${Math.round(at / 1000)} s: ${did}`)
    if (did !== null) process.stderr.write(`soak ${blows.at(-1)}\n`)
  }
}

function flatnessTable(flatness: readonly Flatness[]): string {
  const head = ['process', 'pid', 'PSS MB, 2nd quarter', 'last', 'open files, 2nd quarter', 'last', 'verdict']
  return table(head, flatness.map(({ kind, pid, pss, fds, flat }) => [
    kind, pid, pss[0].toFixed(1), pss[1].toFixed(1), fds[0], fds[1], flat ? 'flat' : 'GROWN',
  ]))
}
