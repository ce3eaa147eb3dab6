// One aggregator, and nodes as scale-agents.js has them: real frames over real sockets, in three processes
// that share the machine.
//
// In: argv as name=value, see DEFAULTS. Out: what the aggregator took, how long rows waited to seal, what it
// cost. It throws when a point is missing, or delivered twice, that should not be.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from '../figures.js'
import { benchPath, CLI, daemonEnv, importDist, readStatus, report, runJson } from '../kit.js'
import { cpuSeconds, pss } from '../proc.js'

const DEFAULTS = {
  ranks: 64, ranksPerNode: 8, metrics: 50, rate: 10, seconds: 20,
  /** One node is late by so much; so many nodes are lost in the middle; SIGKILL of the aggregator there. */
  stragglerMs: 0, goneNodes: 0, restart: 0,
  limitS: 240,
}
const given = Object.fromEntries(process.argv.slice(2).map((arg) => arg.split('=')).map(([k, v]) => [k, +v]))
const unknown = Object.keys(given).find((name) => !(name in DEFAULTS))
if (unknown) throw new Error(`${unknown} is none of ${Object.keys(DEFAULTS)}`)
const options = { ...DEFAULTS, ...given }
const { ranks, ranksPerNode, metrics, seconds, goneNodes } = options

const { openLedger } = await importDist('ledger/index.js')
const { drainIntervalMs } = await importDist('agent/index.js')

const ownEnv = await daemonEnv()
const SAMPLE_MS = 250
const RESTART_AT = 0.5
const meeting = randomBytes(16).toString('hex')
const { RANKZERO_DIR: dir, RANKZERO_LOCK_DIR: locks } = process.env
const endpointPath = join(locks, `meet-${meeting}.json`)

async function until(isTrue, what) {
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(20)) {
    const found = isTrue()
    if (found) return found
  }
  throw new Error(`${what} did not come`)
}

const endpoint = () => existsSync(endpointPath) && JSON.parse(readFileSync(endpointPath, 'utf8'))

async function startHead() {
  const child = spawn(process.execPath, [CLI, 'aggregator', '--meeting', meeting, '--dir', dir], {
    stdio: 'ignore', env: { ...process.env, ...ownEnv },
  })
  const ended = new Promise((resolve) => { child.on('close', resolve) })
  const isOurs = (found) => found.pid === child.pid && found
  const { port, dir: run } = await until(() => isOurs(endpoint()), 'the aggregator')
  return { pid: child.pid, port, run, ended }
}

/** Memory and CPU of the heads, sampled until they are gone. */
class Meter {
  peak = 0
  #last = new Map()

  get cpu() {
    return [...this.#last.values()].reduce((a, b) => a + b, 0)
  }

  async watch(pid) {
    for (; ; await sleep(SAMPLE_MS)) {
      try {
        this.peak = Math.max(this.peak, pss(pid).all)
        this.#last.set(pid, cpuSeconds(pid))
      } catch {
        return
      }
    }
  }
}

/** From the moment the last rank's batch was given to its socket to the seal's note, ms of one clock. */
function sealsOf(run, { sentAt, stepsPerBatch }) {
  const ledger = openLedger(join(run, 'ledger.sqlite'), { readonly: true })
  const waits = []
  const rows = { progress: 0, deadline: 0, memory: 0, drain: 0 }
  const seals = [...ledger.entries()].filter(({ type, kind }) => type === 'note' && kind === 'seal')
  for (const { at, body: { by, groups } } of seals) {
    for (const { metrics: ids, steps } of groups) {
      const width = ids.reduce((sum, [from, to]) => sum + to - from + 1, 0)
      for (const [start, stride, count] of steps) {
        rows[by] += width * count
        if (by !== 'progress') continue
        for (let i = 0; i < count; i++) {
          waits.push(at - sentAt[Math.floor((start + stride * i) / stepsPerBatch)])
        }
      }
    }
  }
  ledger.close()
  return { waits, rows }
}

async function restart(head, meter, at) {
  await sleep(at - Date.now())
  process.kill(head.pid, 'SIGKILL')
  await head.ended
  const next = await startHead()
  void meter.watch(next.pid)
  return next
}

async function main() {
  const head = await startHead()
  const meter = new Meter()
  void meter.watch(head.pid)
  const idle = cpuSeconds(head.pid)
  // As often as an agent sends, to a whole number of steps: else the rate would not be the one offered.
  const stepsPerBatch = Math.max(1, Math.round(options.rate * drainIntervalMs(ranks) / 1000))
  const sendMs = 1000 * stepsPerBatch / options.rate
  const plan = {
    ...options, nodes: ranks / ranksPerNode, meeting, port: head.port, endpoint: endpointPath,
    secret: join(locks, `meet-${meeting}.secret`), startAt: Date.now(), stepsPerBatch, sendMs,
  }
  const running = runJson([process.execPath, benchPath('trials/scale-agents.js'), JSON.stringify(plan)])
  const killedAt = Date.now() + RESTART_AT * seconds * 1000
  const last = options.restart ? await restart(head, meter, killedAt) : head
  const told = await running
  // Whoever is gone may come back, for all that an aggregator knows: it would wait.
  if (goneNodes > 0) process.kill(last.pid, 'SIGTERM')
  await last.ended
  const status = readStatus(head.run)
  const { waits, rows } = sealsOf(head.run, told)
  const lost = lostOf(status, told)
  const loadS = (told.through - told.begun - sendMs) / 1000
  report({
    'ranks': ranks, 'offered': ranks * metrics * options.rate, 'frames': told.frames / loadS,
    'all nodes in': told.welcomedAt - told.from,
    ...options.restart && { 'all nodes back': told.backAt - killedAt },
    'seal, p50': quantile(waits, 0.5), 'seal, p99': quantile(waits, 0.99),
    'late by': Math.max(0, 1000 * (loadS - seconds) - sendMs),
    'aggregator, PSS': meter.peak, 'aggregator, CPU': 100 * (meter.cpu - idle) / loadS,
    'generator, CPU': 100 * told.cpu / loadS,
    'partial rows': rows.deadline + rows.memory, 'resent': told.resent,
    'points lost': lost,
  })
}

/** What is missing of what was sent; of lost nodes, of what they had been thanked for. */
function lostOf({ books, status }, { points, acked }) {
  const lost = goneNodes > 0 ? Math.max(0, acked - books.admitted) : points - books.admitted
  if (lost === 0 && books.lost === 0) return 0
  throw new Error(`${points} points were sent, the books of the ${status} run say ${JSON.stringify(books)}`)
}

await main()
