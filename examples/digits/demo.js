// npm run demo: trains with 4 workers under `rankzero run`, then reads the session back and prints one table.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const cli = fileURLToPath(new URL('./cli/main.js', import.meta.resolve('rankzero')))
if (!existsSync(cli)) {
  console.error(`rankzero is not built (no ${cli}); run: npm install`)
  process.exit(2)
}
const trainer = fileURLToPath(new URL('train.js', import.meta.url))

/** Runs the training; our own messages pass through stderr, whose first line names the run. */
async function train() {
  const command = [cli, 'run', '--nproc', '4', '--project', 'digits', '--', process.execPath, trainer]
  const child = spawn(process.execPath, command, { stdio: ['inherit', 'inherit', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk) => { said += chunk; process.stderr.write(chunk) })
  const exit = await new Promise((resolve) => { child.on('close', (code) => resolve(code ?? 1)) })
  const [, run, dir] = /^rankzero: run (\S+) (.+)$/m.exec(said) ?? []
  return { exit, run, dir }
}

function ask(...args) {
  const options = { encoding: 'utf8', maxBuffer: 2 ** 28 }
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], options)
  if (status !== 0) throw new Error(`rankzero ${args.join(' ')} ended with ${status}: ${stderr}`)
  return stdout
}

const askRows = (...args) => ask('export', ...args).trim().split('\n').map((line) => JSON.parse(line))
const short = (value) => typeof value === 'number' ? String(Number(value.toPrecision(4))) : String(value)
const count = (value) => value.toLocaleString('en')

/** The last row of each metric: where it stands, and between which ranks it spreads. */
function metricLines(rows) {
  const last = new Map(rows.map((row) => [row.metric, row]))
  const lines = [['metric', 'step', 'value', 'min', 'at rank', 'max', 'at rank']]
  for (const { metric, step, value, min, minRank, max, maxRank } of last.values()) {
    lines.push([metric, step, value, min, minRank, max, maxRank].map(short))
  }
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  return lines.map((line) => '  ' + line.map((cell, column) =>
    column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join('  '))
}

/** The rank whose median time per step, without waiting for the others, is the longest. */
function slowestRank(points) {
  const timesOf = new Map()
  for (const { rank, value } of points) timesOf.set(rank, [...timesOf.get(rank) ?? [], value])
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]
  const own = [...timesOf].map(([rank, times]) => ({ rank, ms: median(times) })).sort((a, b) => b.ms - a.ms)
  const [slowest, fastest] = [own[0], own.at(-1)]
  const beside = `(rank ${fastest.rank}: ${short(fastest.ms)})`
  return `rank ${slowest.rank}: ${short(slowest.ms)} ms of its own a step ${beside}`
}

const { exit, run, dir } = await train()
if (!run) process.exit(exit)
const status = JSON.parse(ask('status', run, '--json'))
const { ranks, backends } = JSON.parse(ask('audit', run, '--json'))
const local = backends.find(({ name }) => name === 'local')
const total = (field) => count(ranks.reduce((sum, rank) => sum + rank[field], 0))
console.log([
  '',
  ...metricLines(askRows(run)),
  '',
  `  slowest        ${slowestRank(askRows(run, '--points', '--metric', 'time/compute_ms'))}`,
  `  points         ${total('logged')} logged, ${count(local.delivered)} merged, ${total('lost')} lost`,
  `  status         ${status.status}, ${status.ranks} ranks`,
  `  run directory  ${dir}`,
  `  look further   npx rankzero status ${run}`,
  `                 npx rankzero export ${run} --metric 'train/*'`,
  `                 npx rankzero audit ${run}`,
].join('\n'))
process.exitCode = exit
