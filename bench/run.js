// npm run bench [-- --only WORD] [-- --rounds N]: every trial of trials.js in N fresh processes, one table.
//
// In: the built package (dist/). Out: the machine and a table on stdout, progress on stderr.
// A trial is a script that prints one JSON object of numbers as its last line. Nothing is asserted here.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeMachine } from './machine.js'
import { TRIALS } from './trials.js'

const { values: flags } = parseArgs({
  options: { only: { type: 'string', default: '' }, rounds: { type: 'string', default: '5' } },
})
const rounds = Number(flags.rounds)
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error(`bench: --rounds ${flags.rounds} is not a whole number from 1`)
  process.exit(2)
}
const chosen = TRIALS.filter(({ name }) => name.includes(flags.only))

/** One process with directories of its own, which are removed with everything in them. */
async function runOnce({ name, script, args = [] }) {
  const home = mkdtempSync(join(tmpdir(), 'rankzero-bench-'))
  const shm = `/dev/shm/${home.split('/').at(-1)}`
  mkdirSync(shm, { mode: 0o700, recursive: true })
  const env = {
    ...process.env, TMPDIR: home,
    RANKZERO_DIR: join(home, 'runs'), RANKZERO_LOCK_DIR: join(home, 'locks'), RANKZERO_SHM_DIR: shm,
  }
  const path = fileURLToPath(new URL(`trials/${script}`, import.meta.url))
  const stdio = ['ignore', 'pipe', 'pipe']
  const child = spawn(process.execPath, [path, ...args.map(String)], { env, stdio })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => { stdout += chunk })
  child.stderr.on('data', (chunk) => { stderr += chunk })
  const code = await new Promise((resolve) => { child.on('close', resolve) })
  // The aggregator of an unsupervised run leaves after its trainer.
  const options = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }
  for (const path of [home, shm]) rmSync(path, options)
  if (code !== 0) throw new Error(`trial ${name} ended with ${code}:\n${stderr || stdout}`)
  return JSON.parse(stdout.trim().split('\n').at(-1))
}

/** Interleaved, so that a busy minute of the machine does not fall on one trial alone. */
async function runAll() {
  const results = new Map(chosen.map((trial) => [trial, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const [trial, samples] of results) {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kround ${round}/${rounds}: ${trial.name}`)
      samples.push(await runOnce(trial))
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  return results
}

function format(value) {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`
  if (value >= 1e4) return `${(value / 1e3).toPrecision(3)} k`
  return Number(value.toPrecision(3)).toString()
}

function rowsOf(trial, samples) {
  return Object.entries(trial.measures).map(([key, { unit, budget = '' }]) => {
    const sorted = samples.map((sample) => sample[key]).sort((a, b) => a - b)
    const spread = `${format(sorted[0])} – ${format(sorted.at(-1))}`
    const name = Object.keys(trial.measures).length > 1 ? `${trial.name}: ${key}` : trial.name
    return [name, unit, format(sorted[sorted.length >> 1]), spread, budget]
  })
}

const results = await runAll()
const table = [['what', 'unit', 'median', 'min – max', 'budget']]
for (const [trial, samples] of results) table.push(...rowsOf(trial, samples))
const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)))
const lines = table.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`)
lines.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`)
console.log(`${describeMachine()}\nEach row: ${rounds} fresh processes.\n\n${lines.join('\n')}`)
