// Memory and processor time of agent and aggregator under the load of one well-filled node.
import { setTimeout as sleep } from 'node:timers/promises'
import { readStatus, report, runWorkers } from '../kit.js'
import { cpuSeconds, pss } from '../proc.js'

const SETTLE_MS = 5000
const WATCH_MS = 4000

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
const args = ['--metrics', 50, '--steps', 110, '--pause', 100]
await runWorkers({ nproc: 8, args, onDir: (dir) => { watching = watch(dir) } })
await watching
report(measures)
