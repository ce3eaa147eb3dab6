/**
 * Processes and files, as the journal needs them: is the owner still there (when it has no testable lock),
 * what was left half made.
 *
 * Invariants: a bare pid proves nothing, so the start time goes with it; what cannot be told counts as alive.
 */
import { mkdirSync, readFileSync, statSync, unlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { errnoOf } from '../errors.ts'
import type { Origin } from '../record/index.ts'

/** Field 22 of /proc/<pid>/stat, clock ticks since boot; 0 when unknown. */
export function procStart(pid: number): number {
  return Number(statOf(pid)[19]) || 0
}

/** Inode of our pid namespace, 0 when unknown. */
export function pidNamespace(): number {
  try {
    return statSync('/proc/self/ns/pid').ino
  } catch {
    return 0
  }
}

/** Fields of /proc/<pid>/stat from the third (state) on; the second may hold spaces and brackets. */
function statOf(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

/** '' when unknown. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}

/** By pid and start time; a process of another host or pid namespace cannot be seen from here. */
export function livesAs(origin: Origin): boolean {
  if (origin.bootId !== '' && origin.bootId !== bootId()) return origin.node !== hostname()
  if (origin.pidns !== 0 && origin.pidns !== pidNamespace()) return true
  const stat = statOf(origin.pid)
  if (stat.length === 0 || stat[0] === 'Z') return false
  return origin.procStart === 0 || Number(stat[19]) === origin.procStart
}

/** `<file>.<pidns>-<pid>-<start>.tmp`: half made by a process that can be recognised. */
export function temporarySuffix(): string {
  return `.${pidNamespace()}-${process.pid}-${procStart(process.pid)}.tmp`
}

const TEMPORARY = /^[0-9a-f]{32}\.(?:jnl|lock)\.(\d+)-(\d+)-(\d+)\.tmp$/

/**
 * Of `names` in `directory`, deletes what processes of this namespace left half made when they were killed.
 */
export function sweep(directory: string, names: readonly string[]): void {
  for (const name of names) {
    const match = TEMPORARY.exec(name)
    if (match === null || Number(match[1]) !== pidNamespace()) continue
    if (procStart(Number(match[2])) !== Number(match[3])) removeFile(join(directory, name))
  }
}

/**
 * mkdir -p, mode 0700. Node's own recursive mkdir never returns where mkdir answers ENOENT for ever (/proc,
 * /sys).
 */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, 0o700)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) throw error
    makeDirectory(dirname(path))
    mkdirSync(path, 0o700)
  }
}

/** Deletes a file if it is there. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Gone already, or the directory is read-only: the next scan tries again.
  }
}
