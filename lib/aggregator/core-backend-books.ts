/**
 * The books of the backends that rows are sent to (DESIGN 13), counted anew. Pure.
 *
 * In: the row stream, and the `outbox` notes between its rows, in ledger order. Out: per backend and instance
 * where its points are, and a sentence per equation that does not hold.
 * Invariant: a point is counted by the row that holds it, and a row by the note that names its number; so the
 * sums that the notes state of themselves are checked, not believed.
 */
import { keptOf, type OutboxNote, type Plan, type Standing } from '../session/core-standing.ts'
import type { RowStream, Group } from './core-stream.ts'
import type { Audit, InstanceBooks } from './core-types.ts'

const PLACES = ['delivered', 'thinned', 'rejected'] as const
type Place = (typeof PLACES)[number]
/** Points by the place of their instance. */
type Points = Map<number, number>

interface Account {
  name: string
  /** Rows up to this one are settled. */
  settled: number
  /** Where the next one is: group, counted from the first of all. */
  group: number
  batch: { batch: number; to: number; points: number } | null
  /** Which of the rows that come next are sent. */
  plan: Plan | null
  places: Record<Place, Points>
  problems: string[]
}

export class BackendBooks {
  private readonly accounts = new Map<string, Account>()
  /** Groups that some backend has not settled, and how many came before them. */
  private groups: Group[] = []
  private dropped = 0

  constructor(names: Iterable<string>) {
    for (const name of names) {
      const places = { delivered: new Map(), thinned: new Map(), rejected: new Map() }
      this.accounts.set(name, { name, settled: 0, group: 0, batch: null, plan: null, places, problems: [] })
    }
  }

  take(group: Group): void {
    if (this.accounts.size > 0) this.groups.push(group)
  }

  note(note: OutboxNote): void {
    const account = this.accounts.get(note.backend)
    if (account === undefined || note.is === 'again' || note.is === 'ended') return
    if (note.is === 'batch') {
      if (account.batch !== null || note.from !== account.settled + 1) {
        account.problems.push(`batch ${note.batch} begins at row ${note.from}, after row ${account.settled}`)
      }
      account.batch = note
    } else if (note.is === 'thinned' && note.cause === 'budget') {
      const { points, ...plan } = note
      const { settled, group } = account
      account.plan = { ...plan, keep: turned(plan.keep) }
      this.settle(account, 'thinned', note.to, points, `thinned rows ${note.from}-${note.to}`)
      Object.assign(account, { settled, group, plan })
    } else if (note.is === 'thinned') {
      this.settle(account, 'thinned', note.to, note.points, `thinned rows ${note.from}-${note.to}`)
    } else {
      const { batch } = account
      account.batch = null
      if (batch === null || batch.batch !== note.batch) {
        account.problems.push(`batch ${note.batch} is ${note.is}, but was not begun`)
      } else this.settle(account, note.is, batch.to, batch.points, `batch ${batch.batch}`)
    }
    this.forget()
  }

  /** `stream`: what no `amend` note has sent off is pending too. */
  audit(
    books: readonly InstanceBooks[], members: readonly { instance: string }[], stream: RowStream,
    standings: ReadonlyMap<string, Standing>,
  ): { backends: Audit['backends']; problems: string[] } {
    const backends: Audit['backends'] = []
    const problems: string[] = []
    const byInstance = new Map(books.map((book) => [book.instance, book]))
    for (const account of this.accounts.values()) {
      const { name, places } = account
      problems.push(...account.problems.map((problem) => `backend ${name}: ${problem}`))
      const pending = this.pending(account, stream)
      const sum = {
        name, delivered: 0, superseded: 0, thinned: 0, rejected: 0, pending: 0,
        resent: standings.get(name)?.resent ?? 0,
      }
      members.forEach(({ instance }, index) => {
        const book = byInstance.get(instance)
        if (book === undefined) return
        const { local } = book
        const [delivered, thinned, rejected] = PLACES.map((place) => places[place].get(index) ?? 0)
        const waiting = pending.get(index) ?? 0
        sum.delivered += delivered!
        sum.thinned += thinned!
        sum.rejected += rejected! + local.rejected
        sum.superseded += local.superseded
        sum.pending += waiting + local.pending
        if (delivered! + thinned! + rejected! + waiting === local.delivered) return
        problems.push(`backend ${name}, instance ${instance}: delivered ${delivered} + thinned ${thinned} `
          + `+ rejected ${rejected} + pending ${waiting} is not ${local.delivered} in closed rows`)
      })
      backends.push(sum)
    }
    return { backends, problems }
  }

  private settle(account: Account, place: Place, to: number, points: number, what: string): void {
    let counted = 0
    while (account.settled < to) {
      const group = this.groups[account.group - this.dropped]
      if (group === undefined) {
        account.problems.push(`${what} ends at row ${to}, but the rows end at ${account.settled}`)
        return
      }
      const end = group.first + group.metrics.length - 1
      const rows = Math.min(to, end) - account.settled
      const kept = keptOf(account.plan, account.settled + 1, account.settled + rows)
      counted += kept * group.of.length
      add(account.places[place], group.of, kept)
      account.settled += rows
      if (account.settled === end) account.group++
    }
    if (to >= (account.plan?.to ?? Infinity)) account.plan = null
    if (counted !== points) account.problems.push(`${what} states ${points} points and has ${counted}`)
  }

  private pending(account: Account, stream: RowStream): Points {
    const points: Points = new Map()
    let { settled } = account
    for (const { first, metrics, of } of this.groups.slice(account.group - this.dropped)) {
      const end = first + metrics.length - 1
      add(points, of, keptOf(account.plan, settled + 1, end))
      settled = end
    }
    for (const { metrics, of } of stream.unsent()) add(points, of, metrics.length)
    return points
  }

  /** Now and then, so that it costs nothing. */
  private forget(): void {
    const least = Math.min(...[...this.accounts.values()].map(({ group }) => group))
    if (least - this.dropped <= this.groups.length / 2) return
    this.groups = this.groups.slice(least - this.dropped)
    this.dropped = least
  }
}

/** Kept for left out. */
const turned = (keep: readonly number[]): readonly number[] => [0, ...keep]

function add(points: Points, of: readonly number[], each: number): void {
  for (const index of of) points.set(index, (points.get(index) ?? 0) + each)
}
