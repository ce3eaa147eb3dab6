import { setImmediate } from 'node:timers/promises'
import type { Backend, Leftover, StreamRow } from '../backend/index.ts'
import { monotonicMs } from '../clock.ts'
import type { Ledger } from '../ledger/index.ts'
import { OUTBOX_SLICE_MS } from '../limits-outbox.ts'
import { Gone, keptOf, type OutboxNote, type Standing } from '../session/core-standing.ts'
import { readAssets } from './asset-reader.ts'
import { readRows } from './row-reader.ts'
import { readSystems } from './system-reader.ts'
import { readTexts } from './text-reader.ts'

type Beside = 'texts' | 'systems' | 'assets' | 'events'

/** Notes of these have a name of their own, which is none of a backend, so the books know nothing of them. */
export const besideOf = (backend: string, what: Beside): string => `${backend}/${what}`

/** What a backend has not taken, to the end of the ledger; others have their turn meanwhile. */
export async function* leftoversOf(
  ledger: Ledger, { name, rows, texts, systems, assets }: Backend,
  standing: (name: string) => Readonly<Standing>,
): AsyncGenerator<Leftover> {
  if (rows === null) return
  const { plan, settled } = standing(name)
  for await (const row of untilIdle(readRows(ledger, settled + 1, rows.can.ranks))) {
    if ((rows.can.amends || !row.amends) && keptOf(plan, row.n, row.n) > 0) yield { row }
  }
  const next = (what: Beside): number => standing(besideOf(name, what)).settled + 1
  if (systems !== undefined) {
    for await (const system of untilIdle(readSystems(ledger, next('systems')))) yield { system }
  }
  if (assets !== undefined) {
    for await (const asset of untilIdle(readAssets(ledger, next('assets')))) yield { asset }
  }
  if (texts === undefined) return
  for await (const text of untilIdle(readTexts(ledger, next('texts')))) yield { text }
}

/** What it has taken, as the notes say. */
export async function* sentTo(
  ledger: Ledger, { name, rows }: Backend, { settled }: Readonly<Standing>,
): AsyncGenerator<StreamRow> {
  const gone = new Gone()
  for (const entry of ledger.entries()) {
    if (entry.type !== 'note' || entry.kind !== 'outbox') continue
    if ((entry.body as OutboxNote).backend === name) gone.note(entry.body as OutboxNote)
  }
  gone.seal()
  for await (const row of untilIdle(readRows(ledger, 1, rows?.can.ranks))) {
    if (row.n > settled) return
    if (!gone.has(row.n)) yield row
  }
}

async function* untilIdle<Item>(items: Generator<Item | 'busy' | 'idle', never>): AsyncGenerator<Item> {
  let until = monotonicMs() + OUTBOX_SLICE_MS
  for (;;) {
    const { value } = items.next()
    if (value === 'idle') return
    if (value !== 'busy') yield value
    if (monotonicMs() < until) continue
    await setImmediate()
    until = monotonicMs() + OUTBOX_SLICE_MS
  }
}
