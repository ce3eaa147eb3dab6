import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { spooledRun } from '../agent/spool.ts'
import { messageOf } from '../errors.ts'
import { listJournals, openReader, pendingDirs, shmDir } from '../journal/index.ts'

/** What waits on this node under one meeting id: journals, or the spool of an agent. */
export interface Leftover {
  meeting: string
  /** Run id, when its processes knew it. */
  run: string | null
  journals: number
  /** Owners that still live: their agent delivers, not `sync`. */
  live: number
  spooled: boolean
}

export interface Found {
  leftovers: Leftover[]
  /** Files that could not be read, each with its reason. */
  damaged: string[]
}

const MEETING = /^[0-9a-f]{32}$/

/** Of runs below `dir` only: other directories have their own `sync`. */
export function findLeftovers(dir: string, env: NodeJS.ProcessEnv): Found {
  const found = new Map<string, Leftover>()
  const damaged: string[] = []
  const of = (meeting: string): Leftover => {
    const known = found.get(meeting) ?? { meeting, run: null, journals: 0, live: 0, spooled: false }
    found.set(meeting, known)
    return known
  }
  const [pending = ''] = pendingDirs(dir)
  for (const place of [shmDir(env), ...pendingDirs(dir)]) {
    for (const path of list(() => listJournals(place))) {
      try {
        const reader = openReader(path)
        try {
          const { origin } = reader
          if (origin.dir !== dir) continue
          const one = of(origin.meeting)
          one.run ??= origin.run
          one.journals++
          if (reader.ownerAlive()) one.live++
        } finally {
          reader.close()
        }
      } catch (error) {
        damaged.push(`${path}: ${messageOf(error)}`)
      }
    }
  }
  for (const name of list(() => readdirSync(pending))) {
    if (!MEETING.test(name) || list(() => readdirSync(join(pending, name))).length === 0) continue
    const one = of(name)
    one.spooled = true
    one.run ??= spooledRun(join(pending, name))
  }
  return { leftovers: [...found.values()], damaged }
}

/** Whether an agent, of any node that shares `dir`, has put records of a meeting on disk. */
export const isSpooled = (dir: string, meeting: string): boolean =>
  pendingDirs(dir).some((pending) => list(() => readdirSync(join(pending, meeting))).length > 0)

/** A directory that is not there holds nothing. */
function list(read: () => string[]): string[] {
  try {
    return read()
  } catch {
    return []
  }
}
