// From the start of a command to its end, on a run that has ended; the files are in the page cache.
import { spawnSync } from 'node:child_process'
import { median } from '../figures.js'
import { CLI, report, runWorkers } from '../kit.js'

const TIMES = 7
const { dir } = await runWorkers({ nproc: 1, args: ['--metrics', 10, '--steps', 100] })

function startOf(...command) {
  const times = Array.from({ length: TIMES + 1 }, () => {
    const begun = performance.now()
    const { status, stderr } = spawnSync(process.execPath, command)
    if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`)
    return performance.now() - begun
  })
  return median(times.slice(1))
}

report({
  'node, nothing': startOf('-e', ''),
  '--version': startOf(CLI, '--version'), '--help': startOf(CLI, '--help'),
  'status': startOf(CLI, 'status', dir), 'audit': startOf(CLI, 'audit', dir),
})
