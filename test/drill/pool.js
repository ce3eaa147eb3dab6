/**
 * A launcher that starts a worker anew when a signal ended it, as an elastic one does:
 * `pool.js PLACE FIRST COUNT RATE METRICS PYTHON`. Every fourth rank is a Python trainer. Its status is 1
 * when any rank ended badly.
 */
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'

const [place, first, count, rate, metrics, python] = process.argv.slice(2)
const here = import.meta.dirname
const NODE = [process.execPath, resolve(here, '../../dist/cli/drill/trainer.js')]
const PYTHON = [python, join(here, 'trainer.py')]
/** A worker that ends badly by itself is a finding, and not to be started for ever. */
let failed = 0
let live = 0

function start(rank) {
  live++
  const [program, script] = rank % 4 === 3 ? PYTHON : NODE
  const child = spawn(program, [script, place, rate, metrics], {
    stdio: 'inherit', env: { ...process.env, RANK: String(rank), LOCAL_RANK: String(rank - Number(first)) },
  })
  child.on('close', (code, signal) => {
    live--
    if (signal === 'SIGKILL') return start(rank)
    if (code !== 0) {
      failed++
      console.error(`pool: rank ${rank} ended with ${signal ?? code}`)
    }
    if (live === 0) process.exitCode = failed === 0 ? 0 : 1
  })
}

for (let local = 0; local < Number(count); local++) start(Number(first) + local)
