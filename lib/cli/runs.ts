import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { RankzeroError } from '../errors.ts'

export interface FoundRun {
  run: string
  /** Run directory, absolute. */
  dir: string
}

/** Any one of these makes a directory a run: a run that died early has only some. */
const MARKS = ['ledger.sqlite', 'status.json', 'endpoint.json']

const isRun = (dir: string): boolean => MARKS.some((mark) => existsSync(join(dir, mark)))

/** The runs below `dir`, oldest first: run ids sort by time. */
export function listRuns(dir: string): FoundRun[] {
  let names: string[]
  try {
    names = readdirSync(dir)
  } catch {
    return []
  }
  return names.filter((name) => !name.startsWith('.')).sort()
    .map((run) => ({ run, dir: join(resolve(dir), run) }))
    .filter((found) => isRun(found.dir))
}

/** RUN is a run id, a run directory, or `latest`. @throws RankzeroError NO_SUCH_RUN, naming what is there. */
export function findRun(dir: string, run = 'latest'): FoundRun {
  const below = join(dir, run)
  if (run !== 'latest' || isRun(below)) {
    for (const path of [below, run].map((one) => resolve(one))) {
      if (isRun(path)) return { run: basename(path), dir: path }
    }
  }
  const runs = listRuns(dir)
  const last = runs.at(-1)
  if (run === 'latest' && last !== undefined) return last
  if (runs.length === 0) {
    const what = statSync(dir, { throwIfNoEntry: false }) === undefined ? 'no directory' : 'no run in'
    throw new RankzeroError('NO_SUCH_RUN', `${what} ${resolve(dir)}`,
      'say where the run directories are with --dir or RANKZERO_DIR')
  }
  const names = runs.slice(-3).map((one) => one.run).reverse().join(', ')
  throw new RankzeroError('NO_SUCH_RUN', `no run ${JSON.stringify(run)} in ${resolve(dir)}`,
    `RUN is a run id, a run directory or "latest"; the last ones there are ${names}`)
}

/** Parent of the run directories that a found run lives in. */
export const parentOf = (found: FoundRun): string => dirname(found.dir)
