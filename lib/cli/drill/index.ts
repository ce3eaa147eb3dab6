/**
 * A drill: a real run in a directory of its own, whose processes are killed and stopped; then its ledger is
 * compared with what the workers had logged.
 *
 * In: how long, how many workers, a seed. Out: a verdict with its numbers. Invariants: no other run of this
 * machine is touched, nor its locks and journals; every wait is bounded; nothing of it is left, unless it was
 * asked for or something is wrong. It judges only by what workers wrote down themselves, never by our books
 * alone.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Audit } from '../../aggregator/core-types.ts'
import { ledgerPath, readStatus } from '../../backend/local.ts'
import { monotonicMs, sleep } from '../../clock.ts'
import { RankzeroError } from '../../errors.ts'
import {
  DRILL_END_MS, DRILL_METRICS, DRILL_POLL_MS, DRILL_START_MS, DRILL_STEPS_PER_SECOND,
} from './core-limits.ts'
import { ownFile } from '../../package.ts'
import { findRun } from '../runs.ts'
import { Oracle, type Compared } from './core-oracle.ts'
import { planOf, type Strike } from './core-plan.ts'
import { allReady, stepsOf, timesOf, writeGo } from './papers.ts'
import { lifeOf, processesOf } from './processes.ts'

export interface DrillOptions {
  seconds: number
  workers: number
  seed: number
  /** Where its directory is made. */
  dir: string
  keep: boolean
  /** argv that starts this program. */
  cli: readonly string[]
  env: NodeJS.ProcessEnv
  /** Told of each strike. */
  say: (line: string) => void
}

/** `drill --json`. Counts are points. */
export interface Verdict extends Omit<Compared, 'examples' | 'missing'> {
  ok: boolean
  /** What is wrong, one sentence each. */
  problems: string[]
  seed: number
  workers: number
  seconds: number
  kills: number
  stops: number
  /** Lost and booked as lost. */
  counted: number
  longestMicros: number
  p999Micros: number
  /** Of a call that does nothing, in the same workers. */
  p999NothingMicros: number
  run: string | null
  /** Where it was; null when that is removed. */
  dir: string | null
}

interface Struck { kills: number; stops: number; killed: Map<number, number> }

