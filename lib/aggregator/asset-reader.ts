import type { StreamAsset } from '../backend/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { identityOf, Kind } from '../record/index.ts'
import { assetOf } from './core-beside.ts'
import { Said } from './said.ts'

/** The assets of a ledger as a stream for backends, numbered from 1, without end (see row-reader.ts). */
export function* readAssets(ledger: Ledger, from: number): Generator<StreamAsset | 'busy' | 'idle', never> {
  const said = new Said(Kind.asset)
  const known = new Set<string>()
  for (;;) {
    for (const entry of ledger.entries(said.pos + 1)) {
      for (const { rank, host, time, body } of said.take(entry)) {
        const asset = assetOf(body)
        if (asset === null || known.has(identityOf(asset))) continue
        const n = known.add(identityOf(asset)).size
        if (n >= from) yield { n, rank, host, time, ...asset }
      }
      yield 'busy'
    }
    yield 'idle'
  }
}
