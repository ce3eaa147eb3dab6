import { join } from 'node:path'
import { RankzeroError } from '../errors.ts'
import { whyNotOurs } from '../files.ts'
import { makeDirectory } from '../ledger/durable.ts'
import { isHeld, tryLock } from '../ledger/lockdb.ts'

/** Held until `release`, or until the process is gone, however it goes. */
export interface Election {
  readonly path: string
  /** Frees the lock and removes its file; idempotent. */
  release(): void
}

const lockPath = (lockDir: string, name: string): string => join(lockDir, `${name}.lock`)

/** Of the one aggregator of a meeting. */
export const headLockName = (meeting: string): string => `aggregator-${meeting}`

/**
 * Who may write there decides who is elected, and what secret a meeting has.
 * @throws RankzeroError USAGE when that may be others.
 */
export function makeLockDir(path: string): void {
  makeDirectory(path, 0o700)
  const why = whyNotOurs(path)
  if (why === null) return
  throw new RankzeroError('USAGE', `the lock directory ${why}`,
    'give RANKZERO_LOCK_DIR a directory that only you can write in')
}

/**
 * Wins or loses at once: the one process of this name in this lock directory.
 * The file goes with a clean release, so that a directory of finished runs stays empty.
 */
export function elect(lockDir: string, name: string): Election | null {
  makeLockDir(lockDir)
  const path = lockPath(lockDir, name)
  const held = tryLock(path)
  if (held === null) return null
  return { path, release: () => held.release({ unlink: true }) }
}

/** Whether another process is elected. Not to be asked by who holds it: see ledger/lockdb.ts. */
export const isElected = (lockDir: string, name: string): boolean => isHeld(lockPath(lockDir, name))
