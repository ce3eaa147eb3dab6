/**
 * Interning of the key sets of log() calls. A shape is an ordered list of names; it maps to one layout of the
 * journal, or to several when it does not fit into one or when there are too many shapes already.
 */
import { Buffer } from 'node:buffer'
import { LAYOUT_NAMES_MAX, LAYOUTS_MAX, NAMES_MAX, RECORD_BYTES_MAX } from '../limits.ts'

export interface Layout {
  id: number
  names: readonly string[]
}

export interface Shape {
  names: readonly string[]
  layouts: readonly Layout[]
  /** The only layout's id, or -1. */
  id: number
  /** The shape that followed the last time that was guessed wrong; null: itself is the guess. */
  next: Shape | null
}

/** Half of a record, since names are counted as JSON and the definition has a frame of its own. */
const DEFINITION_BYTES_MAX = RECORD_BYTES_MAX / 2

export class Shapes {
  #shapes = new Map<string, Shape>()
  #singles = new Map<string, Layout>()
  #names = new Set<string>()
  #nextId = 1
  /** Names in all layouts, with repetition: what the shapes cost in memory. */
  #held = 0
  readonly #define: (layout: Layout) => void
  readonly #max: { names: number; layouts: number }

  /** `define` is told each new layout once, before it is used. */
  constructor(define: (layout: Layout) => void, max = { names: NAMES_MAX, layouts: LAYOUTS_MAX }) {
    this.#define = define
    this.#max = max
  }

  /** Whether a value of this name may be taken; false once there are too many others. */
  admit(name: string): boolean {
    if (this.#names.has(name)) return true
    if (this.#names.size >= this.#max.names) return false
    this.#names.add(name)
    return true
  }

  /** The shape of these names, which were all admitted. Length prefixes keep ['a','b'] and ['a1:b'] apart. */
  of(names: readonly string[]): Shape {
    let key = ''
    for (const name of names) key += `${name.length}:${name}`
    const known = this.#shapes.get(key)
    if (known !== undefined) return known
    if (this.#nextId > this.#max.layouts || this.#held + names.length > this.#max.names) {
      return { names, layouts: names.map((name) => this.#single(name)), id: -1, next: null }
    }
    const layouts = split(names).map((part) => this.#layout(part))
    const shape: Shape = { names, layouts, id: layouts.length === 1 ? layouts[0]!.id : -1, next: null }
    this.#shapes.set(key, shape)
    this.#held += names.length
    return shape
  }

  #single(name: string): Layout {
    let layout = this.#singles.get(name)
    if (layout === undefined) this.#singles.set(name, layout = this.#layout([name]))
    return layout
  }

  #layout(names: readonly string[]): Layout {
    const layout = { id: this.#nextId++, names }
    this.#define(layout)
    return layout
  }
}

function split(names: readonly string[]): (readonly string[])[] {
  const parts: string[][] = []
  let part: string[] = []
  let bytes = 0
  for (const name of names) {
    const size = Buffer.byteLength(JSON.stringify(name)) + 1
    if (part.length === LAYOUT_NAMES_MAX || (bytes + size > DEFINITION_BYTES_MAX && part.length > 0)) {
      parts.push(part)
      part = []
      bytes = 0
    }
    part.push(name)
    bytes += size
  }
  parts.push(part)
  return parts
}
