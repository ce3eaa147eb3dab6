/**
 * A disk that can lose its power, as a model. Pure.
 *
 * In: operations in order (`apply`), a way to choose (`Fate`). Out: what may be found after the power was cut
 * there.
 * The law of the model, which is what POSIX promises and no more: what was written to a file is there for
 * sure only after a sync of that file; until then each write is there, or not, or some of its sectors are, in
 * any order, and so is each change of length. A name is there for sure only after a sync of its directory;
 * until then a directory has its changes of names up to some one, in order. Files and directories are
 * independent of each other: a name may be there before its bytes, and bytes without a name.
 */
import { basename, dirname } from 'node:path/posix'
import type { Op } from './trace.ts'

export const SECTOR_BYTES = 512

/** What becomes of everything that was not synced. */
export interface Fate {
  /** How many of `n` changes of names in one directory are there. */
  names(n: number): number
  /** Whether a change of a file is there: 0 no, 1 yes, between: each sector of it with this probability. */
  change(index: number, n: number): number
  random(): number
}

type Change = { at: number; data: Buffer } | { size: number }

class File {
  /** Synced. */
  #bytes: Buffer = Buffer.alloc(0)
  #changes: Change[] = []

  get clean(): boolean { return this.#changes.length === 0 }

  change(change: Change): void { this.#changes.push(change) }

  sync(): void {
    this.#bytes = this.now()
    this.#changes = []
  }

  /** With all its changes, as a process reads it. */
  now(): Buffer {
    return this.#changes.reduce<Buffer>((bytes, change) => changed(bytes, change), this.#bytes)
  }

  after(fate: Fate): Buffer {
    const n = this.#changes.length
    return this.#changes.reduce<Buffer>((bytes, change, i) => {
      const part = fate.change(i, n)
      if (part >= 1) return changed(bytes, change)
      return part <= 0 ? bytes : torn(bytes, change, part, fate.random)
    }, this.#bytes)
  }
}

function changed(bytes: Buffer, change: Change): Buffer {
  if ('size' in change) {
    return change.size <= bytes.length ? bytes.subarray(0, change.size)
      : Buffer.concat([bytes, Buffer.alloc(change.size - bytes.length)])
  }
  const { at, data } = change
  const all = Buffer.alloc(Math.max(bytes.length, at + data.length))
  bytes.copy(all)
  data.copy(all, at)
  return all
}

/** Some sectors of it; the file may have its new length although the bytes are not there. */
function torn(bytes: Buffer, change: Change, part: number, random: () => number): Buffer {
  if ('size' in change) return random() < part ? changed(bytes, change) : bytes
  const { at, data } = change
  let all = bytes
  for (let from = at; from < at + data.length;) {
    const to = Math.min(at + data.length, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES)
    if (random() < part) all = changed(all, { at: from, data: data.subarray(from - at, to - at) })
    from = to
  }
  const end = at + data.length
  return all.length < end && random() < part ? changed(all, { size: end }) : all
}

type Node = File | Directory
type Naming = { add?: [name: string, node: Node]; remove?: string }

class Directory {
  #synced = new Map<string, Node>()
  #namings: Naming[] = []
  readonly now = new Map<string, Node>()

  name(naming: Naming): void {
    this.#namings.push(naming)
    rename(this.now, naming)
  }

  sync(): void {
    this.#synced = new Map(this.now)
    this.#namings = []
  }

  after(fate: Fate): Map<string, Node> {
    const names = new Map(this.#synced)
    const n = this.#namings.length
    for (const naming of this.#namings.slice(0, n === 0 ? 0 : fate.names(n))) rename(names, naming)
    return names
  }
}

function rename(names: Map<string, Node>, { add, remove }: Naming): void {
  if (remove !== undefined) names.delete(remove)
  if (add !== undefined) names.set(...add)
}

/** Paths below the root; `null` is a directory. */
export type Image = Map<string, Buffer | null>

export class Disk {
  readonly #root: string
  readonly #top = new Directory()
  readonly #files = new Map<string, File>()

  /** `root` itself is safe. */
  constructor(root: string) {
    this.#root = root
  }

  apply(op: Op): void {
    switch (op.type) {
      case 'create': {
        const file = new File()
        this.#files.set(op.file, file)
        return this.#parent(op.path).name({ add: [basename(op.path), file] })
      }
      case 'write': return this.#file(op).change({ at: op.at, data: op.data })
      case 'truncate': return this.#file(op).change({ size: op.size })
      case 'sync': {
        // A number of a file that is gone may be a directory's now.
        const node = this.#find(op.path)
        return (node instanceof Directory ? node : this.#file(op)).sync()
      }
      case 'mkdir': return this.#parent(op.path).name({ add: [basename(op.path), new Directory()] })
      case 'unlink': case 'rmdir': return this.#parent(op.path).name({ remove: basename(op.path) })
      case 'link': return this.#parent(op.to).name({ add: [basename(op.to), this.#node(op.path)] })
      case 'rename': return this.#rename(op.path, op.to)
    }
  }

  /** A file as a process reads it now. */
  read(path: string): Buffer | null {
    const node = this.#find(path)
    return node instanceof File ? node.now() : null
  }

  /** What a process reads now. */
  now(): Image {
    return this.#walk((directory) => directory.now, (file) => file.now())
  }

  /** What is found after the power was cut now. */
  after(fate: Fate): Image {
    return this.#walk((directory) => directory.after(fate), (file) => file.after(fate))
  }

  #rename(from: string, to: string): void {
    const node = this.#node(from)
    const [source, target] = [this.#parent(from), this.#parent(to)]
    const add: [string, Node] = [basename(to), node]
    if (source === target) return source.name({ add, remove: basename(from) })
    target.name({ add })
    source.name({ remove: basename(from) })
  }

  #walk(namesOf: (directory: Directory) => Map<string, Node>, bytesOf: (file: File) => Buffer): Image {
    const image: Image = new Map()
    const visit = (directory: Directory, path: string): void => {
      image.set(path, null)
      for (const [name, node] of namesOf(directory)) {
        if (node instanceof File) image.set(`${path}/${name}`, bytesOf(node))
        else visit(node, `${path}/${name}`)
      }
    }
    visit(this.#top, this.#root)
    return image
  }

  #file(op: { file: string; path: string }): File {
    const file = this.#files.get(op.file)
    if (file === undefined) throw new Error(`${op.path} was changed before it was created`)
    return file
  }

  #parent(path: string): Directory {
    const node = this.#node(dirname(path))
    if (node instanceof Directory) return node
    throw new Error(`${dirname(path)} is no directory`)
  }

  #node(path: string): Node {
    const node = this.#find(path)
    if (node === undefined) throw new Error(`${path} is not there`)
    return node
  }

  #find(path: string): Node | undefined {
    if (path === this.#root) return this.#top
    const parent = this.#find(dirname(path))
    return parent instanceof Directory ? parent.now.get(basename(path)) : undefined
  }
}
