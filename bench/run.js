/**
 * npm run bench [-- TRIAL…] [--all] [--peers A,B] [--ranks N] [--rate R] [--rounds N] [--json] [--out FILE]
 * [--baseline FILE] [--list]: trials of trials.js with peers of peers.js, into a results file and tables.
 *
 * In: the built package (dist/) and, for most peers, what `node bench/install.js` brings. Out: tables on
 * stdout, progress on stderr, results/<date>-<commit>.json and, with the parts in Node, its page. Invariants:
 * each trial, peer and round runs in fresh processes and directories; the peers take turns within a round,
 * and begin with another one in each. It asserts nothing about figures: it ends with 1 only when a trial
 * failed or could not be run.
 */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runJob } from './job.js'
import { benchPath, pageBeside, remove, runJson } from './kit.js'
import { commit, describeMachine, load } from './machine.js'
import { hasParts, peerNamed, versionsOf } from './peers.js'
import { comparisonOf, textOf } from './report.js'
import { CANONICAL_PEERS, TRIALS } from './trials.js'

const ROUNDS = 3
const USAGE_STATUS = 2

function fail(message) {
  console.error(`bench: ${message}`)
  process.exit(USAGE_STATUS)
}

function wholeNumber(name, text, least) {
  const number = Number(text)
  if (Number.isInteger(number) && number >= least) return number
  fail(`--${name} ${text} is not a whole number from ${least}`)
}

function readOptions() {
  const text = { type: 'string' }
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      all: { type: 'boolean', default: false }, json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false }, peers: text, ranks: text, rate: text, rounds: text,
      out: text, baseline: text,
    },
  })
  const number = (name, least) => values[name] === undefined ? null : wholeNumber(name, values[name], least)
  return {
    ...values, names: positionals, ranks: number('ranks', 1), rate: number('rate', 0),
    rounds: number('rounds', 1) ?? ROUNDS,
  }
}

/** Named ones, or those whose name begins with the word and a dash: `log` is all of log-…. */
function chooseTrials({ names, all }) {
  if (all) return TRIALS
  if (names.length === 0) return TRIALS.filter(({ canonical }) => canonical)
  return names.flatMap((word) => {
    const found = TRIALS.filter(({ name }) => name === word || name.startsWith(`${word}-`))
    return found.length ? found : fail(`no trial is named ${word}; --list names them`)
  })
}

/** Those a trial is for, of those that were asked for; without a word, of the canonical six or of all. */
function choosePeers(trial, { peers, all, names }) {
  if (trial.script && !trial.perPeer) return trial.peers
  const wanted = peers?.split(',') ?? (all || names.length ? trial.peers : CANONICAL_PEERS)
  wanted.forEach(peerNamed)
  return trial.peers.filter((name) => wanted.includes(name))
}

/** A script whose last line is one JSON object of numbers. */
async function runScript({ script, args = [], perPeer }, peer) {
  const home = mkdtempSync(join(tmpdir(), 'rankzero-bench-'))
  const shm = `/dev/shm/${home.split('/').at(-1)}`
  mkdirSync(shm, { mode: 0o700, recursive: true })
  const env = {
    TMPDIR: home,
    RANKZERO_DIR: join(home, 'runs'), RANKZERO_LOCK_DIR: join(home, 'locks'), RANKZERO_SHM_DIR: shm,
  }
  const command = [benchPath(`trials/${script}`), ...args.map(String), ...perPeer ? [peer] : []]
  try {
    return await runJson([process.execPath, ...command], env)
  } finally {
    remove(home, shm)
  }
}

const takesRate = ({ fixed = [] }) => !fixed.includes('rate')

async function runPeer(trial, peer, round, { ranks, rate }) {
  const jobs = {}
  for (const [name, job] of Object.entries(trial.jobs)) {
    const plan = typeof job === 'function' ? job(round) : job
    const paced = rate !== null && takesRate(trial) ? { rate, burst: 0 } : {}
    const world = ranks !== null ? { world: ranks } : {}
    jobs[name] = await runJob(peerNamed(peer), { ...plan, ...world, ...paced })
  }
  return Object.fromEntries(Object.entries(trial.measures).map(([key, { of }]) => [key, of(jobs)]))
}

/** Every pair of trial and peer, `rounds` times; samples by row, null where a job failed. */
async function runAll(trials, options) {
  const pairs = trials.flatMap((trial) => choosePeers(trial, options).map((peer) => ({ trial, peer })))
  const isReady = ({ trial, peer }) => hasParts(trial.needs) && hasParts(peerNamed(peer).needs)
  const todo = pairs.filter(isReady)
  const leftOut = pairs.filter((pair) => !isReady(pair)).map(({ trial, peer }) => `${trial.name} of ${peer}`)
  const rows = todo.flatMap(({ trial, peer }) => (
    Object.entries(trial.measures).map(([measure, { unit, better }]) => (
      { trial: trial.name, peer, measure, unit, better, samples: [] }))))
  const [failures, broken] = [[], []]
  for (let round = 0; round < options.rounds; round++) {
    const turn = [...todo.slice(round % todo.length), ...todo.slice(0, round % todo.length)]
    for (const [index, { trial, peer }] of turn.entries()) {
      const what = `${trial.name} of ${peer}`
      const begun = performance.now()
      const measured = await (trial.script ? runScript(trial, peer) : runPeer(trial, peer, round, options))
        .catch((error) => { (trial.mayFail ? broken : failures).push(`${what}: ${error.message}`) })
      const seconds = ((performance.now() - begun) / 1000).toFixed(1)
      const place = `round ${round + 1} of ${options.rounds}, ${index + 1} of ${turn.length}`
      console.error(`bench: ${place}: ${what}, ${seconds} s`)
      for (const row of rows) {
        if (row.trial === trial.name && row.peer === peer) row.samples.push(measured?.[row.measure] ?? null)
      }
    }
  }
  return { rows, failures, broken, leftOut, peers: [...new Set(todo.map(({ peer }) => peer))] }
}

async function main() {
  const options = readOptions()
  if (options.list) return TRIALS.forEach(({ name, title }) => console.log(`${name.padEnd(20)} ${title}`))
  const trials = chooseTrials(options)
  const machine = describeMachine()
  const began = performance.now()
  const { peers, ...ran } = await runAll(trials, options)
  const result = {
    format: 1, date: new Date().toISOString(), commit: commit(), options: {
      rounds: options.rounds, ranks: options.ranks, rate: options.rate, command: process.argv.slice(2),
    },
    machine: { ...machine, loadAfter: load() }, seconds: Math.round((performance.now() - began) / 1000),
    versions: versionsOf(peers),
    trials: trials.map(({ name, title, measures, budgets, reference }) => (
      { name, title, measures, budgets, reference })), ...ran,
  }
  const out = options.out ?? benchPath(`results/${result.date.slice(0, 10)}-${result.commit}.json`)
  mkdirSync(join(out, '..'), { recursive: true })
  writeFileSync(out, `${JSON.stringify(result, null, 1)}\n`)
  if (hasParts('npm')) writeFileSync(pageBeside(out), (await import('./page.js')).pageOf(result))
  console.log(options.json ? JSON.stringify(result) : textOf(result))
  if (options.baseline) {
    console.log(`\n${comparisonOf(result, JSON.parse(readFileSync(options.baseline, 'utf8')))}`)
  }
  console.error(`bench: ${out}, after ${result.seconds} s`)
  if (result.failures.length) process.exitCode = 1
}

await main()
