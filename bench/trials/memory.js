// Memory and processor time of agent and aggregator under the load of one well-filled node.
import { setTimeout as sleep } from 'node:timers/promises'
import { readStatus, report, runWorkers } from '../kit.js'
import { cpuSeconds, pss } from '../proc.js'

/** Until V8 has compiled what is hot at ten steps a second: jobs run for hours, not for these seconds. */
const SETTLE_MS = 20_000
const WATCH_MS = 10_000
/** Before and after the watch, for the start and the end of the job. */
const SPARE_MS = 5000
const PAUSE_MS = 100

const pidOf = (dir, role) => readStatus(dir).processes.find((process) => process.role === role).pid

const measures = {}
async function watch(dir) {
  await sleep(SETTLE_MS)
  const agent = pidOf(dir, 'agent')
  const aggregator = pidOf(dir, 'aggregator')
  const before = cpuSeconds(agent)
  await sleep(WATCH_MS)
  measures['agent, CPU'] = 100 * (cpuSeconds(agent) - before) / (WATCH_MS / 1000)
  measures['agent, PSS'] = pss(agent).all
  measures['agent, PSS without shared pages'] = pss(agent).own
  measures['aggregator, PSS'] = pss(aggregator).all
}

let watching
const steps = (SETTLE_MS + WATCH_MS + SPARE_MS) / PAUSE_MS
const args = ['--metrics', 50, '--steps', steps, '--pause', PAUSE_MS]
await runWorkers({ nproc: 8, args, onDir: (dir) => { watching = watch(dir) } })
await watching
report(measures)