export async function drill(options: DrillOptions): Promise<Verdict> {
  mkdirSync(options.dir, { recursive: true })
  const root = mkdtempSync(join(options.dir, 'rankzero-drill-'))
  const shm = existsSync('/dev/shm') ? join('/dev/shm', basename(root)) : join(root, 'shm')
  const sweep = (): void => {
    for (const { pid } of processesOf(root)) signal(pid, 'SIGKILL')
    rmSync(shm, { recursive: true, force: true })
  }
  const interrupted = (): void => {
    sweep()
    rmSync(root, { recursive: true, force: true })
    process.exit(130)
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, interrupted)
  let ok = false
  try {
    const struck = await runUnderFire(root, shm, options)
    const verdict = await judge(root, options, struck)
    ok = verdict.ok
    return ok && !options.keep ? { ...verdict, dir: null } : verdict
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, interrupted)
    sweep()
    if (ok && !options.keep) rmSync(root, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function runUnderFire(root: string, shm: string, options: DrillOptions): Promise<Struck> {
  const { workers, seconds, seed } = options
  const supervisor = begin(root, shm, options)
  await waitFor('its workers to start', DRILL_START_MS, () =>
    supervisor.exitCode !== null || allReady(root, workers))
  const runMs = seconds * 1000
  writeGo(root, runMs)
  const begun = monotonicMs()
  const struck: Struck = { kills: 0, stops: 0, killed: new Map() }
  for (const strike of planOf(seed, runMs, workers)) {
    await sleep(Math.max(0, begun + strike.atMs - monotonicMs()))
    const pid = victimOf(root, strike)
    if (pid !== null && await hit(pid, strike)) note(struck, strike, options.say)
  }
  await waitFor('the end of the run', runMs + DRILL_END_MS, () =>
    supervisor.exitCode !== null || supervisor.signalCode !== null)
  return struck
}

function begin(root: string, shm: string, { workers, cli, env }: DrillOptions): ChildProcess {
  mkdirSync(join(root, 'home'))
  const clean = Object.fromEntries(Object.entries(env).filter(([name]) => !/^RANKZERO_/.test(name)))
  const trainer = ownFile('dist/cli/drill/trainer.js')
  const argv = [
    ...cli, 'run', '--nproc', workers, '--on-failure', 'continue', '--console', 'raw', '--backend', 'local',
    '--exit-timeout', DRILL_END_MS / 2000, '--dir', join(root, 'runs'), '--',
    process.execPath, trainer, root, DRILL_STEPS_PER_SECOND, DRILL_METRICS,
  ].map(String)
  // A group of its own: Ctrl-C is ours to handle.
  return spawn(argv[0]!, argv.slice(1), {
    cwd: root, detached: true, stdio: 'ignore',
    env: {
      ...clean, HOME: join(root, 'home'), RANKZERO_DIR: join(root, 'runs'), RANKZERO_SHM_DIR: shm,
      RANKZERO_LOCK_DIR: join(root, 'locks'), RANKZERO_CLI: JSON.stringify(cli),
    },
  })
}

function victimOf(root: string, { kind, rank }: Strike): number | null {
  const there = processesOf(root).filter((one) => one.kind === kind).map(({ pid }) => pid)
  const life = kind === 'worker' ? lifeOf(root, rank) : there[0]
  return life !== null && life !== undefined && there.includes(life) ? life : null
}

async function hit(pid: number, { what, forMs }: Strike): Promise<boolean> {
  if (what === 'kill') return signal(pid, 'SIGKILL')
  if (!signal(pid, 'SIGSTOP')) return false
  await sleep(forMs)
  signal(pid, 'SIGCONT')
  return true
}

function note(struck: Struck, { what, kind, rank, forMs }: Strike, say: (line: string) => void): void {
  const whom = kind === 'worker' ? `worker ${rank}` : `the ${kind}`
  if (what === 'kill') {
    struck.kills++
    if (kind === 'worker') struck.killed.set(rank, 1)
    return say(`killed ${whom}`)
  }
  struck.stops++
  say(`stopped ${whom} for ${Math.round(forMs)} ms`)
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false // It has gone by itself.
  }
}

async function waitFor(what: string, ms: number, isSo: () => boolean): Promise<void> {
  for (const until = monotonicMs() + ms; !isSo(); await sleep(DRILL_POLL_MS)) {
    if (monotonicMs() > until) {
      throw new RankzeroError('TIMEOUT', `the drill waited ${ms / 1000} s for ${what}`,
        'look whether this machine has enough processors for so many --workers, or ask rankzero doctor')
    }
  }
}

async function judge(root: string, options: DrillOptions, struck: Struck): Promise<Verdict> {
  const { workers, seconds, seed } = options
  const found = findRun(join(root, 'runs'))
  const { openLedger } = await import('../../ledger/index.ts')
  const { audit, points } = await import('../../aggregator/replay.ts')
  const oracle = new Oracle(DRILL_METRICS)
  for (let rank = 0; rank < workers; rank++) oracle.told(rank, stepsOf(root, rank))
  const ledger = openLedger(ledgerPath(found.dir), { readonly: true })
  let books: Audit
  try {
    for (const { metric, step, rank, value } of points(ledger)) {
      oracle.point(metric, step, rank, Number(value))
    }
    books = audit(ledger)
  } finally {
    ledger.close()
  }
  const { examples, missing, ...compared } = oracle.compare(struck.killed)
  const counted = books.ranks.reduce((sum, { lost }) => sum + lost, 0)
  const problems = [...examples, ...missing, ...books.problems]
  if (compared.lost > counted) problems.push(`${compared.lost} points are lost, ${counted} of them counted`)
  const state = readStatus(found.dir)?.state ?? 'unknown'
  if (state !== 'ended') problems.push(`the run is ${state}, not ended`)
  if (!books.complete) problems.push('something is pending')
  const times = timesOf(root)
  return {
    ok: problems.length === 0 && compared.lost === 0, problems, seed, workers, seconds,
    kills: struck.kills, stops: struck.stops, ...compared, counted,
    longestMicros: micros(Math.max(times.log.longestNs, times.first.longestNs)),
    p999Micros: micros(times.log.quantileNs(0.999)),
    p999NothingMicros: micros(times.nothing.quantileNs(0.999)),
    run: found.run, dir: root,
  }
}

const micros = (ns: number): number => Math.round(ns / 100) / 10
