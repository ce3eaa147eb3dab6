/**
 * The header's cells from the owner's side: its counters out, the agent's cells in.
 *
 * With a mapping `cells` is the file itself; without, a copy: the agent's part is read anew at each question,
 * the counters are written by `store`. No call throws: a header that cannot be read or written leaves what
 * was known.
 */
import { readSync, writeSync } from 'node:fs'
import { AGENT, AGENT_CELLS, AGENT_COPY, HEADER, OWNER_CELLS, PAGE_BYTES, RUN_BYTES_MAX } from './format.ts'

export class OwnerHeader {
  /** Indexed by OWNER and AGENT of format.ts. */
  cells: Float64Array
  /** The header's file, or -1: the cells are its mapping, or all that is left of it. */
  #fd: number
  /** Last values of the agent's cells that were read whole. */
  readonly #known = new Float64Array(AGENT_CELLS)

  constructor(mapped: Float64Array | null, fd: number) {
    this.cells = mapped ?? new Float64Array(PAGE_BYTES / 8)
    this.#fd = mapped === null ? fd : -1
  }

  /** Of the two copies the later written is read first: if they agree, neither is half written. */
  agent(cell: number): number {
    this.#load()
    const copy = this.cells[cell + AGENT_COPY]!
    const value = this.cells[cell]!
    if (value === copy) this.#known[cell - AGENT.tail] = value
    return this.#known[cell - AGENT.tail]!
  }

  runId(): string | null {
    this.#load()
    const bytes = this.#bytes()
    const length = bytes[HEADER.run]!
    if (length === 0 || length > RUN_BYTES_MAX) return null
    return Buffer.from(bytes.slice(HEADER.run + 4, HEADER.run + 4 + length)).toString()
  }

  /** Writes the counters; with a mapping they are there already. */
  store(): void {
    if (this.#fd < 0) return
    try {
      writeSync(this.#fd, this.#bytes(), HEADER.owner, 8 * OWNER_CELLS, HEADER.owner)
    } catch {
      // Readers count the records themselves; only the numbers of lost and refused points come late.
    }
  }

  /** Mapping and file are about to go; the answers stay. */
  detach(): void {
    this.cells = this.cells.slice(0, PAGE_BYTES / 8)
    this.#fd = -1
  }

  #load(): void {
    if (this.#fd < 0) return
    try {
      readSync(this.#fd, this.#bytes(), HEADER.agent, HEADER.text - HEADER.agent, HEADER.agent)
    } catch {
      // The last known values hold.
    }
  }

  #bytes(): Uint8Array {
    return new Uint8Array(this.cells.buffer, this.cells.byteOffset, PAGE_BYTES)
  }
}
