import type { StreamText } from '../backend/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { Texts } from './texts.ts'

/** The texts of a ledger as a stream for backends, numbered from 1, without end (see row-reader.ts). */
export function* readTexts(ledger: Ledger, from: number): Generator<StreamText | 'busy' | 'idle', never> {
  const texts = new Texts()
  let n = 0
  for (;;) {
    for (const entry of ledger.entries(texts.next)) {
      for (const text of texts.take(entry)) {
        if (++n >= from) yield { n, world: texts.world, ...text }
      }
      yield 'busy'
    }
    yield 'idle'
  }
}
