// From SIGKILL of the aggregator to its successor telling of all that was in the ledger, by the ledger's
// size.
import { setTimeout as sleep } from 'node:timers/promises'
import { readStatus, report, runWorkers } from '../kit.js'

const millions = Number(process.argv[2])
const METRICS = 50
const NPROC = 2
const STEPS = millions * 1e6 / METRICS / NPROC
/** So long the trainers stay after their last step: they are still there while we kill and wait. */
const TAIL_S = 25
const POLL_MS = 5
const PATIENCE_MS = 120_000

const aggregatorOf = (status) => status?.processes.find(({ role }) => role === 'aggregator')

async function until(isTrue) {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(POLL_MS)) {
    const found = isTrue()
    if (found) return found
  }
  throw new Error('what was waited for did not come')
}

async function kill(dir) {
  const before = await until(() => {
    const status = readStatus(dir)
    return status?.books.admitted >= millions * 1e6 && status
  })
  const { pid } = aggregatorOf(before)
  const killed = performance.now()
  process.kill(pid, 'SIGKILL')
  await until(() => {
    const status = readStatus(dir)
    const next = aggregatorOf(status)
    return next && next.pid !== pid && status.books.admitted >= before.books.admitted
  })
  return performance.now() - killed
}

let recovering
const args = ['--metrics', METRICS, '--steps', STEPS, '--tail', TAIL_S * 1000]
await runWorkers({ nproc: NPROC, args, onDir: (dir) => { recovering = kill(dir) } })
report({ 'kill to all told again': await recovering })
