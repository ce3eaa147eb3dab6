// A trainer that does nothing but burn time and log: `--metrics` values a step for `--steps` steps.
import { parseArgs } from 'node:util'
import { init } from '../dist/index.js'

const { values: flags } = parseArgs({
  options: {
    metrics: { type: 'string', default: '50' },
    steps: { type: 'string', default: '1000' },
    /** Pause between steps (ms); 0 is flat out. */
    pause: { type: 'string', default: '0' },
    /** Rounds of arithmetic a step, about 10 ns each. */
    work: { type: 'string', default: '0' },
    /** How long it goes on after its last step (ms). */
    tail: { type: 'string', default: '0' },
    /** f32: values that float32 holds exactly; f64: values that it does not. */
    values: { type: 'string', default: 'f32' },
    /** The same loop with a log() that does nothing, and without rankzero. */
    noop: { type: 'boolean', default: false },
  },
})
const [metrics, steps, pause, work] = [flags.metrics, flags.steps, flags.pause, flags.work].map(Number)
const exact = flags.values === 'f32'
const run = flags.noop ? { rank: 0, log() {}, async end() {} } : init()
const names = Array.from({ length: metrics }, (_, i) => `group_${i % 7}/metric_${i}`)

function burn(rounds) {
  let x = 1
  for (let i = 0; i < rounds; i++) x = Math.sqrt(x + i)
  return x
}

const from = Date.now()
for (let step = 0; step < steps; step++) {
  burn(work)
  const values = {}
  for (let i = 0; i < metrics; i++) {
    const value = Math.sin(step * 0.01 + i + run.rank)
    values[names[i]] = exact ? Math.fround(value) : value
  }
  run.log(values, { step, weight: run.rank + 1 })
  if (pause > 0) await new Promise((resolve) => { setTimeout(resolve, pause) })
}
console.log(JSON.stringify({ from, to: Date.now() }))
await new Promise((resolve) => { setTimeout(resolve, Number(flags.tail)) })
await run.end()
