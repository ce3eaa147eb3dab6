import type { Entry, Ledger } from '../ledger/index.ts'
import { Kind, type Origin } from '../record/index.ts'
import { decodeBatch } from '../wire/index.ts'
import { jsonOf } from './core-payload.ts'

export interface TextRecord {
  rank: number
  /** By the aggregator's clock, ms since the epoch; never goes back within one life of a rank. */
  time: number
  /** Null: `run.text`. */
  stream: 'stdout' | 'stderr' | null
  line: string
}

interface Speaker {
  rank: number
  /** Aggregator's clock minus its node's, ms. */
  offset: number
  lastSeq: number
  time: number
}

/** The texts of a ledger that grows, in order of admission, each once; those of one rank in order. */
export class Texts {
  /** Position of the last entry that was read. */
  pos = 0
  /** World size, as far as known. */
  world = 1
  private readonly speakers = new Map<string, Speaker>()

  private note(kind: string, body: unknown): void {
    if (kind !== 'joined') return
    const { origin, offset } = body as { origin: Origin; offset: number }
    this.world = Math.max(this.world, origin.worldSize)
    if (origin.role !== 'worker' || this.speakers.has(origin.instance)) return
    this.speakers.set(origin.instance, { rank: origin.rank, offset, lastSeq: 0, time: 0 })
  }

  /** What came since the last call. */
  * read(ledger: Ledger): Generator<TextRecord> {
    for (const entry of ledger.entries(this.pos + 1)) yield* this.take(entry)
  }

  * take(entry: Entry): Generator<TextRecord> {
    this.pos = entry.pos
    if (entry.type === 'note') this.note(entry.kind, entry.body)
    else yield* this.batch(entry.instance, entry.data)
  }

  private* batch(instance: string, data: Uint8Array): Generator<TextRecord> {
    const speaker = this.speakers.get(instance)
    if (speaker === undefined) return
    for (const { seq, kind, time, body } of payloadsOf(data)) {
      if (kind !== Kind.text || seq <= speaker.lastSeq) continue
      speaker.lastSeq = seq
      const { line, stream, cut } = jsonOf(body)
      if (typeof line !== 'string') continue
      speaker.time = Math.max(speaker.time, time + speaker.offset)
      const from = stream === 'stdout' || stream === 'stderr' ? stream : null
      yield { rank: speaker.rank, time: speaker.time, stream: from, line: cut === true ? `${line}…` : line }
    }
  }
}

function payloadsOf(blob: Uint8Array): ReturnType<typeof decodeBatch>['payloads'] {
  try {
    return decodeBatch(blob).payloads
  } catch {
    return [] // The audit names it.
  }
}
