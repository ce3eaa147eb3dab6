// What several trials share: the built package, and a run of worker.js under `rankzero run`.
import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const DIST = new URL('../dist/', import.meta.url)
export const CLI = fileURLToPath(new URL('cli/main.js', DIST))
export const benchPath = (name) => fileURLToPath(new URL(name, import.meta.url))
/** Our client for Python, of this checkout. */
export const LIB_PYTHON = benchPath('../lib/python')
/** With the peers in Python; made by install.js. */
export const BENCH_PYTHON = benchPath('../.cache/bench/venv/bin/python')
export const workerPath = fileURLToPath(new URL('worker.js', import.meta.url))

export const importDist = (path) => import(new URL(path, DIST))
/** Of a result's file: where its page is. */
export const pageBeside = (path) => `${path.replace(/\.json$/, '')}.html`
/** What spawn.ts puts into the environment of a daemon. */
export async function daemonEnv() {
  const { DAEMON_MEMORY } = await importDist('limits.js')
  return Object.fromEntries(DAEMON_MEMORY.split(' ').map((pair) => pair.split(/=(.*)/)))
}
export const report = (measures) => { console.log(JSON.stringify(measures)) }

/** Daemons of an unsupervised run leave after its trainer. */
export function remove(...paths) {
  for (const path of paths) rmSync(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}

const OUTPUT_SHOWN = 2000
export const endOf = (output) => output.slice(-OUTPUT_SHOWN)

// Where it is set, each start of Node reads the machine's CAs, which takes longer than all else that it does.
delete process.env.NODE_EXTRA_CA_CERTS

/** Runs a command whose last line is one JSON value, and returns that. @throws Error if it ends badly. */
export async function runJson([file, ...args], env = {}) {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => { stdout += chunk })
  child.stderr.on('data', (chunk) => { stderr += chunk })
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0) throw new Error(`${args[0]} ended with ${code}: ${endOf(stderr || stdout)}`)
  return JSON.parse(stdout.trim().split('\n').at(-1))
}

/** Starts worker.js in `nproc` processes; `onDir` hears the run directory as soon as it is known. */
export async function runWorkers({ nproc, args, onDir = () => {} }) {
  const options = ['--nproc', nproc, '--console', 'raw']
  const command = [CLI, 'run', ...options, '--', process.execPath, workerPath, ...args]
  const child = spawn(process.execPath, command.map(String), { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  let dir = null
  child.stdout.on('data', (chunk) => { stdout += chunk })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
    const said = /^rankzero: run \S+ (.+)\n/m.exec(stderr)
    if (dir === null && said) onDir(dir = said[1])
  })
  const code = await new Promise((resolve) => { child.on('close', resolve) })
  if (code !== 0) throw new Error(`rankzero run ended with ${code}: ${stderr}`)
  return { dir, endedAt: Date.now(), loops: loopsOf(stdout) }
}

/** Each worker prints when its loop began and ended, ms since the epoch. */
export function loopsOf(stdout) {
  const loops = stdout.trim().split('\n').map((line) => JSON.parse(line))
  return { from: Math.min(...loops.map(({ from }) => from)), to: Math.max(...loops.map(({ to }) => to)) }
}

export function readStatus(dir) {
  try {
    return JSON.parse(readFileSync(join(dir, 'status.json'), 'utf8'))
  } catch {
    return null // not written yet
  }
}
