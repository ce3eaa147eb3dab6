/** What the real code makes of the files that a loss of power left behind. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Notes } from '../../lib/agent/notes.ts'
import { Spool } from '../../lib/agent/spool.ts'
import { State } from '../../lib/aggregator/core-state.ts'
import { points } from '../../lib/aggregator/replay.ts'
import { openLedger } from '../../lib/ledger/index.ts'
import { decodeBatch } from '../../lib/wire/index.ts'
import { valueOf } from '../scenario/value.js'
import type { Image } from './disk.ts'

/** The files of an image below another directory. */
export function put(image: Image, from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  for (const [path, bytes] of image) {
    const at = join(to, path.slice(from.length))
    if (bytes === null) mkdirSync(at, { recursive: true })
    else writeFileSync(at, bytes)
  }
}

class Quiet extends Notes {
  override say(): void {}
  override once(): void {}
}

export interface Recovered {
  /** Per instance: its records up to this seq are in the ledger, or follow there from the spool. */
  seqs: Map<string, number>
  /** Points of the ledger that nobody logged. */
  wrong: number
  /** What the ledger says of damage. A torn end of the spool was never promised. */
  told: string[]
}

export const newState = (): State => new State({
  sealAfterMs: 1e9, joinTimeoutMs: 1e9, openRowsBytesMax: 1e9, decode: decodeBatch,
})

/** `deep`: every point is compared too. */
export function recover(runDir: string, pending: string, meeting: string, deep: boolean): Recovered {
  const ledger = openLedger(join(runDir, 'ledger.sqlite'))
  const state = newState()
  try {
    for (const entry of ledger.entries()) state.apply(entry)
    const seqs = new Map(state.members().map(({ instance, acked }) => [instance, acked]))
    for (const { instance, holes } of state.books()) if (holes[0]) seqs.set(instance, holes[0][0] - 1)
    spooled(new Spool({ directories: [pending], meeting, capBytes: 1 << 30, notes: new Quiet() }), seqs)
    let wrong = 0
    for (const { metric, step, rank, value } of deep ? points(ledger) : []) {
      if (value !== valueOf(rank, step, Number(metric.slice(1)))) wrong++
    }
    return { seqs, wrong, told: state.damages }
  } finally {
    ledger.close()
  }
}

function spooled(spool: Spool, seqs: Map<string, number>): void {
  for (const shelf of spool.recover(null)) {
    const { instance } = shelf.origin
    for (let last = seqs.get(instance) ?? 0; ;) {
      const unit = shelf.covering(last + 1)
      if (unit === null || unit.first > last + 1 || shelf.load(unit) === null) break
      last = unit.last
      seqs.set(instance, last)
    }
  }
}
