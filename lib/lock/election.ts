import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { tryLock } from '../ledger/lockdb.ts'

/** Held until `release`, or until the process is gone, however it goes. */
export interface Election {
  readonly path: string
  /** Frees the lock and removes its file; idempotent. */
  release(): void
}

/**
 * Wins or loses at once: the one process of this name in this lock directory.
 * The file goes with a clean release, so that a directory of finished runs stays empty.
 */
export function elect(lockDir: string, name: string): Election | null {
  mkdirSync(lockDir, { recursive: true, mode: 0o700 })
  const path = join(lockDir, `${name}.lock`)
  const held = tryLock(path)
  if (held === null) return null
  return { path, release: () => held.release({ unlink: true }) }
}
