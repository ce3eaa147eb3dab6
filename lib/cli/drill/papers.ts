/** What workers of a drill wrote down in its directory (trainer.ts), and what they wait for. */
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Times, type TimesRecord } from './core-times.ts'

const STEP_BYTES = 4

/** Every worker stands ready and waits for `go`. */
export const allReady = (root: string, workers: number): boolean =>
  Array.from({ length: workers }, (_, rank) => join(root, `truth.${rank}`)).every((path) => existsSync(path))

/** Lets the workers begin now, for so long. */
export function writeGo(root: string, ms: number): void {
  const now = process.hrtime.bigint()
  const go = { beginNs: Number(now), untilNs: Number(now) + ms * 1e6 }
  writeFileSync(join(root, 'go.new'), JSON.stringify(go))
  renameSync(join(root, 'go.new'), join(root, 'go'))
}

/** Steps of a rank whose log() returned, in order. */
export function stepsOf(root: string, rank: number): number[] {
  const bytes = readFileSync(join(root, `truth.${rank}`))
  return Array.from({ length: Math.floor(bytes.length / STEP_BYTES) }, (_, at) =>
    bytes.readUint32LE(at * STEP_BYTES))
}

export interface WorkerTimes {
  log: Times
  nothing: Times
  /** The first calls of each life. */
  first: Times
}

/** Of all lives of the ranks that `wanted` takes; a life that was killed early has left none. */
export function timesOf(root: string, wanted: (rank: number) => boolean = () => true): WorkerTimes {
  const sum: WorkerTimes = { log: new Times(), nothing: new Times(), first: new Times() }
  for (const name of readdirSync(root)) {
    const rank = /^times\.(\d+)\.\d+$/.exec(name)?.[1]
    if (rank === undefined || !wanted(Number(rank))) continue
    const one = JSON.parse(readFileSync(join(root, name), 'utf8')) as Record<keyof WorkerTimes, TimesRecord>
    sum.log.merge(one.log)
    sum.nothing.merge(one.nothing)
    sum.first.merge(one.first)
  }
  return sum
}
