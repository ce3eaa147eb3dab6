import type { Entry } from '../ledger/index.ts'
import type { Kind, Origin } from '../record/index.ts'
import { decodeBatch } from '../wire/index.ts'
import { jsonOf } from './core-payload.ts'

export interface Saying {
  rank: number
  host: string
  /** By the aggregator's clock, ms since the epoch; never goes back within one life of a rank. */
  time: number
  body: Record<string, unknown>
}

interface Speaker {
  rank: number
  host: string
  /** Aggregator's clock minus its node's, ms. */
  offset: number
  lastSeq: number
  time: number
}

/** The payloads of one kind, of workers, in a ledger that grows: in order of admission, each once. */
export class Said {
  /** Position of the last entry that was read. */
  pos = 0
  /** World size, as far as known. */
  world = 1
  private readonly kind: Kind
  private readonly speakers = new Map<string, Speaker>()

  constructor(kind: Kind) {
    this.kind = kind
  }

  * take(entry: Entry): Generator<Saying> {
    this.pos = entry.pos
    if (entry.type === 'note') this.note(entry.kind, entry.body)
    else yield* this.batch(entry.instance, entry.data)
  }

  private note(kind: string, body: unknown): void {
    if (kind !== 'joined') return
    const { origin, offset } = body as { origin: Origin; offset: number }
    this.world = Math.max(this.world, origin.worldSize)
    if (origin.role !== 'worker' || this.speakers.has(origin.instance)) return
    const { rank, node: host } = origin
    this.speakers.set(origin.instance, { rank, host, offset, lastSeq: 0, time: 0 })
  }

  private* batch(instance: string, data: Uint8Array): Generator<Saying> {
    const speaker = this.speakers.get(instance)
    if (speaker === undefined) return
    for (const { seq, kind, time, body } of payloadsOf(data)) {
      if (kind !== this.kind || seq <= speaker.lastSeq) continue
      speaker.lastSeq = seq
      speaker.time = Math.max(speaker.time, time + speaker.offset)
      yield { rank: speaker.rank, host: speaker.host, time: speaker.time, body: jsonOf(body) }
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
