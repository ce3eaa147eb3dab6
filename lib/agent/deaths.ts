/**
 * Agent, deaths: whether the owner of an instance lives, and how it left.
 *
 * In: journals (their record locks), pidfds taken at discovery, /proc. Out: dead or not, and the departure.
 * Invariants: death is proved by the kernel (JournalReader.ownerAlive), never by age; a pidfd counts only if
 * it was opened while the owner's start time still matched, so a reused pid tells nothing. Other sources (the
 * end record, the parent) are put before these by whoever asks.
 */
import { closeSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { bootId, pidNamespace, procStart } from '../journal/process.ts'
import { DEATH_INFO_WAIT_MS } from '../limits.ts'
import { native } from '../native.ts'
import type { Departure, InstanceId, Origin } from '../record/index.ts'
import { withErrorFile } from './error-file.ts'
import type { Feed } from './feed.ts'

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number as number, name]))
const UNKNOWN: Departure = { exit: null, signal: null, cause: 'unknown' }

interface Watched {
  readonly origin: Origin
  /** -1: none could be had. */
  readonly pidfd: number
  deadSince: number | null
}

export class Deaths {
  readonly #watched = new Map<InstanceId, Watched>()
  readonly #bootId = bootId()
  readonly #pidns = pidNamespace()

  /**
   * Call once when an instance is discovered: the sooner, the more likely that its owner can still be held.
   */
  watch(origin: Origin): void {
    const pidfd = this.#ours(origin) && origin.procStart !== 0 ? native.pidfdOpen(origin.pid) : -1
    const same = pidfd >= 0 && procStart(origin.pid) === origin.procStart
    if (pidfd >= 0 && !same) closeSync(pidfd)
    this.#watched.set(origin.instance, { origin, pidfd: same ? pidfd : -1, deadSince: null })
  }

  /** True from the first look that finds the owner gone. */
  dead(feed: Feed, now: number): boolean {
    const watched = this.#watched.get(feed.instance)
    if (!watched) return false
    if (watched.deadSince === null && !this.#alive(feed)) watched.deadSince = now
    return watched.deadSince !== null
  }

  /** How it left, or null while the kernel may still tell more: its parent has to reap it first. */
  departure(instance: InstanceId, now: number): Departure | null {
    const watched = this.#watched.get(instance)
    if (!watched || watched.deadSince === null) return null
    const known = fromPidfd(watched.pidfd) ?? (this.#ours(watched.origin) ? fromZombie(watched.origin) : null)
    if (known?.exit === 0) return known
    const tells = known === null && watched.pidfd >= 0 && now - watched.deadSince < DEATH_INFO_WAIT_MS
    return tells ? null : withErrorFile(known ?? UNKNOWN, watched.origin.errorFile)
  }

  /** How long ago it was found dead (ms). */
  deadFor(instance: InstanceId, now: number): number {
    return now - (this.#watched.get(instance)?.deadSince ?? now)
  }

  forget(instance: InstanceId): void {
    const pidfd = this.#watched.get(instance)?.pidfd ?? -1
    if (pidfd >= 0) closeSync(pidfd)
    this.#watched.delete(instance)
  }

  #alive({ reader, shelf, origin }: Feed): boolean {
    if (reader) return reader.ownerAlive()
    if (shelf.facts?.departure) return false
    // Only a spool is left: without a lock to test, pid and start time tell, on the boot that they belong to.
    if (origin.bootId !== this.#bootId) return false
    return this.#ours(origin) && origin.procStart !== 0 && procStart(origin.pid) === origin.procStart
  }

  /** Whether its pid means something here. */
  #ours(origin: Origin): boolean {
    const { bootId, pidns } = origin
    return bootId === this.#bootId && (pidns === 0 || this.#pidns === 0 || pidns === this.#pidns)
  }
}

/**
 * What an end record and the kernel say together: the record comes first, but an end() before the exit knows
 * no status, and the kernel is not waited for then.
 */
export function settled(record: Departure | null, kernel: Departure | null): Departure | null {
  if (record === null || kernel === null) return record ?? kernel
  const knows = record.exit !== null || record.error !== undefined || kernel.cause === 'unknown'
  return { ...(knows ? record : kernel), ...(kernel.log === undefined ? {} : { log: kernel.log }) }
}

function fromPidfd(pidfd: number): Departure | null {
  if (pidfd < 0) return null
  const { exited, exit, signal } = native.pidfdExit(pidfd)
  return exited && (exit !== null || signal !== null) ? { exit, signal, cause: 'pidfd' } : null
}

/** A dead process that nobody reaped still has its status in the last field of /proc/<pid>/stat. */
function fromZombie({ pid, procStart: start }: Origin): Departure | null {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return null
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).trim().split(' ')
  if (fields[0] !== 'Z' || Number(fields[19]) !== start) return null
  const code = Number(fields.at(-1))
  const signal = code & 0x7f
  return { exit: signal === 0 ? code >> 8 : null, signal: SIGNALS.get(signal) ?? null, cause: 'pidfd' }
}
