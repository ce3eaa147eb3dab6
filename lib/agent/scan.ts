import { hostname } from 'node:os'
import { messageOf } from '../errors.ts'
import { listJournals, openReader, type JournalReader } from '../journal/index.ts'
import type { Notes } from './notes.ts'

export interface ScanOptions {
  /** Shared memory first, then the pending directories. */
  directories: readonly string[]
  meeting: string
  notes: Notes
}

/**
 * Finds the journals of one meeting on this node. Those of other meetings, and of other nodes that share a
 * pending directory, are not touched; a damaged one is told once and left where it is.
 */
export class Scanner {
  readonly #options: ScanOptions
  /**
   * Paths that were looked into; names have a random instance id, so a path never comes to mean something
   * else.
   */
  #seen = new Set<string>()

  constructor(options: ScanOptions) {
    this.#options = options
  }

  /** Readers of journals that were not there at the last look. */
  look(): JournalReader[] {
    const { directories, notes } = this.#options
    const paths = directories.flatMap((directory) => listJournals(directory, (why) => notes.once(why)))
    const fresh = paths.filter((path) => !this.#seen.has(path))
    this.#seen = new Set(paths)
    return fresh.flatMap((path) => this.#open(path) ?? [])
  }

  #open(path: string): JournalReader | null {
    try {
      const reader = openReader(path)
      const { meeting, node } = reader.origin
      if (meeting === this.#options.meeting && node === hostname()) return reader
      reader.close()
    } catch (error) {
      // Renamed into sight when whole and removed when delivered: what is gone again was another agent's
      // business.
      if (listed(path)) this.#options.notes.once(`${messageOf(error)}; it is left at ${path}`)
    }
    return null
  }
}

const listed = (path: string): boolean => listJournals(path.slice(0, path.lastIndexOf('/'))).includes(path)
