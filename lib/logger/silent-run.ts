/** A run that records nothing: in children of a worker, on Windows, or when no journal could be opened. */
import type { Run, Values } from './types.ts'

export class SilentRun implements Run {
  readonly rank: number
  readonly worldSize: number
  readonly localRank: number
  readonly node: string
  readonly id = null
  /** Values that log() was given, as far as they can be counted. */
  dropped = 0
  readonly log: Run['log']
  readonly params: Run['params'] = () => {}
  readonly text: Run['text'] = () => {}
  readonly define: Run['define'] = () => {}
  readonly resume: Run['resume'] = () => {}
  readonly end: Run['end']

  constructor(who: { rank: number; worldSize: number; localRank: number; node: string }, onEnd: () => void) {
    this.rank = who.rank
    this.worldSize = who.worldSize
    this.localRank = who.localRank
    this.node = who.node
    this.log = (values) => { this.dropped += countOf(values) }
    let ended = false
    this.end = () => {
      if (!ended) onEnd()
      ended = true
      return Promise.resolve()
    }
  }
}

function countOf(values: Values): number {
  try {
    return Object.keys(values).length
  } catch {
    return 0
  }
}
