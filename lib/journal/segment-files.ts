/**
 * Segments as readers see them: found by number in any of the directories that the header names, one open at
 * a time.
 */
import { closeSync, existsSync, fstatSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import { openOwn } from '../files.ts'
import { removeFile } from './process.ts'
import { segmentName } from './segments.ts'

export class SegmentFiles {
  readonly #instance: string
  readonly #directories: readonly string[]
  #fd = -1
  #n = 0

  constructor(instance: string, directories: readonly string[]) {
    this.#instance = instance
    this.#directories = directories
  }

  find(n: number): string | null {
    for (const directory of this.#directories) {
      const path = join(directory, segmentName(this.#instance, n))
      if (existsSync(path)) return path
    }
    return null
  }

  /** Numbers of all segments that are there, ascending. */
  list(): number[] {
    const numbers = new Set<number>()
    for (const directory of this.#directories) {
      for (const name of namesIn(directory)) {
        const [instance, n, ending] = name.split('.')
        if (instance === this.#instance && ending === 'seg') numbers.add(Number(n))
      }
    }
    return [...numbers].sort((a, b) => a - b)
  }

  /** Descriptor of segment n, valid until another is opened; -1 when it is not there. */
  open(n: number): number {
    if (this.#fd >= 0 && this.#n === n) return this.#fd
    this.close()
    const path = this.find(n)
    if (path === null) return -1
    try {
      this.#fd = openOwn(path, 'r')
    } catch (error) {
      // The writer takes away a segment that it could not write to.
      if (errnoOf(error) === 'ENOENT') return -1
      throw error
    }
    this.#n = n
    return this.#fd
  }

  /** Size of segment n and whether it still has a name. */
  facts(n: number): { bytes: number; linked: boolean } {
    const fd = this.open(n)
    if (fd < 0) return { bytes: 0, linked: false }
    const { size, nlink } = fstatSync(fd)
    return { bytes: size, linked: nlink > 0 }
  }

  /** Bytes of the segments from n on. */
  bytesFrom(n: number): number {
    let sum = 0
    for (const other of this.list()) {
      const path = other >= n ? this.find(other) : null
      if (path !== null) sum += statSync(path, { throwIfNoEntry: false })?.size ?? 0
    }
    return sum
  }

  remove(n: number): void {
    if (this.#n === n) this.close()
    for (const directory of this.#directories) removeFile(join(directory, segmentName(this.#instance, n)))
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
