/**
 * npm run bench:guard [-- --update]: have we become slower than we were?
 *
 * In: results/guard.json, ratios to a peer of the same run with the noise that they were seen to have. Out: a
 * table; 1 when a ratio is beyond its bound. Ratios, as times are those of one machine. `--update` measures
 * the noise: it repeats the trials REPEATS times and writes the file anew.
 */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { format, judge, median, ratioOf } from './figures.js'
import { benchPath, remove, runJson } from './kit.js'
import { describeMachine } from './machine.js'
import { tableOf } from './report.js'

const ROUNDS = 2
const REPEATS = 6
const COMMAND = ['tree', '--peers', 'rankzero,jsonl,node-rankzero,node-jsonl', '--rounds', String(ROUNDS)]
/**
 * What is held, and how far above the largest ratio that was ever measured the bound is. Bytes have no noise;
 * a runner whose cores do other things beside has more than the machine where the noise was measured.
 */
const HELD = [
  { measure: 'CPU', peer: 'rankzero', of: 'jsonl', slack: 1.4 },
  { measure: 'CPU', peer: 'node-rankzero', of: 'node-jsonl', slack: 1.4 },
  { measure: 'CPU of an idle run', peer: 'rankzero', of: 'jsonl', slack: 1.4 },
  { measure: 'log(), mean of a burst', peer: 'rankzero', of: 'jsonl', slack: 1.4 },
  { measure: 'log(), mean of a burst', peer: 'node-rankzero', of: 'node-jsonl', slack: 1.4 },
  { measure: 'memory, peak PSS', peer: 'rankzero', of: 'jsonl', slack: 1.15 },
  { measure: 'disk', peer: 'rankzero', of: 'jsonl', slack: 1.03 },
].map((held) => ({ trial: 'tree', ...held }))

const path = benchPath('results/guard.json')
const nameOf = ({ measure, peer, of }) => `${measure}: ${peer} / ${of}`

async function measure() {
  const home = mkdtempSync(join(tmpdir(), 'rankzero-guard-'))
  try {
    const { rows } = await runJson([
      process.execPath, benchPath('run.js'), ...COMMAND, '--json', '--out', join(home, 'result.json'),
    ])
    return new Map(HELD.map((held) => [nameOf(held), ratioOf(rows, held)]))
  } finally {
    remove(home)
  }
}

async function update() {
  const runs = []
  for (let i = 0; i < REPEATS; i++) {
    runs.push(await measure())
    console.error(`guard: ${i + 1} of ${REPEATS}`)
  }
  const held = HELD.map((one) => {
    const seen = runs.map((run) => run.get(nameOf(one)))
    return { ...one, median: median(seen), seen, bound: one.slack * Math.max(...seen) }
  })
  const { load, ...machine } = describeMachine()
  const file = { format: 1, date: new Date().toISOString(), machine, rounds: ROUNDS, held }
  writeFileSync(path, `${JSON.stringify(file, null, 1)}\n`)
}

async function guard() {
  const { held, date } = JSON.parse(readFileSync(path, 'utf8'))
  const now = await measure()
  const rows = held.map((one) => {
    const ratio = now.get(nameOf(one)) ?? null
    return { ...one, now: ratio, verdict: judge(ratio, one) }
  })
  console.log(`ratios, medians of ${ROUNDS} rounds, against ${date}\n` + tableOf(
    ['measure', 'then', 'seen then', 'bound', 'now', 'verdict'],
    rows.map((row) => [
      nameOf(row), format(row.median), [Math.min(...row.seen), Math.max(...row.seen)].map(format).join(' – '),
      format(row.bound), format(row.now), row.verdict,
    ])))
  if (rows.some(({ verdict }) => verdict === 'worse')) process.exitCode = 1
}

const { values } = parseArgs({ options: { update: { type: 'boolean', default: false } } })
await (values.update ? update() : guard())
