/** The directories that a run needs: their file systems, their room, whether they can be written. */
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { RING_BYTES, SHM_FACTOR, SHM_FREE_BYTES_MIN } from '../../limits.ts'
import { native } from '../../native.ts'
import { findLeftovers } from '../leftovers.ts'
import type { Finding } from '../../backend/index.ts'

export interface Place {
  what: 'journals' | 'runs' | 'locks'
  path: string
  type: string
  free: number
  total: number
  writable: boolean
}

/** Locks and SQLite need a file system that keeps its word about fcntl. */
const REMOTE = new Set(['nfs', 'lustre', 'gpfs', 'cifs', 'smb2', 'fuse'])

export function placeFindings(places: readonly Place[], localRanks: number): Finding[] {
  const found: Finding[] = []
  for (const { what, path, type, free, writable } of places) {
    const option = what === 'runs' ? '--dir' : what === 'locks' ? 'RANKZERO_LOCK_DIR' : 'RANKZERO_SHM_DIR'
    if (!writable) {
      const level = what === 'journals' ? 'warning' : 'error'
      const closed = `${path} (${what}) cannot be written`
      found.push({ level, what: closed, remedy: `give another with ${option}` })
    } else if (what !== 'journals' && REMOTE.has(type)) {
      const local = `give a local one with ${option}, unless several nodes must share it`
      const lie = `${path} (${what}) is on ${type}, whose locks may lie`
      found.push({ level: 'warning', what: lie, remedy: local })
    } else if (what === 'runs' && free < SHM_FREE_BYTES_MIN) {
      const full = `${path} (runs) has less than 1 GiB left`
      found.push({ level: 'warning', what: full, remedy: 'make room before it is full' })
    }
    if (what !== 'journals' || !writable) continue
    const roomy = free >= SHM_FREE_BYTES_MIN || free >= SHM_FACTOR * RING_BYTES * localRanks
    if (type === 'tmpfs' && roomy) continue
    const left = `${Math.round(free / 2 ** 20)} MiB`
    const why = type === 'tmpfs' ? `has only ${left} left` : `is ${type}, no shared memory`
    found.push({
      level: 'warning', what: `${path} (journals) ${why}: log() writes to files instead, about 1 µs a call`,
      remedy: 'more shared memory (docker run --shm-size=2g), or another RANKZERO_SHM_DIR',
    })
  }
  return found
}

/** What ended runs left on this node. */
export function waitingFindings(dir: string, env: NodeJS.ProcessEnv): Finding[] {
  const { leftovers, damaged } = findLeftovers(dir, env)
  const found: Finding[] = damaged.map((text) =>
    ({ level: 'warning', what: `damaged: ${text}`, remedy: 'keep it for a report, or remove it' }))
  const dead = leftovers.filter((one) => one.live === 0)
  if (dead.length > 0) {
    const what = `${dead.length} ended run(s) left something undelivered on this node`
    found.push({ level: 'info', what, remedy: `rankzero sync --all --dir ${dir}` })
  }
  return found
}

/** Of the directory, or of the one that it will be made in. */
export function look(what: Place['what'], path: string): Place {
  let there = path
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there)
  return { what, path, ...native.statfs(there), writable: canWrite(there) }
}

/** Tried for real: permissions say yes to root on file systems that then refuse. */
function canWrite(directory: string): boolean {
  try {
    rmdirSync(mkdtempSync(join(directory, '.rankzero-doctor-')))
    return true
  } catch {
    return false
  }
}
