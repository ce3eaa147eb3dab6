/**
 * Ledger, names that outlive a loss of power: a new file or directory is there for sure only after a sync of
 * the directory that names it, and its parents.
 *
 * It knows no SQLite: processes that live without it use this too.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { errnoOf } from '../errors.ts'

/** Above this many directories nobody of ours has made one just now: a parent, the runs, a run. */
const LEVELS = 3

/** `mkdir -p`; the names on the way to it are durable, also those that another process made just before. */
export function makeDirectory(path: string, mode = 0o777): void {
  const first = mkdirSync(path, { recursive: true, mode })
  const made = first?.length ?? Infinity
  for (let level = 0, at = path; level < LEVELS || at.length >= made; level++, at = dirname(at)) {
    syncDirectory(dirname(at))
    if (dirname(at) === at) return
  }
}

/** Not all file systems can, and a parent may be closed to us: then its owner has made the name long ago. */
const CANNOT = new Set(['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP', 'EROFS', 'ENOENT'])

export function syncDirectory(path: string): void {
  let fd = -1
  try {
    fd = openSync(path, 'r')
    fsyncSync(fd)
  } catch (error) {
    if (!CANNOT.has(errnoOf(error))) throw error
  } finally {
    if (fd >= 0) closeSync(fd)
  }
}

/** Renames what cannot be used, and what SQLite keeps beside it, to a name that says so; returns the name. */
export function setAside(path: string, now: number): string {
  const stamp = new Date(now).toISOString().replace(/[-:Z]/g, '').replace('T', '-')
  const aside = `${path}.damaged-${stamp}`
  renameSync(path, aside)
  for (const end of ['-wal', '-journal']) {
    try {
      renameSync(`${path}${end}`, `${aside}${end}`)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
    }
  }
  syncDirectory(dirname(path))
  return aside
}
