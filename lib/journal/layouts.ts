/**
 * The layouts that a writer has defined: their names for reports of losses, their records for the repeats.
 *
 * Repeats (DESIGN 5, FORMAT.md): a reader that lost a definition to damage finds it again at the next lap or
 * segment.
 */
import { RECORD_BYTES_MAX } from '../limits.ts'
import { HEAD_BYTES, pad8 } from './format.ts'

export interface Definition {
  id: number
  names: readonly string[]
  body: Uint8Array
  time: number
}

/** Repeated definitions may take this part of the space that they precede. */
const REPEAT_PART = 8

export class Layouts {
  readonly #names = new Map<number, readonly string[]>()
  readonly #written: Definition[] = []
  #bytes = 0

  add(definition: Definition): void {
    this.#names.set(definition.id, definition.names)
  }

  /** From now on it is repeated. */
  wasWritten(definition: Definition): void {
    this.#written.push(definition)
    this.#bytes += HEAD_BYTES + pad8(definition.body.length)
  }

  names(id: number): readonly string[] {
    return this.#names.get(id) ?? []
  }

  /** Bytes of a repeat at the start of `space` bytes; 0: too much of it, so no repeat. */
  repeatBytes(space: number): number {
    return this.#bytes * REPEAT_PART <= space ? this.#bytes : 0
  }

  written(): readonly Definition[] {
    return this.#written
  }
}

/** Names of one report of losses take at most this much, so that the report fits in a record. */
const REPORT_BYTES_MAX = RECORD_BYTES_MAX / 4

/** Points lost and not yet reported: counted by layout when they are lost, by name when they are reported. */
export class Losses {
  readonly #byLayout = new Map<number, number>()
  readonly #byName = new Map<string, number>()

  get some(): boolean {
    return this.#byLayout.size + this.#byName.size > 0
  }

  add(layout: number, count: number): void {
    this.#byLayout.set(layout, (this.#byLayout.get(layout) ?? 0) + count)
  }

  /**
   * Calls `write` with one part of the losses at a time; what it accepts is forgotten, its first refusal
   * ends.
   */
  report(layouts: Layouts, write: (points: Record<string, number>) => boolean): void {
    this.#name(layouts)
    while (this.#byName.size > 0) {
      // No prototype: a metric may be called __proto__.
      const points: Record<string, number> = Object.create(null)
      let bytes = 0
      for (const [name, count] of this.#byName) {
        if (bytes > REPORT_BYTES_MAX) break
        points[name] = count
        bytes += name.length
      }
      if (!write(points)) return
      for (const name of Object.keys(points)) this.#byName.delete(name)
    }
  }

  /** A lost call lost one point of every name of its layout. */
  #name(layouts: Layouts): void {
    for (const [layout, count] of this.#byLayout) {
      const names = layouts.names(layout)
      if (names.length === 0) this.#addName('', count)
      for (const name of names) this.#addName(name, count / names.length)
    }
    this.#byLayout.clear()
  }

  #addName(name: string, count: number): void {
    this.#byName.set(name, (this.#byName.get(name) ?? 0) + count)
  }
}
