/** Logs what the oracle says, some 20 steps a second, until the file STOP is there. */
import { existsSync } from 'node:fs'
import { init } from 'rankzero'
import { nameOf, valueOf } from '../scenario/value.js'

const STEPS_MAX = 6000
const run = init()
for (let step = 0; step < STEPS_MAX && !existsSync(process.env.STOP); step++) {
  const metrics = [0, 1, 2].map((metric) => [nameOf(metric), valueOf(run.rank, step, metric)])
  run.log(Object.fromEntries(metrics), { step })
  await new Promise((done) => setTimeout(done, 50))
}
await run.end()
