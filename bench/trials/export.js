// How fast a finished run is read: 4 workers × 50 metrics × 5,000 steps, as merged rows and as points of
// ranks.
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CLI, report, runWorkers } from '../kit.js'

const [NPROC, METRICS, STEPS] = [4, 50, 5000]
const { dir } = await runWorkers({ nproc: NPROC, args: ['--metrics', METRICS, '--steps', STEPS] })
const out = join(tmpdir(), 'export.jsonl')

function perSecond(things, ...options) {
  const begun = performance.now()
  const { status, stderr } = spawnSync(process.execPath, [CLI, 'export', dir, '--out', out, ...options])
  if (status !== 0 || statSync(out).size < things) throw new Error(`export ended with ${status}: ${stderr}`)
  return things / ((performance.now() - begun) / 1000)
}

report({ rows: perSecond(METRICS * STEPS), points: perSecond(NPROC * METRICS * STEPS, '--points') })
