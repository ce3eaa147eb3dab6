/** A run that records nothing: in children of a worker, in its threads, on Windows. */
import type { Run } from './types.ts'

export class SilentRun implements Run {
  readonly rank: number
  readonly worldSize: number
  readonly localRank: number
  readonly node: string
  readonly id = null
  readonly log: Run['log'] = () => {}
  readonly params: Run['params'] = () => {}
  readonly text: Run['text'] = () => {}
  readonly asset: Run['asset'] = () => {}
  readonly html: Run['html'] = () => {}
  readonly other: Run['other'] = () => {}
  readonly tags: Run['tags'] = () => {}
  readonly name: Run['name'] = () => {}
  readonly define: Run['define'] = () => {}
  readonly resume: Run['resume'] = () => {}
  readonly end: Run['end']

  constructor(who: { rank: number; worldSize: number; localRank: number; node: string }, onEnd: () => void) {
    this.rank = who.rank
    this.worldSize = who.worldSize
    this.localRank = who.localRank
    this.node = who.node
    let ended = false
    this.end = () => {
      if (!ended) onEnd()
      ended = true
      return Promise.resolve()
    }
  }
}
