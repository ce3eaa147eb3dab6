// How much later a supervised trainer is gone because it logged: pairs of one that logs and one that does
// not, in turns, first with agent and aggregator at work, then with both stopped (as good as no network).
//
// Outer: `rankzero run` around itself. Inner: starts the trainers one after another as its rank 0.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { median } from '../figures.js'
import { CLI, readStatus, report, workerPath } from '../kit.js'

const PAIRS = 10
const PATIENCE_MS = 10_000
const [language, inner] = process.argv.slice(2)
const python = fileURLToPath(new URL('exit-trainer.py', import.meta.url))
const trainers = {
  node: [process.execPath, workerPath, '--metrics', '10', '--steps', '1000'],
  python: ['python3', python],
}

/** From the trainer's last line to its exit, ms. */
function exitOf(flags) {
  const [file, ...args] = trainers[language]
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...args, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] })
    let stdout = ''
    child.stdout.on('data', (chunk) => { stdout += chunk })
    child.on('exit', (code) => {
      const gone = Date.now()
      setImmediate(() => {
        if (code === 0) resolve(gone - JSON.parse(stdout).to)
        else reject(new Error(`the trainer ended with ${code}`))
      })
    })
  })
}

async function pairs() {
  const [plain, logging] = [[], []]
  for (let i = 0; i < PAIRS; i++) {
    plain.push(await exitOf(['--noop']))
    logging.push(await exitOf([]))
  }
  return median(logging) - median(plain)
}

async function daemons() {
  const dir = join(process.env.RANKZERO_DIR, process.env.RANKZERO_RUN)
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until;) {
    const found = readStatus(dir)?.processes.filter(({ role }) => role !== 'supervisor') ?? []
    if (found.length === 2) return found.map(({ pid }) => pid)
    await new Promise((resolve) => { setTimeout(resolve, 50) })
  }
  throw new Error('neither agent nor aggregator was found')
}

if (inner === undefined) {
  const self = [process.execPath, process.argv[1], language, 'inner']
  const command = ['run', '--nproc', '1', '--console', 'raw', '--', ...self]
  const child = spawn(process.execPath, [CLI, ...command], { stdio: ['ignore', 'inherit', 'inherit'] })
  child.on('exit', (code) => { process.exitCode = code ?? 1 })
} else {
  await exitOf([])
  const pids = await daemons()
  const up = await pairs()
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  let down
  try {
    down = await pairs()
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT')
  }
  report({ 'everything at work': up, 'agent and aggregator stopped': down })
}
