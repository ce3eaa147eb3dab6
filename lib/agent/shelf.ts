/**
 * Agent, one instance's part of the spool: its files, and an index of the units in them.
 * Invariant: units are in seq order; `last` is the last seq that is on disk, 0 for none.
 */
import {
  closeSync, existsSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, renameSync, rmSync,
  statSync, writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { errnoOf } from '../errors.ts'
import { openOwn } from '../files.ts'
import { syncDirectory } from '../ledger/durable.ts'
import { SPOOL_FILE_BYTES } from '../limits.ts'
import type { InstanceId, Origin } from '../record/index.ts'
import {
  encodeEntry, encodeJsonEntry, Entry, entryAt, jsonOf, type FactsBody, type OriginBody, type SkipBody,
} from './core-spool.ts'
import type { Layout } from '../wire/index.ts'
import type { Unit } from './unit.ts'

/** What a shelf needs of the spool that it is part of. */
export interface ShelfSpool {
  /** Bytes on disk, of all shelves. */
  bytes: number
  /** Where a new file goes. @throws the system's error when no directory takes one. */
  directory(): string
  /** The shelf is empty for good. */
  forget(instance: InstanceId): void
}

export interface ShelfFile {
  path: string
  bytes: number
}

/** At the end of the name of a file that another node's agent is about to delete. */
const TAKEN = '.taken'

/** Where a unit lies; its body is read when it is sent. */
export interface StoredUnit {
  readonly type: 'BATCH' | 'SKIP'
  readonly first: number
  readonly last: number
  readonly file: ShelfFile
  readonly at: number
  readonly length: number
}

export class Shelf {
  readonly origin: Origin
  /** The ledger that acknowledged what lies before; for the origin entry of new files. */
  ledger: string | null = null
  facts: FactsBody | null = null
  readonly layouts = new Map<number, Layout>()
  readonly #spool: ShelfSpool
  #files: ShelfFile[] = []
  #units: StoredUnit[] = []
  #next = 1
  /** The file that is appended to: only ever one that this agent made, so a torn tail is never continued. */
  #open: { file: ShelfFile; fd: number } | null = null
  /** Of an agent before this one, which may have died before its fsync. */
  #unsynced: ShelfFile[] = []

  constructor(origin: Origin, spool: ShelfSpool) {
    this.origin = origin
    this.#spool = spool
  }

  get first(): number { return this.#units[0]?.first ?? 0 }
  get last(): number { return this.#units.at(-1)?.last ?? 0 }
  get empty(): boolean { return this.#files.length === 0 }

  restore(
    { ledger, layouts = [] }: OriginBody, facts: FactsBody | null, files: ShelfFile[],
    units: StoredUnit[],
  ): void {
    this.ledger = ledger
    for (const layout of layouts) this.layouts.set(layout.id, layout)
    this.facts = facts
    this.#files.push(...files)
    this.#unsynced.push(...files)
    this.#units = [...this.#units, ...units].sort((a, b) => a.first - b.first)
    for (const { path, bytes } of files) {
      this.#next = Math.max(this.#next, Number(basename(path).split('.')[1]) + 1)
      this.#spool.bytes += bytes
    }
  }

  /**
   * Writes the units and the facts, with fsync. @throws the system's error; then nothing of them is on disk.
   */
  append(units: readonly Unit[], facts: FactsBody): void {
    const { instance } = this.origin
    this.settle()
    const { file, fd } = this.#writable()
    const parts: Uint8Array[] = []
    const placed: StoredUnit[] = []
    let at = file.bytes
    for (const unit of units) {
      const { type, first, last } = unit
      const part = unit.type === 'BATCH'
        ? encodeEntry(instance, Entry.batch, unit.body)
        : encodeJsonEntry(instance, Entry.skip, unit.body)
      placed.push({ type, first, last, file, at, length: part.length })
      parts.push(part)
      at += part.length
    }
    parts.push(encodeJsonEntry(instance, Entry.facts, facts))
    this.#write(fd, file, Buffer.concat(parts))
    this.#units.push(...placed)
    this.facts = facts
  }

  /** After this, all that was found here is on disk. @throws the system's error. */
  settle(): void {
    for (; this.#unsynced.length > 0; this.#unsynced.pop()) {
      const { path } = this.#unsynced.at(-1)!
      // Gone when another node's agent has delivered it.
      if (!existsSync(path)) continue
      const fd = openOwn(path, 'r')
      try {
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
    }
  }

  /**
   * The run that took it. Files that were begun before say so too: without the journal, which goes with the
   * power, they would be offered to the next run. @throws the system's error.
   */
  joined(run: string): void {
    if (this.origin.run !== null) return
    this.origin.run = run
    if (this.#open !== null) this.#write(this.#open.fd, this.#open.file, this.#whose())
    else if (this.facts !== null) this.append([], this.facts)
  }

  /** The first unit that ends at or after `seq`; null when nothing such is on disk. */
  covering(seq: number): StoredUnit | null {
    return this.#units.find((unit) => unit.last >= seq) ?? null
  }

  /** The unit's body, checked again; null when the disk does not give it back, and then it is forgotten. */
  load(stored: StoredUnit): Uint8Array | SkipBody | null {
    const bytes = Buffer.alloc(stored.length)
    try {
      const fd = openOwn(stored.file.path, 'r')
      try {
        readSync(fd, bytes, 0, stored.length, stored.at)
      } finally {
        closeSync(fd)
      }
    } catch {
      // An unreadable file and a damaged one come to the same.
    }
    const entry = entryAt(this.origin.instance, bytes, 0)
    if (entry) return stored.type === 'BATCH' ? entry.body : jsonOf<SkipBody>(entry.body)
    this.#units = this.#units.filter((unit) => unit !== stored)
    return null
  }

  /**
   * Deletes files whose units are all ≤ seq; the newest one has the last facts, which only a journal makes
   * needless.
   */
  acked(seq: number, keepFacts: boolean): void {
    if (this.#units.length === 0 || this.first > seq) return
    this.#units = this.#units.filter((unit) => unit.last > seq)
    for (const file of keepFacts ? this.#files.slice(0, -1) : this.#files) {
      if (!this.#holds(file)) this.#delete(file)
    }
  }

  /**
   * Deletes everything: the END of the instance is durable at the head. `isForeign`: its own node's agent may
   * be at work on it; what that has appended meanwhile stays, and what was not delivered.
   */
  remove(isForeign: boolean): void {
    this.close()
    for (const file of [...this.#files]) {
      if (!isForeign || (!this.#holds(file) && taken(file))) this.#delete(file)
    }
    this.#units = []
    this.#spool.forget(this.origin.instance)
  }

  close(): void {
    if (this.#open) closeSync(this.#open.fd)
    this.#open = null
  }

  /** Something that is not acknowledged. */
  #holds(file: ShelfFile): boolean {
    return this.#units.some((unit) => unit.file === file)
  }

  #delete(file: ShelfFile): void {
    if (this.#open?.file === file) this.close()
    rmSync(file.path, { force: true })
    this.#files = this.#files.filter((other) => other !== file)
    this.#spool.bytes -= file.bytes
  }

  #writable(): { file: ShelfFile; fd: number } {
    if (this.#open && this.#open.file.bytes < SPOOL_FILE_BYTES) return this.#open
    this.close()
    const directory = this.#spool.directory()
    const path = join(directory, `${this.origin.instance}.${this.#next++}.spool`)
    const made = { file: { path, bytes: 0 }, fd: openSync(path, 'ax', 0o600) }
    this.#open = made
    this.#files.push(made.file)
    try {
      this.#write(made.fd, made.file, this.#whose())
      syncDirectory(dirname(path))
    } catch (error) {
      this.#delete(made.file)
      throw error
    }
    return made
  }

  #whose(): Uint8Array {
    const { origin, ledger, layouts } = this
    const body = { origin, ledger, layouts: [...layouts.values()] } satisfies OriginBody
    return encodeJsonEntry(origin.instance, Entry.origin, body)
  }

  #write(fd: number, file: ShelfFile, bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done)
      fsyncSync(fd)
      // Another node's agent has taken the name away, and deletes it without a further look.
      statSync(file.path)
    } catch (error) {
      // A part of it may be there: cut it off. After a failed fsync nobody knows what the file holds: never
      // append again.
      if (fstatSync(fd).size > file.bytes) ftruncateSync(fd, file.bytes)
      this.close()
      throw error
    }
    file.bytes += bytes.length
    this.#spool.bytes += bytes.length
  }
}

/**
 * Takes its name away, and only then looks whether it has grown: its agent looks in the other order, so that
 * an append is either seen here or fails there. False: it has grown.
 */
function taken(file: ShelfFile): boolean {
  const { path, bytes } = file
  if (path.endsWith(TAKEN)) return true
  try {
    renameSync(path, path + TAKEN)
  } catch (error) {
    // Its own agent has delivered it too.
    if (errnoOf(error) === 'ENOENT') return true
    throw error
  }
  // Opened, as another node's size is seen late without that.
  const fd = openOwn(path + TAKEN, 'r')
  const { size } = fstatSync(fd)
  closeSync(fd)
  if (size !== bytes) renameSync(path + TAKEN, path)
  else file.path += TAKEN
  return size === bytes
}
