// Memory and processor time of agent and aggregator under the load of one well-filled node.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { readStatus, report, runWorkers } from '../kit.js'

const SETTLE_MS = 5000
const WATCH_MS = 4000
const TICKS_PER_SECOND = 100

const pidOf = (dir, role) => readStatus(dir).processes.find((process) => process.role === role).pid

/** Megabytes by kind, from the kernel's own sharing-aware account. */
function pss(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const of = (field) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)[1]) / 1024
  return { all: of('Pss'), own: of('Pss_Anon') }
}

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

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
