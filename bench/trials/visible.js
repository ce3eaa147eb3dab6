// From log() to the row in what `rankzero status` reads, at odd moments of a quiet run.
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import { init } from '../../dist/index.js'
import { readStatus, report } from '../kit.js'

const ROUNDS = 20
const GIVE_UP_MS = 10_000

const run = init({ project: 'bench' })
run.log({ first: 0 }, { step: 0 })
while (run.id === null) await sleep(10)
const dir = join(process.env.RANKZERO_DIR, run.id)

const waits = []
for (let step = 1; step <= ROUNDS; step++) {
  await sleep(100 + Math.random() * 300)
  const logged = performance.now()
  run.log({ probe: step }, { step })
  const seen = () => readStatus(dir)?.metrics.some((row) => row.metric === 'probe' && row.step >= step)
  while (!seen()) {
    if (performance.now() - logged > GIVE_UP_MS) throw new Error(`step ${step} is not visible`)
    await sleep(2)
  }
  waits.push(performance.now() - logged)
}
await run.end()
waits.sort((a, b) => a - b)
report({ median: waits[ROUNDS >> 1], worst: waits.at(-1) })
