// ns per metric of one way to keep values, in bursts: the agent drains between them, as between training
// steps. Bursts are small against the journal's ring, so this is the mapped path; flat out is what road.js
// measures.
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { init } from 'rankzero'
import { report } from '../kit.js'

const metrics = Number(process.argv[2])
const what = process.argv[3]
const BURSTS = 200
const WARM_UP = 60
const PAUSE_MS = 10
const BURST_BYTES = 64 * 1024
/** Until the agent and the aggregator of this run have started: they would share the cores. */
const SETTLE_MS = 1500
const calls = Math.floor(BURST_BYTES / (40 + 8 * metrics))

let kept = []
const line = (values, step) => JSON.stringify({ step, ...values })
const file = what === 'write' ? openSync(join(tmpdir(), 'lines.jsonl'), 'a') : -1
const run = what === 'log' ? init() : null
const KEEP = {
  empty: () => {},
  clock: () => { kept = Date.now() },
  push: (values) => { kept.push(values) },
  json: (values, { step }) => { kept = line(values, step) },
  write: (values, { step }) => { writeSync(file, `${line(values, step)}\n`) },
  log: (values, options) => { run.log(values, options) },
}

// Written out as a user writes it, one literal with all its names: the call site looks like a trainer's.
const literal = Array.from({ length: metrics }, (_, i) => `metric_${i}: x + ${i}`).join(', ')
const burst = new Function('keep', 'from', 'to', `
  let x = 0.5
  for (let step = from; step < to; step++) { x += 0.25; keep({ ${literal} }, { step }) }`)

if (run) await sleep(SETTLE_MS)
const times = []
for (let i = 0; i < BURSTS; i++) {
  kept = []
  const started = process.hrtime.bigint()
  burst(KEEP[what], i * calls, (i + 1) * calls)
  times.push(Number(process.hrtime.bigint() - started) / calls / metrics)
  await sleep(PAUSE_MS)
}
await run?.end()
const steady = times.slice(WARM_UP).sort((a, b) => a - b)
report({ ns: steady[steady.length >> 1] })
