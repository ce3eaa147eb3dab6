/**
 * `sync RUN --join DIR`: what a lost head's run directory and a run that survivors began anew have of one run
 * becomes one.
 *
 * In: the run directory that goes on, and the other one. Out: spool files of what only the other has; `sync`
 * then delivers them as an agent would, so each record is taken once, however often this is repeated.
 * Invariants: the other directory is only read; the records of an instance go on where this ledger stops.
 */
import { decodeBatch } from '../wire/index.ts'
import { State } from '../aggregator/core-state.ts'
import type { InstanceBooks, MemberView, Notes } from '../aggregator/core-types.ts'
import type { FactsBody } from '../agent/core-spool.ts'
import { Notes as Diary } from '../agent/notes.ts'
import type { Shelf } from '../agent/shelf.ts'
import { Spool } from '../agent/spool.ts'
import type { Unit } from '../agent/unit.ts'
import { ledgerPath } from '../backend/local.ts'
import { RankzeroError } from '../errors.ts'
import { pendingDirs } from '../journal/index.ts'
import { openLedger, type Entry, type Ledger } from '../ledger/index.ts'
import { JOIN_TIMEOUT_MS, OPEN_ROWS_BYTES_MAX, SEAL_AFTER_MS, SPOOL_PASS_BYTES } from '../limits.ts'
import { parentOf, type FoundRun } from './runs.ts'

/** @throws RankzeroError USAGE: the two are not of one run, or `into` lacks what the other begins with. */
export function joinRuns(into: FoundRun, other: FoundRun): void {
  const ours = openLedger(ledgerPath(into.dir), { readonly: true })
  const theirs = openLedger(ledgerPath(other.dir), { readonly: true })
  try {
    const { run, meeting = '' } = ours.meta()
    if (run !== theirs.meta()['run'] || ours.id === theirs.id) {
      throw new RankzeroError('USAGE', `${other.dir} is no other part of run ${run}`,
        'name the run directory of the same run from another node')
    }
    const here = stateOf(ours)
    const there = stateOf(theirs)
    checkOrder(into, other, here, there)
    const [pending = ''] = pendingDirs(parentOf(into))
    const spool = new Spool({ directories: [pending], meeting, capBytes: Infinity, notes: new Diary() })
    spool.recover(null)
    new Joiner(spool, run ?? null, here, there).take(theirs)
  } finally {
    ours.close()
    theirs.close()
  }
}

function stateOf(ledger: Ledger): State {
  const state = new State({
    sealAfterMs: SEAL_AFTER_MS, joinTimeoutMs: JOIN_TIMEOUT_MS, openRowsBytesMax: OPEN_ROWS_BYTES_MAX,
    decode: decodeBatch,
  })
  for (const entry of ledger.entries()) state.apply(entry)
  return state
}

/** Records are appended; what comes before those that are in a ledger cannot be put there any more. */
function checkOrder(into: FoundRun, other: FoundRun, here: State, there: State): void {
  const earlier = there.members().some(({ instance, first }) => (here.member(instance)?.first ?? 0) > first)
  if (!earlier) return
  throw new RankzeroError('USAGE', `${other.dir} has the earlier records of this run`,
    `join the other way round: rankzero sync ${other.dir} --join ${into.dir}`)
}

class Joiner {
  private readonly spool: Spool
  private readonly run: string | null
  private readonly here: State
  private readonly members: ReadonlyMap<string, MemberView>
  private readonly books: ReadonlyMap<string, InstanceBooks>
  private readonly units = new Map<string, Unit[]>()
  private bytes = 0

  constructor(spool: Spool, run: string | null, here: State, there: State) {
    this.spool = spool
    this.run = run
    this.here = here
    // System metrics stay where they are: an agent's own instance is of its node and time.
    this.members = new Map(there.members().filter(({ origin }) => origin.role !== 'agent')
      .map((view) => [view.instance, view]))
    this.books = new Map(there.books().map((book) => [book.instance, book]))
  }

  take(theirs: Ledger): void {
    for (const entry of theirs.entries()) {
      const unit = unitOf(entry)
      if (unit !== null) this.add(unit.instance, unit.unit)
      else if (entry.type === 'note' && entry.kind === 'joined') this.joined(entry.body as Notes['joined'])
      if (this.bytes >= SPOOL_PASS_BYTES) this.write()
    }
    this.write()
  }

  private joined({ origin: { instance }, ledgerBefore, layouts = [] }: Notes['joined']): void {
    const shelf = this.shelf(instance)
    if (shelf === null) return
    shelf.ledger = ledgerBefore
    for (const layout of layouts) shelf.layouts.set(layout.id, layout)
    // Also one that only ended here has something to tell.
    if (!this.units.has(instance)) this.units.set(instance, [])
  }

  private add(instance: string, unit: Unit): void {
    const shelf = this.shelf(instance)
    if (shelf === null || unit.last <= Math.max(shelf.last, this.here.acked(instance))) return
    const list = this.units.get(instance) ?? []
    this.units.set(instance, list)
    list.push(unit)
    this.bytes += unit.type === 'BATCH' ? unit.body.length : 0
  }

  private write(): void {
    for (const [instance, units] of this.units) {
      const shelf = this.shelf(instance)!
      const view = this.members.get(instance)!
      shelf.append(units, view.ended ?? this.counted(view))
      shelf.close()
    }
    this.units.clear()
    this.bytes = 0
  }

  /** Null: nothing of it is missing here. */
  private shelf(instance: string): Shelf | null {
    const view = this.members.get(instance)
    const ended = this.here.member(instance)?.ended ?? null
    if (view === undefined || (ended !== null && ended.estimated !== true)) return null
    return this.spool.shelf({ ...view.origin, run: this.run })
  }

  /** Of one that has not ended there either. */
  private counted({ instance, acked }: MemberView): FactsBody {
    const { logged = 0, refused = 0 } = this.books.get(instance) ?? {}
    return { seq: acked, logged, lost: 0, refused, departure: null, at: 0 }
  }
}

function unitOf(entry: Entry): { instance: string; unit: Unit } | null {
  if (entry.type === 'batch') {
    const { instance, firstSeq: first, lastSeq: last, data: body } = entry
    return { instance, unit: { type: 'BATCH', first, last, body } }
  }
  if (entry.kind !== 'skip') return null
  const { instance, from: first, to: last, points, cause } = entry.body as Notes['skip']
  return { instance, unit: { type: 'SKIP', first, last, body: { from: first, to: last, points, cause } } }
}
