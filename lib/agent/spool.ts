/**
 * Agent, spool: what cannot be delivered in time waits in files, so that a full journal and a reboot lose
 * nothing.
 *
 * In: units of one instance in seq order. Out: the same units later, or after a restart of the agent.
 * Invariants: `append` and `settle` return only after fsync, so the journal may then be trimmed; an append
 * that fails leaves the file as it was; what does not pass its check is never handed out; a file goes when
 * all of it is acknowledged.
 * It does not decide when to spool (drain.ts) and never makes a run directory.
 */
import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf, RankzeroError } from '../errors.ts'
import { readOwn, whyNotOurs } from '../files.ts'
import { makeDirectory } from '../ledger/durable.ts'
import { FRAME_BYTES_MAX, SPOOL_FILE_BYTES } from '../limits.ts'
import type { Departure, InstanceId, Origin } from '../record/index.ts'
import { layoutsSchema, originSchema, peekBatch, schemas } from '../wire/index.ts'
import {
  Entry, jsonOf, scanEntries, type FactsBody, type FoundEntry, type OriginBody,
} from './core-spool.ts'
import type { Notes } from './notes.ts'
import { Shelf, type ShelfFile, type ShelfSpool, type StoredUnit } from './shelf.ts'

/** `.taken`: another node's agent died while it deleted it (shelf.ts). */
const FILE = /^([0-9a-f]{32})\.(\d+)\.spool(?:\.taken)?$/

export interface SpoolOptions {
  /** Directories to try, best first; the spool of a meeting is a directory below. */
  directories: readonly string[]
  meeting: string
  capBytes: number
  notes: Notes
}

export class Spool implements ShelfSpool {
  /** Bytes on disk, of all instances. */
  bytes = 0
  readonly #options: SpoolOptions
  readonly #shelves = new Map<InstanceId, Shelf>()

  constructor(options: SpoolOptions) {
    this.#options = options
  }

  get cap(): number {
    return this.#options.capBytes
  }

  get room(): number {
    return Math.max(0, this.cap - this.bytes)
  }

  /** The shelf of one instance, empty at first. */
  shelf(origin: Origin): Shelf {
    const known = this.#shelves.get(origin.instance)
    if (known) return known
    const shelf = new Shelf(origin, this)
    this.#shelves.set(origin.instance, shelf)
    return shelf
  }

  /**
   * Loads what an earlier agent of this node left; files of other nodes that share the directory stay
   * untouched, unless `node` is null.
   */
  recover(node: string | null): Shelf[] {
    const found: Shelf[] = []
    for (const directory of this.#options.directories) {
      if (whyNotOurs(directory) !== null) continue
      for (const [instance, files] of this.#files(join(directory, this.#options.meeting))) {
        const shelf = this.#load(instance, files, node)
        if (shelf) found.push(shelf)
      }
    }
    return found
  }

