/**
 * Memory of open rows: blocks cut from slabs and used again, so that a steady stream allocates nothing.
 *
 * In: how many slots a block needs. Out: blocks with empty slots. Size classes are a quarter of an octave
 * apart, so at most a fifth of a block is idle. Invariant: `bytes` is what open blocks hold; free ones are
 * kept for the next.
 */
import { SPARE_BLOCK_BYTES_MAX } from '../limits.ts'
import { HOLDER, SLOT_HEAD, type Block, type Family, type Shape } from './core-model.ts'

/**
 * Doubles per slab (512 KiB): small blocks share one typed array, as thousands of small arrays would cost
 * more.
 */
const SLAB = 65_536
const SMALLEST = 16
/** What a block costs beside its doubles: the object and its place in a map. */
const OVERHEAD_BYTES = 200

interface Piece {
  data: Float64Array
  at: number
}

export class Blocks {
  bytes = 0
  private readonly free = new Map<number, Piece[]>()
  private spare = 0
  private slab = new Float64Array(0)
  private used = 0

  open(shape: Shape, step: number, slots: number, firstAt: number): Block {
    const size = sizeClass(slots * widthOf(shape))
    const { data, at } = this.take(size)
    this.bytes += 8 * size + OVERHEAD_BYTES
    const block: Block = { shape, step, firstAt, open: openFamilies(shape, step).length, data, at, size }
    empty(block, 0)
    return block
  }

  /** Makes room for more slots; what is in stays. */
  grow(block: Block, slots: number): void {
    const had = slotsOf(block)
    const size = sizeClass(slots * widthOf(block.shape))
    const { data, at } = this.take(size)
    data.set(block.data.subarray(block.at, block.at + had * widthOf(block.shape)), at)
    this.give(block)
    this.bytes += 8 * (size - block.size)
    block.data = data
    block.at = at
    block.size = size
    empty(block, had)
  }

  close(block: Block): void {
    this.give(block)
    this.bytes -= 8 * block.size + OVERHEAD_BYTES
  }

  private give(block: Block): void {
    const large = isLarge(block.size)
    if (large && this.spare + 8 * block.size > SPARE_BLOCK_BYTES_MAX) return
    if (large) this.spare += 8 * block.size
    const pieces = this.free.get(block.size)
    const piece = { data: block.data, at: block.at }
    if (pieces === undefined) this.free.set(block.size, [piece])
    else pieces.push(piece)
  }

  private take(size: number): Piece {
    const piece = this.free.get(size)?.pop()
    if (piece !== undefined) {
      if (isLarge(size)) this.spare -= 8 * size
      return piece
    }
    if (isLarge(size)) return { data: new Float64Array(size), at: 0 }
    if (this.used + size > this.slab.length) {
      this.slab = new Float64Array(SLAB)
      this.used = 0
    }
    this.used += size
    return { data: this.slab, at: this.used - size }
  }
}

/** Has a typed array of its own. */
const isLarge = (size: number): boolean => size > SLAB / 4

export const widthOf = (shape: Shape): number => SLOT_HEAD + shape.metrics.length

export const slotsOf = (block: Block): number => Math.floor(block.size / widthOf(block.shape))

/** Whose row of this step is not sealed. */
export function openFamilies(shape: Shape, step: number): Family[] {
  return step > shape.sealedTop ? shape.families : shape.families.filter(({ sealed }) => !sealed.has(step))
}

/** Doubles needed, rounded up to a quarter of an octave. */
function sizeClass(doubles: number): number {
  if (doubles <= SMALLEST) return SMALLEST
  const quarter = (1 << (31 - Math.clz32(doubles))) / 4
  return Math.ceil(doubles / quarter) * quarter
}

function empty(block: Block, from: number): void {
  const width = widthOf(block.shape)
  const slots = slotsOf(block)
  for (let slot = from; slot < slots; slot++) block.data[block.at + slot * width + HOLDER] = 0
}
