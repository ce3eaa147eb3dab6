/**
 * A file system in memory that knows what is synced and what is not.
 *
 * In: calls of seams/fs.ts. Out: bytes, or the system's error.
 * Invariants: what was synced outlives the power; what was not may be lost or torn; a full disk takes no byte
 * more.
 */
import type { Random } from './random.ts'

export interface File {
  bytes: Buffer
  size: number
  /** What the platter has; null: not even the name. */
  synced: Buffer | null
  /** Open descriptors keep it after its name is gone. */
}

export class SystemError extends Error {
  readonly code: string

  constructor(code: string, call: string, path: string) {
    // Most are asked for and expected: a stack would cost more than the call.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(`${code}: ${call} '${path}'`)
    Error.stackTraceLimit = stackTraceLimit
    this.code = code
  }
}

/** Lock databases and ledgers are no byte files here: SQLite keeps its own promises. */
export interface Lockable { term: number; state: Record<string, string>; holder: object | null }

export class Disk {
  readonly files = new Map<string, File>()
  readonly directories = new Set<string>(['/'])
  readonly locks = new Map<string, Lockable>()
  /** Whole things under a path: ledgers, journals. */
  readonly objects = new Map<string, unknown>()
  full = false
  /** Bytes that it takes all the same before it says so. */
  room = 0
  /** The next syncs fail, so many. */
  failSyncs = 0
  /** A sync takes so long, ms. */
  syncMs = 0

  exists(path: string): boolean {
    return [this.files, this.directories, this.objects, this.locks].some((all) => all.has(path))
  }

  read(path: string): Buffer {
    const file = this.files.get(path)
    if (file === undefined) throw new SystemError('ENOENT', 'open', path)
    return Buffer.from(file.bytes.subarray(0, file.size))
  }

  create(path: string): File {
    if (!this.directories.has(parentOf(path))) throw new SystemError('ENOENT', 'open', path)
    if (this.full) throw new SystemError('ENOSPC', 'open', path)
    const file: File = { bytes: Buffer.alloc(0), size: 0, synced: null }
    this.files.set(path, file)
    return file
  }

  /** How many bytes it took. */
  append(file: File, all: Uint8Array, path: string): number {
    const data = this.full ? all.subarray(0, this.room) : all
    if (this.full) this.room -= data.length
    if (data.length < Math.min(1, all.length)) throw new SystemError('ENOSPC', 'write', path)
    if (file.size + data.length > file.bytes.length) {
      const grown = Buffer.alloc(Math.max(256, 2 * (file.size + data.length)))
      file.bytes.copy(grown, 0, 0, file.size)
      file.bytes = grown
    }
    file.bytes.set(data, file.size)
    file.size += data.length
    return data.length
  }

  sync(file: File, path: string): void {
    if (this.failSyncs > 0) {
      this.failSyncs--
      throw new SystemError('EIO', 'fsync', path)
    }
    file.synced = Buffer.from(file.bytes.subarray(0, file.size))
  }

  list(directory: string): string[] {
    if (!this.directories.has(directory)) throw new SystemError('ENOENT', 'scandir', directory)
    const prefix = directory === '/' ? '/' : `${directory}/`
    const names = new Set<string>()
    for (const path of [...this.files.keys(), ...this.directories, ...this.objects.keys()]) {
      if (!path.startsWith(prefix) || path === '/') continue
      const rest = path.slice(prefix.length)
      if (rest !== '') names.add(rest.split('/')[0]!)
    }
    return [...names].sort()
  }

  makeDirectory(path: string, recursive: boolean): void {
    if (this.directories.has(path)) {
      if (recursive) return
      throw new SystemError('EEXIST', 'mkdir', path)
    }
    const parent = parentOf(path)
    if (!this.directories.has(parent)) {
      if (!recursive) throw new SystemError('ENOENT', 'mkdir', path)
      this.makeDirectory(parent, true)
    }
    if (this.full) throw new SystemError('ENOSPC', 'mkdir', path)
    this.directories.add(path)
  }

  removeDirectory(path: string): void {
    if (!this.directories.has(path)) throw new SystemError('ENOENT', 'rmdir', path)
    if (this.list(path).length > 0) throw new SystemError('ENOTEMPTY', 'rmdir', path)
    this.directories.delete(path)
  }

  /** What was never synced is gone, whole or in part; what was grows back to what the platter has. */
  losePower(random: Random): void {
    for (const [path, file] of this.files) {
      const kept = file.synced?.length ?? 0
      if (file.synced === null && random.chance(0.5)) {
        this.files.delete(path)
        continue
      }
      if (file.size <= kept && file.synced !== null) {
        file.bytes = Buffer.from(file.synced)
        file.size = kept
        continue
      }
      const torn = Buffer.from(file.bytes.subarray(0, kept + random.below(file.size - kept + 1)))
      file.synced?.copy(torn, 0)
      // A sector that never came down.
      if (torn.length > kept && random.chance(0.3)) torn.fill(0, kept + random.below(torn.length - kept))
      file.bytes = torn
      file.size = torn.length
      file.synced = Buffer.from(torn)
    }
    this.full = false
    this.failSyncs = 0
    this.syncMs = 0
  }
}

export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/'