  forget(instance: InstanceId): void {
    this.#shelves.delete(instance)
    for (const directory of this.#options.directories) {
      try {
        rmdirSync(join(directory, this.#options.meeting))
      } catch {
        // Not empty, or never made.
      }
    }
  }

  /** Where a new file may be made. @throws RankzeroError JOURNAL when no directory can be written. */
  directory(): string {
    let why: unknown = null
    for (const parent of this.#options.directories) {
      const path = join(parent, this.#options.meeting)
      try {
        makeDirectory(path, 0o700)
        const foreign = whyNotOurs(parent) ?? whyNotOurs(path)
        if (foreign !== null) throw new Error(foreign)
        return path
      } catch (error) {
        why ??= error
      }
    }
    throw new RankzeroError(
      'JOURNAL', `no spool directory can be made: ${messageOf(why)}`,
      'make the run directory writable or free disk space; until then data waits in the journal',
      { cause: why },
    )
  }

  #files(directory: string): Map<InstanceId, string[]> {
    const byInstance = new Map<InstanceId, { n: number; path: string }[]>()
    for (const name of namesIn(directory)) {
      const match = FILE.exec(name)
      if (!match) continue
      const list = byInstance.get(match[1]!) ?? []
      byInstance.set(match[1]!, list)
      list.push({ n: Number(match[2]), path: join(directory, name) })
    }
    return new Map([...byInstance].map(([instance, list]) =>
      [instance, list.sort((a, b) => a.n - b.n).map((file) => file.path)]))
  }

  #load(instance: InstanceId, paths: readonly string[], node: string | null): Shelf | null {
    let head: OriginBody | null = null
    let facts: FactsBody | null = null
    const files: ShelfFile[] = []
    const units: StoredUnit[] = []
    const damages: string[] = []
    for (const path of paths) {
      const bytes = readIt(path)
      const { entries, damaged } = scanEntries(instance, bytes)
      if (damaged > 0) damages.push(`${damaged} of ${bytes.length} bytes of spool file ${path} are damaged`)
      const file = { path, bytes: bytes.length }
      files.push(file)
      for (const entry of entries) {
        const read = readEntry(instance, entry, file)
        if (read === null) damages.push(`an entry at byte ${entry.at} of spool file ${path} is none of ours`)
        else if ('origin' in read) head = read
        else if ('file' in read) units.push(read)
        else facts = read
      }
    }
    if (head !== null && node !== null && head.origin.node !== node) return null
    for (const damage of damages) this.#options.notes.once(`${damage}; what is missing is counted as lost`)
    if (head === null) {
      this.#options.notes.once(`spool files of ${instance} do not say whose they are: ${paths.join(', ')}; ` +
        'they stay there')
      return null
    }
    const shelf = this.shelf(head.origin)
    shelf.restore(head, facts, files, units)
    return shelf
  }
}

/** The run that the files of a meeting are of; null: none of them knew it. */
export function spooledRun(directory: string): string | null {
  for (const name of namesIn(directory)) {
    const instance = FILE.exec(name)?.[1]
    if (instance === undefined) continue
    const { entries } = scanEntries(instance, readIt(join(directory, name)))
    const last = entries.findLast(({ type }) => type === Entry.origin)
    const run = last === undefined ? null : originOf(instance, last.body)?.origin.run ?? null
    if (run !== null) return run
  }
  return null
}

/** Null: its checksum is right, but what it holds is not what any agent writes. */
function readEntry(
  instance: InstanceId, entry: FoundEntry, file: ShelfFile,
): OriginBody | FactsBody | StoredUnit | null {
  const { at, length, body } = entry
  try {
    switch (entry.type) {
      case Entry.origin: return originOf(instance, body)
      case Entry.facts: return factsOf(instance, body)
      case Entry.skip: {
        const { from, to } = schemas.SKIP.parse({ ...jsonOf<object>(body), instance })
        return { type: 'SKIP', first: from, last: to, file, at, length }
      }
      case Entry.batch: {
        const batch = peekBatch(body)
        if (batch.instance !== instance) return null
        return { type: 'BATCH', first: batch.firstSeq, last: batch.lastSeq, file, at, length }
      }
      default: return null
    }
  } catch {
    return null
  }
}

/** As in an END, but that nothing may be known yet of how the owner left. */
function factsOf(instance: InstanceId, body: Uint8Array): FactsBody {
  const facts = jsonOf<FactsBody>(body)
  const known = facts.departure ?? { exit: null, signal: null, cause: 'unknown' }
  const { seq, logged, lost, refused, at, departure } =
    schemas.END.parse({ ...facts, instance, departure: known })
  const left = facts.departure === null ? null : departure as Departure
  return { seq, logged, lost, refused, at, departure: left }
}

function originOf(instance: InstanceId, body: Uint8Array): OriginBody | null {
  const { origin, ledger, layouts } = jsonOf<OriginBody>(body)
  if (ledger !== null && typeof ledger !== 'string') return null
  const parsed = originSchema.parse(origin)
  return parsed.instance === instance
    ? { origin: parsed, ledger, layouts: layoutsSchema.parse(layouts ?? []) } : null
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function readIt(path: string): Buffer {
  try {
    return readOwn(path, 2 * SPOOL_FILE_BYTES + FRAME_BYTES_MAX)
  } catch {
    return Buffer.alloc(0)
  }
}
