// What logging costs a job: 8 workers that compute, with log() and with one that does nothing.
import { spawn } from 'node:child_process'
import { loopsOf, report, runWorkers, workerPath } from '../kit.js'

const NPROC = 8
const args = ['--metrics', 10, '--steps', 1000, '--work', 150_000].map(String)

async function runPlain() {
  let stdout = ''
  await Promise.all(Array.from({ length: NPROC }, () => new Promise((resolve, reject) => {
    const stdio = ['ignore', 'pipe', 'inherit']
    const child = spawn(process.execPath, [workerPath, ...args, '--noop'], { stdio })
    child.stdout.on('data', (chunk) => { stdout += chunk })
    child.on('close', (code) => code === 0 ? resolve() : reject(new Error(`worker ended with ${code}`)))
  })))
  return loopsOf(stdout)
}

const seconds = ({ from, to }) => (to - from) / 1000
const plain = seconds(await runPlain())
const logging = seconds((await runWorkers({ nproc: NPROC, args })).loops)
report({ 'run time, no-op log': plain, 'run time, logging': logging, 'ratio': logging / plain })
