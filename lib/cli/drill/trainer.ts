/**
 * A worker of a drill, as a program: `trainer.js PLACE STEPS_PER_SECOND METRICS`.
 *
 * In: `go` in PLACE, which says when step 0 is due and when to end (ns of the monotonic clock, which all
 * processes of a machine share). Out, in PLACE: `truth.<rank>`, the numbers of the steps (uint32) whose log()
 * has returned; `times.<rank>.<pid>`, how long log() and a call that does nothing took,
 * the first calls of log() apart; `life.<rank>`, its
 * pid once the first log() has returned. Invariants: a step is written down after log() returned from it, and
 * never twice, also by a later life of the rank. It knows nothing of the faults.
 * When PLACE/loud changes, the next steps say as many bytes of text besides as the first number in it.
 */
import { existsSync, openSync, readFileSync, renameSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { sleep } from '../../clock.ts'
import {
  DRILL_FIRST_CALLS, DRILL_LOUD_STEPS, DRILL_POLL_MS, DRILL_START_MS, DRILL_TIMES_MS,
} from './core-limits.ts'
import { init, type LogOptions, type Values } from '../../logger/index.ts'
import { nameOf, valueOf } from './core-oracle.ts'
import { Times } from './core-times.ts'

const [place = '.', rateText = '100', metricsText = '1'] = process.argv.slice(2)
const rate = Number(rateText)
const metrics = Number(metricsText)
const STEP_BYTES = 4

/** Monotonic and the same in every process, unlike performance.now(). */
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

async function readGo(): Promise<{ beginMs: number; untilMs: number }> {
  for (const giveUpAt = nowMs() + DRILL_START_MS; ;) {
    try {
      const go = JSON.parse(readFileSync(join(place, 'go'), 'utf8')) as { beginNs: number; untilNs: number }
      return { beginMs: go.beginNs / 1e6, untilMs: go.untilNs / 1e6 }
    } catch (error) {
      if (nowMs() > giveUpAt) throw error
      await sleep(DRILL_POLL_MS)
    }
  }
}

const run = init()
const truthPath = join(place, `truth.${run.rank}`)
const truth = openSync(truthPath, 'a')
const timesPath = join(place, `times.${run.rank}.${process.pid}`)
const times = { log: new Times(), nothing: new Times(), first: new Times() }
const loudPath = join(place, 'loud')
let [loud, loudLeft] = ['', 0]
const written = new Uint32Array(1)
const names = Array.from({ length: metrics }, (_, metric) => nameOf(metric))
let checksum = 0

/** What log() is measured against: the same arguments, and no work. */
function nothing(values: Values, options: LogOptions): void {
  checksum += options.step === undefined ? 1 : values === undefined ? 2 : 3
}

function timed(what: (values: Values, options: LogOptions) => void, values: Values, at: LogOptions): number {
  const begun = performance.now()
  what(values, at)
  return (performance.now() - begun) * 1e6
}

/** Of `nth` calls in this process, the first ones are compiled, and define their names. */
function logStep(step: number, nth: number): void {
  const values: Record<string, number> = {}
  for (let metric = 0; metric < metrics; metric++) values[names[metric]!] = valueOf(run.rank, step, metric)
  const at = { step }
  // In turn first and second, so that neither always finds the caches as the other left them.
  if (step % 2 === 0) note('nothing', timed(nothing, values, at), nth)
  note('log', timed(run.log, values, at), nth)
  written[0] = step
  writeSync(truth, written)
  if (step % 2 === 1) note('nothing', timed(nothing, values, at), nth)
}

function note(what: 'log' | 'nothing', ns: number, nth: number): void {
  if (nth > DRILL_FIRST_CALLS) times[what].add(ns)
  else if (what === 'log') times.first.add(ns)
}

function loudText(): string {
  const said = existsSync(loudPath) ? readFileSync(loudPath, 'utf8') : ''
  if (said !== loud) [loud, loudLeft] = [said, DRILL_LOUD_STEPS]
  return loudLeft-- > 0 ? 'x'.repeat(Number(said.split(' ')[0])) : ''
}

function saveTimes(): void {
  writeFileSync(`${timesPath}.new`, JSON.stringify(times))
  renameSync(`${timesPath}.new`, timesPath)
}

/** After the last step that an earlier life wrote down, and the one that it may have logged besides. */
function firstStep(beginMs: number): number {
  const bytes = statSync(truthPath).size
  const before = bytes < STEP_BYTES ? -2
    : readFileSync(truthPath).readUint32LE(bytes - bytes % STEP_BYTES - STEP_BYTES)
  return Math.max(before + 2, Math.ceil((nowMs() - beginMs) / 1000 * rate))
}

const { beginMs, untilMs } = await readGo()
const first = firstStep(beginMs)
let savedAt = nowMs()
for (let step = first; nowMs() < untilMs || step === first; step++) {
  // Jittered by up to one interval: ranks that log in lockstep would hide races.
  const ahead = beginMs + (step + Math.random()) * 1000 / rate - nowMs()
  if (ahead > 0) await sleep(ahead)
  logStep(step, step - first)
  const text = loudText()
  if (text !== '') run.text(text)
  if (step === first) writeFileSync(join(place, `life.${run.rank}`), String(process.pid))
  if (nowMs() - savedAt < DRILL_TIMES_MS) continue
  saveTimes()
  savedAt = nowMs()
}
saveTimes()
await run.end()
