/**
 * After a drill: is everything there once, as logged, and is what rankzero says of it true?
 *
 * In: a world whose fire has ceased. Out: an outcome, with a sentence for each thing that is wrong.
 * The oracle is what the workers wrote down after log() returned; our books are judged by it, not it by them.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Audit } from '../../lib/aggregator/core-types.ts'
import { Oracle } from '../../lib/cli/drill/core-oracle.ts'
import { stepsOf, timesOf, type WorkerTimes } from '../../lib/cli/drill/papers.ts'
import { processesOf } from '../../lib/cli/drill/processes.ts'
import type { RunStatus } from '../../lib/record/run-status.ts'
import { sleep, until } from '../scenario/harness.ts'
import { csvLines } from './csv.ts'
import { checkRows } from './rows.ts'
import type { World } from './world.ts'

export interface Latency {
  calls: number
  p999: number
  max: number
  /** Of a call that does nothing, timed in the same worker and run. */
  p999Nothing: number
  maxNothing: number
  /** Longest of the first calls of a life. */
  maxFirst: number
}

/** Counts are points, times µs. */
export interface Outcome {
  drill: string
  seed: number
  seconds: number
  /** What was done to the run, in order. */
  blows: string[]
  logged: number
  found: number
  lost: number
  /** Of those lost, booked as lost. */
  counted: number
  doubled: number
  wrong: number
  rows: number
  longest: number
  node: Latency
  python: Latency
  problems: string[]
}

/** Waits that no healthy run needs: after the workers, restarts back off up to 5 s and seals wait 10 s. */
const WORKERS_MS_MAX = 120_000
const END_MS_MAX = 120_000
const GONE_MS_MAX = 30_000
const LOOK_MS = 500
const isPython = (rank: number): boolean => rank % 4 === 3

interface Judging { mayLose: boolean; agentAway: boolean }
type Facts = Omit<Outcome, 'drill' | 'seed' | 'seconds' | 'blows'>

/** `mayLose`: points may be lost if they are booked as lost; `agentAway`: agents were killed or stopped. */
export async function judge(world: World, { mayLose, agentAway }: Judging): Promise<Facts> {
  const problems: string[] = []
  const { workers, metrics } = world.options
  await ending(world, problems)
  const oracle = new Oracle(metrics)
  for (let rank = 0; rank < workers; rank++) oracle.told(rank, stepsOf(world.root, rank))
  const points = await exported(world, 'points', '--points')
  for await (const [metric, step, rank, value] of csvLines(points)) {
    oracle.point(metric!, Number(step), Number(rank), Number(value))
  }
  rmSync(points)
  const merged = await exported(world, 'rows')
  const rows = await checkRows(merged, oracle, metrics)
  rmSync(merged)
  const compared = oracle.compare(world.killed)
  const books = JSON.parse((await world.cli('audit', '--json')).stdout) as Audit
  const counted = books.ranks.reduce((sum, { lost }) => sum + lost, 0)
  problems.push(...compared.examples, ...rows.problems, ...booksProblems(books, compared, counted))
  if (compared.lost > counted) {
    problems.push(`${compared.lost} lost, only ${counted} of them counted`, ...compared.missing)
  }
  if (!mayLose && counted > 0) problems.push(`${counted} points counted as lost, where none may be`)
  const status = JSON.parse((await world.cli('status', '--json')).stdout) as RunStatus
  problems.push(...statusProblems(status, world, compared.found, agentAway))
  const node = timesOf(world.root, (rank) => !isPython(rank))
  const python = timesOf(world.root, isPython)
  const { logged, found, lost, doubled, wrong } = compared
  return {
    logged, found, lost, counted, doubled, wrong, rows: rows.rows, problems,
    longest: Math.max(longestOf(node), longestOf(python)),
    node: latencyOf(node), python: latencyOf(python),
  }
}

