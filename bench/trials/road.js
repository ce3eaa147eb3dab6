// The whole road at full speed: 4 workers log without a pause, `rankzero run` returns when all is sealed.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { importDist, report, runWorkers } from '../kit.js'

const NPROC = 4
const METRICS = 50
const STEPS = 10_000
const FRAME_OVERHEAD = 12
const points = NPROC * METRICS * STEPS

const args = ['--metrics', METRICS, '--steps', STEPS, '--values', process.argv[2]]
const { dir, loops, endedAt } = await runWorkers({ nproc: NPROC, args })

const { openLedger } = await importDist('ledger/index.js')
const path = join(dir, 'ledger.sqlite')
const ledger = openLedger(path, { readonly: true })
let wire = 0
for (const entry of ledger.entries()) if (entry.type === 'batch') wire += entry.data.length + FRAME_OVERHEAD
ledger.close()
report({
  'log() to the end of rankzero run': points / ((endedAt - loops.from) / 1000),
  'wire': wire / points,
  'disk': statSync(path).size / points,
})
