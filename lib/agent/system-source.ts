import { SYSTEM_RECORDS_MAX } from '../limits.ts'
import type { Counters, JournalReader } from '../journal/types.ts'
import { Kind, type Origin, type RecordSink } from '../record/index.ts'

interface Entry {
  seq: number
  time: number
  /** A layout's names as JSON, or else what was logged. */
  body: Uint8Array | { layout: number; step: number; values: Float64Array }
}

const utf8 = new TextEncoder()

/**
 * The agent's own records, in memory and in the shape of a journal, so that they take the road of all others.
 * What is not acknowledged waits here; when that is too much, further samples are dropped before they get a
 * seq, and counted as lost.
 */
export class SystemSource implements JournalReader {
  readonly origin: Origin
  readonly path = 'memory'
  next = 1
  #kept: Entry[] = []
  #seq = 0
  #acked = 0
  #trimmed = 0
  #logged = 0
  #lost = 0
  readonly #layouts = new Map<string, number>()

  constructor(origin: Origin) {
    this.origin = origin
  }

  log(names: readonly string[], values: readonly number[], step: number, time: number): void {
    this.#logged += values.length
    if (this.#kept.length >= SYSTEM_RECORDS_MAX) {
      this.#lost += values.length
      return
    }
    const layout = this.#layout(names, time)
    this.#kept.push({ seq: ++this.#seq, time, body: { layout, step, values: Float64Array.from(values) } })
  }

  counters(): Counters {
    return {
      seq: this.#seq, logged: this.#logged, lost: this.#lost, refused: 0, acked: this.#acked,
      trimmed: this.#trimmed,
    }
  }

  first(): number {
    return this.#trimmed + 1
  }

  read(sink: RecordSink, bytesMax: number): number {
    let bytes = 0
    for (let at = this.next - 1 - this.#trimmed; at < this.#kept.length && bytes < bytesMax; at++) {
      const { seq, time, body } = this.#kept[at]!
      if (body instanceof Uint8Array) {
        sink.payload(seq, Kind.layout, time, body)
        bytes += body.length
      } else {
        sink.values(seq, body.layout, body.step, NaN, time, body.values, 0, body.values.length)
        bytes += body.values.byteLength
      }
      this.next = seq + 1
    }
    return bytes
  }

  seek(seq: number): void {
    this.next = seq
  }

  ack(seq: number): void {
    this.#acked = Math.max(this.#acked, seq)
    this.trim(seq)
  }

  trim(seq: number): void {
    const count = Math.min(this.#kept.length, seq - this.#trimmed)
    if (count <= 0) return
    this.#kept.splice(0, count)
    this.#trimmed += count
    this.next = Math.max(this.next, this.first())
  }

  hole(): null {
    return null
  }

  /** Nothing of it is worth a disk. */
  backlog(): number {
    return 0
  }

  ownerAlive(): boolean {
    return true
  }

  runId(): string | null {
    return this.origin.run
  }

  skipHole(): void {}
  beat(): void {}
  setRun(): void {}
  remove(): void {}
  close(): void {}

  #layout(names: readonly string[], time: number): number {
    const key = names.join('\n')
    const known = this.#layouts.get(key)
    if (known !== undefined) return known
    const id = this.#layouts.size
    this.#layouts.set(key, id)
    const body = utf8.encode(JSON.stringify({ id, names }))
    this.#kept.push({ seq: ++this.#seq, time, body })
    return id
  }
}
