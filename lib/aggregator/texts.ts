import type { Entry, Ledger } from '../ledger/index.ts'
import { Kind } from '../record/index.ts'
import { Said } from './said.ts'

export interface TextRecord {
  rank: number
  /** By the aggregator's clock, ms since the epoch; never goes back within one life of a rank. */
  time: number
  /** Null: `run.text`. */
  stream: 'stdout' | 'stderr' | null
  line: string
}

/** The texts of a ledger that grows, in order of admission, each once; those of one rank in order. */
export class Texts {
  private readonly said = new Said(Kind.text)

  /** World size, as far as known. */
  get world(): number {
    return this.said.world
  }

  /** Position of the entry that is to be read next. */
  get next(): number {
    return this.said.pos + 1
  }

  /** What came since the last call. */
  * read(ledger: Ledger): Generator<TextRecord> {
    for (const entry of ledger.entries(this.next)) yield* this.take(entry)
  }

  * take(entry: Entry): Generator<TextRecord> {
    for (const { rank, time, body: { line, stream, cut } } of this.said.take(entry)) {
      if (typeof line !== 'string') continue
      const from = stream === 'stdout' || stream === 'stderr' ? stream : null
      yield { rank, time, stream: from, line: cut === true ? `${line}…` : line }
    }
  }
}
