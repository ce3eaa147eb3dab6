/**
 * One trainer in Node: opens a peer, logs steps through it, closes it, and tells how long each took.
 *
 * In and out as drive.py, which tells of the plan; a peer here is a module with `begin(dir, rank, world)`,
 * which gives { log, close }, and `count(dir)`. Times are CLOCK_MONOTONIC in ns.
 */
import { openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from './figures.js'

const now = () => Number(process.hrtime.bigint())
const STAMP = now()
const CHUNK = 1000
/** So many different values take turns: a loss as training code has it, a float32 in a float64. */
const VALUES = 4096
const QUANTILES = { p50: 0.5, p99: 0.99, p999: 0.999, max: 1 }
/** Unpaced steps give way so often: buffers of others are written, and timers run, only then. */
const YIELD_MS = 0

const rankOf = (env) => Number(env.RANKZERO_RANK ?? env.RANK ?? 0)

/**
 * The loop with the line that is timed, or that is timed whole; the line is written out as a user writes it.
 */
function compileSteps(metrics, whole) {
  const literal = Array.from({ length: metrics }, (_, i) => `'group_${i % 7}/metric_${i}': values[at + ${i}]`)
  const [each, burst] = whole ? ['//', ''] : ['', '//']
  return new Function('log', 'first', 'last', 'values', 'times', `
    const now = process.hrtime.bigint
    let begun = now()
    for (let step = first; step < last; step++) {
      const at = step % ${VALUES - metrics}
      ${each} begun = now()
      log({ ${literal.join(', ')} }, step)
      ${each} times.push(Number(now() - begun))
    }
    ${burst} times.push(Number(now() - begun) / (last - first))`)
}

function valuesOf(rank) {
  let state = 2463534242 + rank
  return Float64Array.from({ length: VALUES }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return Math.fround((state >>> 0) / 2 ** 32)
  })
}

/** Calls steps(first, last) in turns, with the pauses of the plan; how many steps there were. */
async function pace({ rate, steps: last, burst, pauseMs }, steps, until) {
  const size = rate ? 1 : burst || CHUNK
  const begun = performance.now()
  let step = 0
  while (step < last && performance.now() < until) {
    if (rate) await sleep(Math.max(0, begun + 1000 * step / rate - performance.now()))
    const end = Math.min(last, step + size)
    steps(step, end)
    step = end
    if (!rate) await sleep(pauseMs || YIELD_MS)
  }
  return step
}

function summarize(times, warmup) {
  const settled = times.slice(warmup)
  if (settled.length === 0) return {}
  return Object.fromEntries(Object.entries(QUANTILES).map(([name, q]) => [name, quantile(settled, q)]))
}

async function train(plan, rank) {
  // Held, and inherited by nobody, until this process is gone.
  openSync(join(plan.scratch, `alive-${rank}`), 'w')
  const peer = await import(`./peers/${plan.peer}.js`)
  const { log, close } = await peer.begin(plan.dir, rank, plan.world)
  const openedNs = now()
  const [times, values, loop] = [[], valuesOf(rank), compileSteps(plan.metrics, plan.whole)]
  await sleep(plan.settleMs)
  const firstNs = now()
  const until = plan.seconds === null ? Infinity : performance.now() + 1000 * plan.seconds
  const steps = await pace(plan, (first, last) => loop(log, first, last, values, times), until)
  const told = {
    startedNs: STAMP, openedNs, firstNs, loggedNs: now(), closedNs: null, steps, points: steps * plan.metrics,
  }
  const write = (more) => {
    writeFileSync(join(plan.scratch, `rank-${rank}.json`), JSON.stringify({ ...told, ...more }))
  }
  if (plan.kill) {
    write({})
    process.kill(process.pid, 'SIGKILL')
  }
  await close()
  write({ closedNs: now(), ns: summarize(times, plan.warmup) })
}

const given = JSON.parse(process.argv[2])
if (given.count) console.log((await import(`./peers/${given.peer}.js`)).count(given.dir))
else await train(given, rankOf(process.env))
