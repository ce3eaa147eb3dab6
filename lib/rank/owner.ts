/**
 * The mark that a logger leaves in its environment, so that children who inherited its rank stay silent:
 * RANKZERO_OWNER="<pid>:<rank>:<worldSize>:<localRank>:<meeting>".
 */
import { wholeNumber } from './launchers.ts'
import type { Env, Facts } from './types.ts'

export interface Owner {
  pid: number
  rank: number
  worldSize: number
  localRank: number
  meeting: string
}

export function formatOwner(owner: Owner): string {
  return `${owner.pid}:${owner.rank}:${owner.worldSize}:${owner.localRank}:${owner.meeting}`
}

/**
 * The owner of a logger above us (or in our own process, seen from a worker thread); null when there is none.
 */
export function parseOwner(env: Env, facts: Facts): Owner | null {
  const [pid, rank, worldSize, localRank, meeting] = (env.RANKZERO_OWNER ?? '').split(':')
  const owner = {
    pid: wholeNumber(pid), rank: wholeNumber(rank), worldSize: wholeNumber(worldSize),
    localRank: wholeNumber(localRank), meeting: meeting ?? '',
  }
  if (!(owner.rank < owner.worldSize) || Number.isNaN(owner.localRank) || owner.meeting === '') return null
  const near = owner.pid === facts.pid || facts.ancestors.some((process) => process.pid === owner.pid)
  return near ? owner : null
}

/** Whether this tuple is the owner's own, inherited and not given anew. */
export function isOwnedTuple(owner: Owner, mine: Omit<Owner, 'pid' | 'meeting'>): boolean {
  return owner.rank === mine.rank && owner.worldSize === mine.worldSize && owner.localRank === mine.localRank
}
