import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readOwn, readPlain } from '../files.ts'
import { JSON_FILE_BYTES_MAX } from '../limits.ts'
import type { Endpoint } from '../record/run-status.ts'

export const meetingPath = (lockDir: string, meeting: string): string => join(lockDir, `meet-${meeting}.json`)

/**
 * Where the run of a meeting id is: written by its aggregator, read by agents, `sync` and the next
 * aggregator. Null when there is none.
 */
export const readMeeting = (lockDir: string, meeting: string): Endpoint | null =>
  readJson<Endpoint>(meetingPath(lockDir, meeting), readOwn)

/** Of mode 0600: by it the agent and the head of one node know each other, whoever else may use loopback. */
export const meetingSecretPath = (lockDir: string, meeting: string): string =>
  join(lockDir, `meet-${meeting}.secret`)

/** The same for other nodes that share the parent of the run directories. */
export const sharedPath = (dir: string, meeting: string): string => join(dir, '.meet', `${meeting}.json`)

/** Only ours: it names a secret of ours, and where to go with it. */
export const readShared = (dir: string, meeting: string): Endpoint | null =>
  readJson<Endpoint>(sharedPath(dir, meeting), readOwn)

export function writeShared(dir: string, endpoint: Endpoint): void {
  const path = sharedPath(dir, endpoint.meeting)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  replaceFile(path, JSON.stringify(endpoint))
}

export function removeShared(dir: string, meeting: string): void {
  rmSync(sharedPath(dir, meeting), { force: true })
}

export function writeMeeting(lockDir: string, endpoint: Endpoint): void {
  replaceFile(meetingPath(lockDir, endpoint.meeting), JSON.stringify(endpoint))
}

export function removeMeeting(lockDir: string, meeting: string): void {
  rmSync(meetingPath(lockDir, meeting), { force: true })
  rmSync(meetingSecretPath(lockDir, meeting), { force: true })
}

/** Null when the file is not there, or is no JSON (which `replaceFile` never leaves behind). */
export function readJson<T>(path: string, read = readPlain): T | null {
  try {
    return JSON.parse(read(path, JSON_FILE_BYTES_MAX).toString()) as T
  } catch {
    return null
  }
}

/** Readers see the old text or the new one, never a part. Owner-only, since it may name paths of the user. */
export function replaceFile(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, text, { mode: 0o600 })
  renameSync(temporary, path)
}
