/**
 * Aggregator, a ledger that cannot be read: it is set aside under a name that says so, and the run goes on
 * with a new one.
 *
 * In: a run directory whose lock is held (open.ts). Out: its ledger, or what was set aside, and why.
 * Invariants: nothing is deleted, and nothing moved while another process holds the run; only bytes that are
 * wrong are a reason, never a disk that is full, a lock, or a newer version. Entries that are damaged one by
 * one are none either: the rest is worth more.
 */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { ledgerPath, readEndpoint } from '../backend/local.ts'
import { wallMs } from '../clock.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { setAside } from '../ledger/durable.ts'
import { isDamaged, openLedger, type Entry, type Ledger } from '../ledger/index.ts'
import type { Notes } from './core-types.ts'

export type Aside = Notes['aside']

export interface Found { ledger: Ledger | null; aside: Aside | null }

export function openReadable(dir: string): Found {
  const path = ledgerPath(dir)
  if (!existsSync(path)) return { ledger: null, aside: null }
  try {
    const ledger = openLedger(path)
    const other = otherRun(dir, ledger.meta())
    if (other === null) return { ledger, aside: null }
    ledger.close()
    return { ledger: null, aside: putAside(dir, `it is of run ${other}`) }
  } catch (error) {
    return { ledger: null, aside: asideFor(dir, error) }
  }
}

/** For commands. @throws RankzeroError LEDGER, DAMAGED, also for the ledger of another run. */
export function openToRead(dir: string): Ledger {
  const ledger = openLedger(ledgerPath(dir), { readonly: true })
  const other = otherRun(dir, ledger.meta())
  if (other === null) return ledger
  ledger.close()
  throw new RankzeroError('DAMAGED', `${ledger.path} is of run ${other}, and endpoint.json beside it is not`,
    'put the files of each run back together, or remove endpoint.json to read this ledger as it is')
}

/** Gives all entries to what `begin` returns; asks it for a new one when they cannot be read to their end. */
export function replay({ ledger, aside }: Found, begin: () => (entry: Entry) => void): Found {
  const apply = begin()
  if (ledger === null) return { ledger, aside }
  try {
    for (const entry of ledger.entries()) apply(entry)
    return { ledger, aside }
  } catch (error) {
    ledger.close()
    begin()
    return { ledger: null, aside: asideFor(dirname(ledger.path), error) }
  }
}

/** Run of a ledger that lies in the directory of another run; a directory may be copied and renamed whole. */
export function otherRun(dir: string, meta: Readonly<Record<string, string>>): string | null {
  const [here, there] = [readEndpoint(dir)?.run, meta['run']]
  return here === undefined || there === undefined || here === there ? null : there
}

function asideFor(dir: string, error: unknown): Aside {
  if (isDamaged(error)) return putAside(dir, messageOf(error))
  throw error
}

function putAside(dir: string, why: string): Aside {
  return { file: setAside(ledgerPath(dir), wallMs()), why }
}
