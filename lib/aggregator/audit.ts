/**
 * The books of a run, counted anew from the blobs of its ledger.
 *
 * In: a ledger, live or finished. Out: an audit: per life of a rank, per backend, and what does not balance.
 */
import { basename, dirname } from 'node:path'
import { isOfEvents, readChosen, takesAssets } from '../backend/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { BackendBooks } from './core-backend-books.ts'
import { problemsOf } from './core-books.ts'
import { asideOf } from '../session/core-standing.ts'
import { besideOf } from './leftovers.ts'
import type { State } from './core-state.ts'
import { inParts } from './core-stream.ts'
import type { Audit, InstanceBooks, Notes } from './core-types.ts'
import type { RunStatus } from '../record/run-status.ts'
import { newState } from './reading.ts'

export function audit(ledger: Ledger): Audit {
  const names = Object.keys(readChosen(ledger.meta())).filter((name) => !isOfEvents(name))
  const others = new BackendBooks(names)
  const state = newState(names.length === 0 ? undefined : (group) => others.take(group))
  const strangers = new Map<string, number>()
  for (const entry of ledger.entries()) {
    for (const part of names.length === 0 ? [entry] : inParts(entry)) state.apply(part)
    if (entry.type === 'note') {
      if (entry.kind === 'outbox') others.note(entry.body as Notes['outbox'])
    } else if (state.member(entry.instance) === null) {
      strangers.set(entry.instance, (strangers.get(entry.instance) ?? 0) + 1)
    }
  }
  const books = state.books()
  const problems = books.flatMap(problemsOf)
  for (const [instance, count] of strangers) {
    problems.push(`instance ${instance}: ${count} batches are in the ledger, but not that it joined`)
  }
  const { members, stream } = state.inside()
  const sent = stream === null ? { backends: [], problems: [] }
    : others.audit(books, members.list, stream, state.standings)
  problems.push(...sent.problems, ...damagesOf(state, ledger.path))
  const backends: Audit['backends'] = [
    localBooks(books), ...sent.backends.map((one) => ({ ...one, ...assetsOf(state, one.name) })),
  ]
  return {
    run: ledger.meta()['run'] ?? basename(dirname(ledger.path)), status: statusOf(state),
    ranks: ranksOf(books), backends, balanced: problems.length === 0,
    complete: [...backends, ...books].every(({ pending }) => pending === 0)
      && backends.every(({ assets }) => (assets?.pending ?? 0) === 0),
    problems,
  }
}

/** Each once, whoever logged it: logged = delivered + rejected + pending. Nothing where there is none. */
function assetsOf(state: State, backend: string): Pick<Audit['backends'][number], 'assets'> {
  const logged = state.beside.assetCount
  if (logged === 0 || !takesAssets(backend)) return {}
  const standing = state.standing(besideOf(backend, 'assets'))
  const [{ settled, rejectedItems: rejected }, aside] = [standing, asideOf(standing)]
  const delivered = settled - rejected - aside
  return { assets: { logged, delivered, rejected, pending: logged - settled + aside } }
}

/** One sentence each, with the file and what to do; none when the ledger is whole. */
export function damagesOf({ damages, damageCount, aside }: State, path: string): string[] {
  const rest = damageCount - damages.length
  const remedy = `keep a copy of ${path} and check the disk`
  return [
    ...aside.map(({ file, why }) => `an earlier ledger of this run was set aside as ${file}: ${why}; `
      + 'what only that one held is missing here'),
    ...damages.map((what) => `${what}; what it held is left out: ${remedy}`),
    ...rest === 0 ? [] : [`${rest} more entries are damaged: ${remedy}`],
  ]
}

/**
 * Points that an aggregator has shown as admitted are in its ledger: if not, the end of that was lost, which
 * nothing in it can tell.
 */
export function lessThanShown(books: Audit, picture: RunStatus | null): string[] {
  if (picture === null || picture.run !== books.run) return []
  return picture.members.flatMap(({ rank, instance, admitted }) => {
    const found = books.ranks.find((one) => one.instance === instance)?.admitted ?? 0
    return found >= admitted ? [] : [`rank ${rank} (instance ${instance}): status.json has shown ${admitted} `
      + `points as admitted, and the ledger has ${found}: its end was lost; keep a copy and check the disk`]
  })
}

/** A row is delivered to `local` when its seal is in the ledger. */
function localBooks(books: readonly InstanceBooks[]): Audit['backends'][number] {
  const sum = (field: 'delivered' | 'superseded' | 'rejected' | 'pending'): number =>
    books.reduce((total, { local }) => total + local[field], 0)
  return {
    name: 'local', delivered: sum('delivered'), thinned: 0, superseded: sum('superseded'),
    rejected: sum('rejected'), pending: sum('pending'), resent: 0,
  }
}

const ranksOf = (books: readonly InstanceBooks[]): Audit['ranks'] =>
  books.map(({ local: _, holes: __, missing, estimated, ...one }) => ({
    ...one, ...(missing > 0 ? { missing } : {}), ...(estimated ? { estimated: true as const } : {}),
  })).sort((a, b) => a.rank - b.rank || a.attempt - b.attempt)

function statusOf(state: State): string | null {
  const { status } = state.session
  return typeof status === 'string' ? status : null
}
