/** A trainer for the scenarios: logs what value.js says. Everything comes from the environment. */
import { appendFileSync, existsSync, openSync, writeSync } from 'node:fs'
import { init } from 'rankzero'
import { nameOf, valueOf, weightOf } from './value.js'

const number = (name, fallback) => Number(process.env[name] ?? fallback)
const metrics = number('T_METRICS', 2)
const steps = number('T_STEPS', 100)
/** Steps per second; 0 = as fast as it goes. */
const rate = number('T_RATE', 0)
const weighted = process.env.T_WEIGHTS === '1'
const truth = process.env.T_TRUTH

/** Logs until this file is there, if not for T_STEPS: no machine is too slow for what happens meanwhile. */
const stop = process.env.T_STOP

const run = init({ key: process.env.T_INIT_KEY })
const file = truth === undefined ? -1 : openSync(`${truth}.${run.rank}`, 'a')
const names = Array.from({ length: metrics }, (_, metric) => nameOf(metric))
let longest = 0

const logStep = (step) => {
  const values = {}
  for (let metric = 0; metric < metrics; metric++) values[names[metric]] = valueOf(run.rank, step, metric)
  const begun = performance.now()
  run.log(values, weighted ? { step, weight: weightOf(run.rank) } : { step })
  longest = Math.max(longest, performance.now() - begun)
  // Only after log() returned: what is written here must be in the session, whatever happens next.
  if (file >= 0) writeSync(file, `${step}\n`)
}

const begun = performance.now()
for (let step = 0; step < steps && !(stop !== undefined && step % 10 === 0 && existsSync(stop)); step++) {
  logStep(step)
  const ahead =
    rate === 0 ? (step % 2000 === 1999 ? 1 : 0) : (step / rate) * 1000 - (performance.now() - begun)
  if (ahead > 0) await new Promise((done) => setTimeout(done, ahead))
}
/** Lives until this file is there. */
const until = process.env.T_UNTIL
while (until !== undefined && !existsSync(until)) await new Promise((done) => setTimeout(done, 20))
if (process.env.T_LONGEST !== undefined) appendFileSync(process.env.T_LONGEST, `${longest}\n`)

switch (process.env.T_LEAVE ?? 'end') {
  case 'end':
    await run.end()
    break
  case 'exit3':
    process.exit(3)
    break
  case 'throw':
    throw new TypeError('the trainer broke')
  case 'linger':
    await new Promise((done) => setTimeout(done, number('T_LINGER', 60_000)))
    break
  case 'none':
    break
}