async function ending(world: World, problems: string[]): Promise<void> {
  for (const { code, signal, stderr } of await world.ended(WORKERS_MS_MAX)) {
    if (code !== 0 && !(world.supervisorKilled && signal === 'SIGKILL')) {
      problems.push(`the workers' end: ${code ?? signal}: ${stderr}`)
    }
  }
  const end = performance.now() + END_MS_MAX
  let state = ''
  for (; state !== 'ended' && performance.now() < end; await sleep(LOOK_MS)) {
    const { stdout } = await world.cli('status', '--json')
    state = stdout === '' ? 'unknown' : (JSON.parse(stdout) as RunStatus).state
  }
  if (state !== 'ended') problems.push(`the run is ${state}, ${END_MS_MAX / 1000} s after its workers`)
  await until('processes to leave', GONE_MS_MAX, () => processesOf(world.root).length === 0)
    .catch(() => problems.push(`still there: ${JSON.stringify(processesOf(world.root))}`))
}

async function exported(world: World, name: string, ...args: string[]): Promise<string> {
  const out = join(world.root, `${name}.csv`)
  const { code, stderr } = await world.cli('export', ...args, '--format', 'csv', '--out', out)
  if (code !== 0) throw new Error(`export of ${name}: ${code}: ${stderr}`)
  return out
}

function booksProblems(
  books: Audit, { found, logged, unwritten }: { found: number; logged: number; unwritten: number },
  counted: number,
): string[] {
  const sum = (of: (rank: Audit['ranks'][number]) => number): number =>
    books.ranks.reduce((total, rank) => total + of(rank), 0)
  const admitted = sum((rank) => rank.admitted)
  // A killed worker may have lost one record, uncounted by the oracle, as it may have logged one.
  const claimed = [admitted + counted, sum((rank) => rank.logged)]
  return [
    ...books.balanced ? [] : ['the books are not balanced'],
    ...books.complete ? [] : ['something is pending'],
    ...books.problems,
    ...admitted === found ? [] : [`${admitted} points admitted, ${found} came out`],
    ...claimed.every((one) => one >= logged) ? [] : [`${claimed} points in the books, ${logged} logged`],
    ...counted > 0 || claimed[1] === logged + unwritten ? []
      : [`${claimed[1]} logged in the books, ${logged + unwritten} by the workers`],
    ...books.backends.every(({ delivered, rejected }) => delivered === admitted && rejected === 0) ? []
      : [`admitted ${admitted}, delivered ${JSON.stringify(books.backends)}`],
  ]
}

function statusProblems(status: RunStatus, world: World, found: number, agentAway: boolean): string[] {
  const kills = [...world.killed.values()].reduce((sum, times) => sum + times, 0)
  const { failed, books } = status
  const untrue = failed.filter(({ signal, recovered }) => !recovered || (signal ?? 'SIGKILL') !== 'SIGKILL')
  return [
    ...status.status === 'finished' ? [] : [`status says ${status.status}`],
    ...status.ranks === world.options.workers ? [] : [`status says ${status.ranks} ranks`],
    // Nobody saw how those left whose agent had not looked yet, or died before it could tell.
    ...failed.length <= kills && (agentAway || failed.length >= world.killsSeen) ? []
      : [`status lists ${failed.length} failures of ${kills} kills, ${world.killsSeen} of them seen`],
    ...untrue.length === 0 ? [] : [`status says of killed workers: ${JSON.stringify(untrue)}`],
    ...books.admitted === found && books.pending === 0 ? [] : [`status says ${JSON.stringify(books)}`],
  ]
}

const micros = (ns: number): number => Math.round(ns / 100) / 10

const longestOf = ({ log, first }: WorkerTimes): number => micros(Math.max(log.longestNs, first.longestNs))

function latencyOf({ log, nothing, first }: WorkerTimes): Latency {
  return {
    calls: log.count, p999: micros(log.quantileNs(0.999)), max: micros(log.longestNs),
    p999Nothing: micros(nothing.quantileNs(0.999)), maxNothing: micros(nothing.longestNs),
    maxFirst: micros(first.longestNs),
  }
}
