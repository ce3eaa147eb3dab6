/**
 * Members that nobody will say more of: their node is gone with the head that was on it, all agents of the
 * run are gone and `sync` closes it, or they were silent until the session ended. Pure.
 *
 * In: the state, who is silent since when. Out: `ended` notes with the last known counts, `estimated: true`.
 * They are revised by what the agent says should it come back after all (core-state.ts).
 */
import { NODE_LOST_MS } from '../limits.ts'
import type { State } from './core-state.ts'
import type { MemberView, NoteDraft } from './core-types.ts'

export interface LostFacts {
  now: number
  /** Since when this aggregator has listened without a pause. */
  since: number
  /** Our host. */
  host: string
  /** `sync` serves the run: what it finds is all there is. */
  closing: boolean
}

export function lostMembers(state: State, facts: LostFacts): NoteDraft<'ended'>[] {
  const { now, since } = facts
  const { host, closing } = facts
  const moved = [...state.heads].some((other) => other !== host)
  if (now - since < NODE_LOST_MS || !(moved || closing)) return []
  return asEnded(state, now, (view) => isLost(state, view, facts))
}

/**
 * The session ends without them, as they were silent for so long: what was last heard of them is no memory of
 * this process alone, but in the ledger.
 */
export const silentMembers = (state: State, now: number): NoteDraft<'ended'>[] =>
  asEnded(state, now, ({ origin }) => origin.role !== 'agent')

function asEnded(state: State, now: number, isLost: (view: MemberView) => boolean): NoteDraft<'ended'>[] {
  const lost = state.members().filter((view) => view.ended === null && isLost(view))
  if (lost.length === 0) return []
  const books = new Map(state.books().map((book) => [book.instance, book]))
  return lost.map(({ instance, acked }) => {
    const { logged = 0, refused = 0 } = books.get(instance) ?? {}
    const departure = { exit: null, signal: null, cause: 'node-lost' } as const
    const body = { instance, seq: acked, logged, lost: 0, refused, departure, at: now, estimated: true }
    return { type: 'note', at: now, kind: 'ended', body }
  })
}

function isLost(state: State, view: MemberView, { now, since, host, closing }: LostFacts): boolean {
  const { origin, heardAt, joinedAt } = view
  if (closing) return now - Math.max(since, joinedAt, heardAt ?? 0) >= NODE_LOST_MS
  // Other nodes may be cut off for hours and come back: theirs are waited for.
  return origin.node !== host && state.heads.has(origin.node) && heardAt === null && joinedAt < since
}
