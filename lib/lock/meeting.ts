import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readOwn, readPlain } from '../files.ts'
import { makeDirectory, syncDirectory } from '../ledger/durable.ts'
import { JSON_FILE_BYTES_MAX } from '../limits.ts'
import { crc32 } from '../record/crc32.ts'
import type { Endpoint } from '../record/run-status.ts'

export const meetingPath = (lockDir: string, meeting: string): string => join(lockDir, `meet-${meeting}.json`)

/**
 * Where the run of a meeting id is: written by its aggregator, read by agents, `sync` and the next
 * aggregator. Null when there is none.
 */
export const readMeeting = (lockDir: string, meeting: string): Endpoint | null =>
  readJson<Endpoint>(meetingPath(lockDir, meeting), readOwn)

/** A run that its aggregator has begun to make, and that nobody can find yet. */
export interface Begun { run: string; dir: string }

const begunPath = (lockDir: string, meeting: string): string => join(lockDir, `meet-${meeting}.begun`)

/** Only for who is elected: left by one before it, which died before the run could be found. */
export const readBegun = (lockDir: string, meeting: string): Begun | null =>
  readJson<Begun>(begunPath(lockDir, meeting), readOwn)

export function writeBegun(lockDir: string, meeting: string, begun: Begun): void {
  writeJson(begunPath(lockDir, meeting), begun)
}

/** Of mode 0600: by it the agent and the head of one node know each other, whoever else may use loopback. */
export const meetingSecretPath = (lockDir: string, meeting: string): string =>
  join(lockDir, `meet-${meeting}.secret`)

/** The same for other nodes that share the parent of the run directories. */
export const sharedPath = (dir: string, meeting: string): string => join(dir, '.meet', `${meeting}.json`)

/** Only ours: it names a secret of ours, and where to go with it. */
export const readShared = (dir: string, meeting: string): Endpoint | null =>
  readJson<Endpoint>(sharedPath(dir, meeting), readOwn)

/** Locked by the aggregator that writes in a run directory; agents of other nodes look whether it is. */
export const fencePath = (runDir: string): string => join(runDir, 'term.lock')

export function writeShared(dir: string, endpoint: Endpoint): void {
  const path = sharedPath(dir, endpoint.meeting)
  makeDirectory(dirname(path), 0o700)
  writeJson(path, endpoint, { durable: true })
}

export function removeShared(dir: string, meeting: string): void {
  rmSync(sharedPath(dir, meeting), { force: true })
}

export function writeMeeting(lockDir: string, endpoint: Endpoint): void {
  writeJson(meetingPath(lockDir, endpoint.meeting), endpoint, { durable: true })
  rmSync(begunPath(lockDir, endpoint.meeting), { force: true })
}

export function removeMeeting(lockDir: string, meeting: string): void {
  rmSync(meetingPath(lockDir, meeting), { force: true })
  rmSync(meetingSecretPath(lockDir, meeting), { force: true })
}

/**
 * Null when the file is not there, or not as `writeJson` left it: cut off, damaged, empty after a loss of
 * power. A file without a check (older, or made by hand) is taken as it is.
 */
export function readJson<T>(path: string, read = readPlain): T | null {
  try {
    const text = read(path, JSON_FILE_BYTES_MAX).toString()
    const found = CHECK.exec(text)
    const body = found === null ? text : `${text.slice(0, found.index)}}`
    return found === null || found[1] === checkOf(body) ? JSON.parse(body) as T : null
  } catch {
    return null
  }
}

/** At the end of each file: the crc of what it would be without. */
const CHECK = /,"crc":"([0-9a-f]{8})"\}\s*$/
const checkOf = (body: string): string => crc32(Buffer.from(body)).toString(16).padStart(8, '0')

/**
 * Readers see the old text or the new one, never a part. Owner-only, since it may name paths of the user.
 * `durable`: also after a loss of power; else the file may then be empty or gone, and is nothing that cannot
 * be done without.
 */
export function writeJson(path: string, value: object, o: { durable?: boolean } = {}): void {
  const body = JSON.stringify(value)
  const text = `${body.slice(0, -1)},"crc":"${checkOf(body)}"}`
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, text, { mode: 0o600, flush: o.durable === true })
  renameSync(temporary, path)
  if (o.durable === true) syncDirectory(dirname(path))
}
