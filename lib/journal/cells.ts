/**
 * The mutable cells of the header, from the reader's side: the owner's counters, and the agent's block.
 *
 * Invariants: the agent's block is read before it is written and its cells only rise; both copies are written
 * in one call, first copy first, so that a polling owner can tell a half-written one.
 */
import { readSync, writeSync } from 'node:fs'
import { AGENT, AGENT_CELLS, AGENT_COPY, HEADER, OWNER, OWNER_CELLS } from './format.ts'
import type { OwnerCells } from './cursor.ts'

const FIRST = OWNER.even
const cells = new Float64Array(OWNER_CELLS)
const bytes = new Uint8Array(cells.buffer)
const again = new Float64Array(OWNER_CELLS)
const bytesAgain = new Uint8Array(again.buffer)
/** A writer in full flight changes its cells between any two looks. */
const LOOKS_MAX = 8

/** Counters that belong together: the cells are read until two looks agree, a few times at most. */
export function readOwner(fd: number): OwnerCells {
  readSync(fd, bytes, 0, bytes.length, HEADER.owner)
  let whole = false
  for (let look = 0; look < LOOKS_MAX && !whole; look++) {
    readSync(fd, bytesAgain, 0, bytesAgain.length, HEADER.owner)
    whole = cells.every((value, i) => value === again[i])
    cells.set(again)
  }
  // No checksum covers them: what is no count claims nothing, and the records themselves are counted.
  cells.forEach((value, i) => { if (!(Number.isSafeInteger(value) && value >= 0)) cells[i] = 0 })
  const even = OWNER.even - FIRST
  const odd = OWNER.odd - FIRST
  const ahead = cells[odd]! - cells[even]!
  // The two differ by one; if they do not, one is damaged or half written, and the lower claims less.
  const higher = ahead > 0 ? odd : even
  const pair = Math.abs(ahead) > 1 ? even + odd - higher : higher
  return {
    whole,
    seq: cells[pair]!,
    points: cells[pair + 1]!,
    lost: cells[OWNER.lost - FIRST]!,
    refused: cells[OWNER.refused - FIRST]!,
    epoch: cells[OWNER.epoch - FIRST]!,
    head: cells[OWNER.head - FIRST]!,
    closed: cells[OWNER.closed - FIRST] === 1,
  }
}

/** Indexes in the block. */
export const CELL = {
  tail: 0,
  trimmed: AGENT.trimmed - AGENT.tail,
  points: AGENT.points - AGENT.tail,
  acked: AGENT.acked - AGENT.tail,
  overflowDone: AGENT.overflowDone - AGENT.tail,
  beat: AGENT.beat - AGENT.tail,
} as const

export class AgentBlock {
  readonly #fd: number
  readonly #now = new Float64Array(AGENT_CELLS)
  readonly #file = new Float64Array(AGENT_COPY + AGENT_CELLS)

  constructor(fd: number) {
    this.#fd = fd
    this.#load()
  }

  get(cell: number): number {
    return this.#now[cell]!
  }

  raise(changes: readonly (readonly [cell: number, value: number])[]): void {
    this.#load()
    const now = this.#now
    for (const [cell, value] of changes) if (value > now[cell]!) now[cell] = value
    this.#file.set(now)
    this.#file.set(now, AGENT_COPY)
    writeSync(this.#fd, new Uint8Array(this.#file.buffer), 0, this.#file.byteLength, HEADER.agent)
  }

  /** Copies that differ were damaged or cut short: the lower one is safe. */
  #load(): void {
    const file = this.#file
    readSync(this.#fd, new Uint8Array(file.buffer), 0, file.byteLength, HEADER.agent)
    for (let i = 0; i < AGENT_CELLS; i++) {
      const value = Math.min(file[i]!, file[i + AGENT_COPY]!)
      if (value > this.#now[i]! && value <= Number.MAX_SAFE_INTEGER) this.#now[i] = value
    }
  }
}
