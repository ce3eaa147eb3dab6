/**
 * lib/ledger: SQLite's promises without SQLite. A commit is whole or absent, on disk when it returns; a
 * second writer finds its position taken; a lock is one process's until that is gone.
 */
import { RankzeroError } from '../../../lib/errors.ts'
import type { Entry, EntryDraft, Ledger } from '../../../lib/ledger/ledger.ts'
import type { LockDb } from '../../../lib/ledger/lockdb.ts'
import { context, diskOf, me, step } from '../context.ts'
import type { Disk, Lockable } from '../disk.ts'
import type { Process } from '../world.ts'

/** What is on disk. */
export class LedgerFile {
  readonly id: string
  readonly path: string
  readonly entries: Entry[] = []
  readonly meta: Record<string, string> = {}

  constructor(id: string, path: string) {
    this.id = id
    this.path = path
    this.meta['ledger'] = id
  }
}

export function openLedger(path: string, options: { readonly?: boolean } = {}): Ledger {
  const world = step()
  const disk = diskOf(path)
  let file = disk.objects.get(path) as LedgerFile | undefined
  if (file === undefined) {
    if (options.readonly === true || disk.full) throw failed(path, disk.full ? 'ENOSPC' : 'ENOENT')
    file = new LedgerFile(world.random.hex(16), path)
    disk.objects.set(path, file)
    context().laws.ledgers.push(file)
  }
  return new SimLedger(file, disk)
}

export const readLedger = (file: LedgerFile): Ledger => new SimLedger(file, null)

const failed = (path: string, code: string): RankzeroError => new RankzeroError(
  'LEDGER', `cannot write the ledger ${path}: ${code}`, 'free disk space',
  { cause: Object.assign(new Error(code), { code }) })

class SimLedger implements Ledger {
  readonly id: string
  readonly path: string
  readonly #file: LedgerFile
  readonly #disk: Disk | null
  #pos: number
  #term = Infinity

  constructor(file: LedgerFile, disk: Disk | null) {
    this.id = file.id
    this.path = file.path
    this.#file = file
    this.#disk = disk
    this.#pos = file.entries.length
  }

  append(drafts: readonly EntryDraft[]): number {
    const world = step()
    world.spend(this.#disk!.syncMs)
    if (this.#disk!.full) throw failed(this.path, 'ENOSPC')
    const { entries } = this.#file
    this.#checkTerm()
    if (entries.length !== this.#pos) throw failed(this.path, 'another process writes it')
    for (const draft of drafts) {
      const pos = ++this.#pos
      entries.push(draft.type === 'batch' ? { ...draft, data: Uint8Array.from(draft.data), pos }
        : { ...draft, pos, body: JSON.parse(JSON.stringify(draft.body)) as unknown })
    }
    context().laws.appended(this.#file, entries.length - drafts.length, me())
    step()
    return this.#pos
  }

  * entries(fromPos = 1): Generator<Entry> {
    for (let i = fromPos - 1; i < this.#file.entries.length; i++) yield this.#file.entries[i]!
  }

  meta(): Record<string, string> {
    return { ...this.#file.meta }
  }

  setMeta(key: string, value: string): void {
    step()
    if (this.#disk!.full) throw failed(this.path, 'ENOSPC')
    this.#checkTerm()
    this.#file.meta[key] = value
  }

  term(): number {
    return Number(this.#file.meta['term'] ?? 0)
  }

  fence(term: number): void {
    this.#term = term
    this.setMeta('term', String(term))
    this.#pos = this.#file.entries.length
  }

  #checkTerm(): void {
    if (this.term() <= this.#term) return
    throw new RankzeroError('FENCED', `${this.path} has a higher term`, 'nothing')
  }

  close(): void {}
}

/** No byte changes by itself on this disk. */
export const isDamaged = (): boolean => false

export function tryLock(path: string): LockDb | null {
  step()
  const disk = diskOf(path)
  const known = disk.locks.get(path)
  if (known !== undefined && known.holder !== null) return null
  if (known === undefined && disk.full) throw failed(path, 'ENOSPC')
  const lock = known ?? { term: 0, state: {}, holder: null }
  disk.locks.set(path, lock)
  return new SimLock(path, disk, lock, me())
}

export const isHeld = (path: string): boolean => (diskOf(path).locks.get(path)?.holder ?? null) !== null

class SimLock implements LockDb {
  readonly path: string
  readonly aside = null
  readonly #disk: Disk
  readonly #lock: Lockable
  readonly #owner: Process
  readonly #free: () => void

  constructor(path: string, disk: Disk, lock: Lockable, owner: Process) {
    this.path = path
    this.#disk = disk
    this.#lock = lock
    this.#owner = owner
    lock.holder = owner
    this.#free = () => {
      if (lock.holder === owner) lock.holder = null
    }
    owner.cleanups.add(this.#free)
  }

  get term(): number {
    return this.#lock.term
  }

  state(): Record<string, string> {
    return { ...this.#lock.state }
  }

  advance(state: Record<string, string>, above = 0): number {
    step()
    if (this.#disk.full) throw failed(this.path, 'ENOSPC')
    if (this.#lock.holder !== this.#owner) throw failed(this.path, 'the lock is another process\'s')
    const term = Math.max(this.#lock.term, above) + 1
    context().laws.keys.advanced(this.path, { ...this.#lock.state }, state, term)
    this.#lock.state = { ...state }
    this.#lock.term = term
    step()
    return this.#lock.term
  }

  release(options: { unlink?: boolean } = {}): void {
    if (!this.#owner.alive) return
    this.#free()
    this.#owner.cleanups.delete(this.#free)
    if (options.unlink === true && this.#lock.term === 0) this.#disk.locks.delete(this.path)
  }
}
