/**
 * Space in the mapped ring: where the next record may go. Offsets grow for ever; their place is offset %
 * bytes.
 *
 * In: the agent's tail. Out: `word` (where) and `room` (contiguous free bytes there).
 * Invariants: a record never wraps; bytes from tail to head are never written again before the agent raised
 * the tail.
 */
import { Kind } from '../record/index.ts'
import { AGENT, AGENT_COPY, HEAD_BYTES, OWNER, RECORD, commitOf } from './format.ts'

export class Ring {
  readonly bytes: number
  readonly f64: Float64Array
  readonly i32: Int32Array
  readonly u8: Uint8Array
  head = 0
  readonly #base: number
  readonly #seed: number
  #tail = 0

  constructor(map: ArrayBuffer, headerBytes: number, seed: number) {
    this.f64 = new Float64Array(map)
    this.i32 = new Int32Array(map)
    this.u8 = new Uint8Array(map)
    this.bytes = map.byteLength - headerBytes
    this.#base = headerBytes
    this.#seed = seed
  }

  /** Word index of the head. */
  get word(): number {
    return (this.#base + (this.head % this.bytes)) >> 2
  }

  get free(): number {
    return this.bytes - (this.head - this.#tail)
  }

  get room(): number {
    return Math.min(this.free, this.bytes - (this.head % this.bytes))
  }

  /** True at the first record of a lap but the first. */
  get atLapStart(): boolean {
    return this.head > 0 && this.head % this.bytes === 0
  }

  /**
   * The agent's copies are read in the reverse of the order of writing: if they agree, neither is half
   * written.
   */
  refresh(): void {
    const copy = this.f64[AGENT.tail + AGENT_COPY]!
    const tail = this.f64[AGENT.tail]!
    if (tail === copy && Number.isInteger(tail) && tail > this.#tail && tail <= this.head) this.#tail = tail
  }

  /** Makes `room` ≥ size, passing the end of the lap if needed; false when the ring is too full. */
  place(size: number, seq: number): boolean {
    this.refresh()
    const left = this.bytes - (this.head % this.bytes)
    if (size <= left) return size <= this.free
    if (left + size > this.free) return false
    // Readers skip an end that no record fits in by themselves.
    if (left >= HEAD_BYTES) this.#pad(left, seq)
    this.head += left
    this.f64[OWNER.head] = this.head
    return true
  }

  #pad(size: number, seq: number): void {
    const w = this.word
    const i32 = this.i32
    i32.fill(0, w + 1, w + HEAD_BYTES / 4)
    i32[w + RECORD.size] = size
    i32[w + RECORD.seq] = seq
    i32[w + RECORD.mark] = (seq / 0x1_0000_0000) | (Kind.pad << 16)
    i32[w + RECORD.commit] = commitOf(this.#seed, i32, w, size)
  }
}
