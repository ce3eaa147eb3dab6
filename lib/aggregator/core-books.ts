/**
 * The books of an instance (DESIGN 13) from what the ledger says of it. Pure.
 *
 * In: a member, its points in open rows. Out: its books, and a sentence per equation that does not hold.
 * `logged` is the owner's own count, so it can contradict the ledger: what it proves and nothing explains is
 * `missing`.
 */
import { attemptOf } from './core-members.ts'
import type { Member } from './core-model.ts'
import type { InstanceBooks } from './core-types.ts'

/** `aside`: a ledger of this run was lost, so nobody else has what it acknowledged. */
export function booksOf(member: Member, open: number, aside: boolean): InstanceBooks {
  const held = member.state === 'suspect' ? member.held.reduce((sum, { points }) => sum + points, 0) : 0
  const { admitted, delivered, superseded, rejected, refused, duplicates, state, instance } = member
  return {
    instance, rank: member.origin.rank, attempt: attemptOf(member), state, admitted, duplicates,
    ...logging(member, aside), refused: Math.max(refused, member.ended?.refused ?? 0), holes: holesOf(member),
    local: { delivered, superseded, rejected, pending: open + held },
  }
}

type Logging = Pick<InstanceBooks, 'logged' | 'lost' | 'pending' | 'missing' | 'estimated'>

function logging(member: Member, aside: boolean): Logging {
  const { admitted, ended, soft } = member
  const lost = Math.max(member.lostInBand, ended?.lost ?? 0) + member.lostSkipped
  const known = admitted + lost
  if (ended === null) {
    const logged = Math.max(known, soft?.logged ?? 0)
    return { logged, lost, pending: logged - known, missing: 0, estimated: true }
  }
  const counted = Math.max(ended.logged, Number(member.end?.logged ?? 0))
  const exact = ended.estimated !== true && member.end !== null
  if (counted <= known) {
    // A process that was killed may have written a record before it could count it.
    return { logged: exact ? counted : known, lost, pending: 0, missing: 0, estimated: !exact }
  }
  const rest = counted - known
  const unexplained = { logged: counted, lost, pending: 0, missing: rest, estimated: !exact }
  if (holesOf(member).length > 0) return unexplained
  // Another ledger acknowledged what came before `first`: those points are in its books.
  const elsewhere = member.ledgerBefore !== null && !aside
  if (elsewhere) return { logged: known, lost, pending: 0, missing: 0, estimated: !exact }
  // A skip of damaged records cannot say what they held, nor can the last beat of a node that vanished.
  const explained = member.skips > 0 || member.first > 1 || ended.estimated === true
  if (explained) return { logged: counted, lost: lost + rest, pending: 0, missing: 0, estimated: !exact }
  return unexplained
}

/** Ranges of seq that should be in the ledger and are not. */
function holesOf(member: Member): [number, number][] {
  const { holes, ended, acked } = member
  return ended !== null && ended.seq > acked ? [...holes, [acked + 1, ended.seq]] : holes
}

/** One sentence per equation that does not hold; none when the books of this instance balance. */
export function problemsOf(books: InstanceBooks): string[] {
  const { logged, admitted, lost, pending, missing, holes, local } = books
  const who = `rank ${books.rank} (attempt ${books.attempt}, instance ${books.instance})`
  const problems: string[] = []
  if (holes.length > 0) {
    const ranges = holes.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ')
    problems.push(`${who}: records ${ranges} are not in the ledger; points missing: ${missing}`)
  } else if (missing > 0) {
    problems.push(`${who}: points missing: ${missing} of ${logged} logged`)
  }
  if (admitted + lost + pending + missing !== logged) {
    problems.push(`${who}: logged ${logged} is not admitted ${admitted} + lost ${lost} + pending ${pending}`)
  }
  const sorted = local.delivered + local.superseded + local.rejected + local.pending
  if (sorted !== admitted) {
    problems.push(`${who}: admitted ${admitted} is not delivered ${local.delivered} `
      + `+ superseded ${local.superseded} + rejected ${local.rejected} + pending ${local.pending}`)
  }
  return problems
}
