import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { keysOf, readChosen } from '../backend/index.ts'
import { createRunDirectory, ledgerPath, readEndpoint, readStatus } from '../backend/local.ts'
import { wallMs } from '../clock.ts'
import type { Keys } from '../config/keys.ts'
import { openLedger, type Ledger } from '../ledger/index.ts'
import { LATE_RUNS_MAX } from '../limits.ts'
import { tryLock, type LockDb } from '../ledger/lockdb.ts'
import { openReadable, type Aside } from './aside.ts'
import {
  elect, fencePath, headLockName, readBegun, readMeeting, writeBegun, type Begun, type Election,
} from '../lock/index.ts'
import { meetingOfRun } from '../rank/index.ts'
import { runIdOf } from '../record/run-id.ts'
import type { AggregatorOptions } from './options.ts'

/** The run that this aggregator won: elected, named, not yet created on disk when `ledger` is null. */
export interface Won {
  run: string
  /** Run directory. */
  dir: string
  meeting: string
  election: Election
  /** Lock and ledger of a run that is there; null: it is made later. */
  lock: LockDb | null
  ledger: Ledger | null
  /** Of that ledger. */
  fence: Fence | null
  /** A ledger that could not be read. */
  aside: Aside | null
}

/**
 * Wins the election of a meeting id, then re-reads the run that belongs to it or mints one. Null: another
 * aggregator has it. `meeting` null mints the run first and derives the meeting from it (a supervisor's new
 * run).
 */
export function winRun(o: {
  meeting: string | null
  run: string | null
  fresh: boolean
  adopt?: boolean
  /** `sync` takes up what has ended, whenever that was. */
  closing?: boolean
  parent: string
  lockDir: string
}): Won | null {
  const minted = o.run ?? runIdOf(wallMs(), randomBytes(3).toString('hex'))
  const meeting = o.meeting ?? meetingOfRun(minted, process.getuid?.() ?? 0)
  const election = elect(o.lockDir, headLockName(meeting))
  if (election === null) return null
  const known = o.fresh ? null : readMeeting(o.lockDir, meeting) ?? halfMade(o.lockDir, meeting)
  const lost = (): null => {
    election.release()
    return null
  }
  const isSpare = o.meeting !== null && known === null && !o.fresh && o.closing !== true
  if (isSpare && cameTooLate(o, meeting)) return lost()
  const run = o.run ?? known?.run ?? minted
  const dir = known !== null && known.run === run ? known.dir : join(o.parent, run)
  const found = { run, dir, meeting, election }
  if (!existsSync(ledgerPath(dir))) {
    return o.adopt === true ? lost() : { ...found, lock: null, ledger: null, fence: null, aside: null }
  }
  // Before the ledger is opened: SQLite's own locks are not to be trusted where this one is not.
  const lock = tryLock(fencePath(dir))
  if (lock === null) return lost()
  const opened = openReadable(dir)
  // Before anything is read of it: a holder that lost its lock and does not know it (it was stopped, say)
  // would add what we never learn.
  const fence = opened.ledger === null ? null : raiseTerm(lock, meeting, opened.ledger)
  return { ...found, lock, fence, ...opened }
}

/** What one before us began and did not live to make known. */
function halfMade(lockDir: string, meeting: string): Begun | null {
  const begun = readBegun(lockDir, meeting)
  return begun !== null && existsSync(begun.dir) ? begun : null
}

/**
 * On a busy machine agent and supervisor start more than one of us before the first answers. One that wins
 * only after the whole run has been served must not begin another, nor that one again, which would be `live`
 * for a while: the run ended after this process began.
 */
function cameTooLate({ parent, run }: { parent: string; run: string | null }, meeting: string): boolean {
  const now = wallMs()
  const begun = now - process.uptime() * 1000
  // An end that is still to come is of before the clock was set back.
  const isLate = (at: number): boolean => at > begun && at <= now
  const hasEnded = (dir: string): boolean => isLate(readStatus(dir)?.endedAt ?? -Infinity)
  if (run !== null) return hasEnded(join(parent, run))
  return newestRuns(parent).some((dir) => readEndpoint(dir)?.meeting === meeting && hasEnded(dir))
}

/** Run ids begin with the time, so the newest come last. */
function newestRuns(parent: string): string[] {
  try {
    return readdirSync(parent).filter((name) => !name.startsWith('.')).sort().slice(-LATE_RUNS_MAX)
      .map((name) => join(parent, name))
  } catch {
    return []
  }
}

/** What its backends log in with: those that it began with, and new ones. */
export const keysFor = (
  { backends, keys }: Pick<AggregatorOptions, 'backends' | 'keys'>, { ledger }: Pick<Won, 'ledger'>,
): Promise<Keys> => keys(keysOf([...Object.keys(readChosen(ledger?.meta() ?? {})), ...backends]))

/** Makes the run directory with its ledger; only the head ever does. */
export function createRun({ run, dir, meeting }: Begun & { meeting: string }, lockDir: string): Ledger {
  writeBegun(lockDir, meeting, { run, dir })
  createRunDirectory(dir)
  return openLedger(ledgerPath(dir))
}

/** Held as long as the aggregator lives; the term grows with every holder. */
export interface Fence {
  readonly term: number
  release(): void
}

/** The fence of a run directory. Null: another aggregator, perhaps of another host, works in it. */
export function takeFence(
  { dir, meeting, lock: held, ledger, fence }: Omit<Won, 'run' | 'election' | 'aside'>, into: Ledger,
): Fence | null {
  if (fence !== null && ledger === into) return fence
  const lock = held ?? tryLock(fencePath(dir))
  return lock === null ? null : raiseTerm(lock, meeting, into)
}

function raiseTerm(lock: LockDb, meeting: string, ledger: Ledger): Fence {
  const term = lock.advance({ meeting, pid: String(process.pid) }, ledger.term())
  ledger.fence(term)
  return { term, release: () => lock.release() }
}

/** Another holder of a higher term has the run: our lock was lost. */
export function isFenced(ledger: Ledger, { term }: Fence): boolean {
  try {
    return ledger.term() > term
  } catch {
    return false // The next commit says what is wrong with it.
  }
}
