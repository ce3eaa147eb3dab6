/**
 * Room rank: who am I, and which run do I belong to? Pure: the environment and the process facts are
 * arguments.
 *
 * In: environment, facts about the process, explicit arguments. Out: Identity (this file), meeting id
 * (meeting.ts).
 * Invariants: a tuple comes from one source as a whole; 0 ≤ rank < worldSize; localRank < localWorldSize when
 * known. It does not gather facts (logger/facts.ts) and does not print: conflicts and rejected sources are
 * data.
 */
import { RankzeroError } from '../errors.ts'
import { WORLD_SIZE_MAX } from '../limits.ts'
import { LAUNCHERS, TRIPLE, wholeNumber, type Launcher } from './launchers.ts'
import type { Env, Facts, Identity } from './types.ts'

export { firstHost, headCandidates, parseHost, type HeadCandidates, type HostPort } from './candidates.ts'
export { LAUNCHER_NAMES, NODE_LEVEL, wholeNumber, WRAPPERS } from './launchers.ts'
export type { Claim, Env, Facts, Identity, ProcessFact } from './types.ts'
export {
  isAlone, launchedBy, meetingAt, meetingId, meetingOfRun, namedMeeting, type Meeting, type MeetingSource,
} from './meeting.ts'
export { formatOwner, isOwnedTuple, parseOwner, type Owner } from './owner.ts'
export { sha256 } from './sha256.ts'

/** What `init()` was given. rank and worldSize go together. */
export interface ExplicitRank {
  rank?: number
  worldSize?: number
  localRank?: number
}

/** How the reason begins for which a world was rejected that no aggregator takes. */
export const TOO_LARGE = `more than ${WORLD_SIZE_MAX} ranks`

type Tuple = Omit<Identity, 'launcher' | 'conflicts' | 'rejected'>

/** The source of a process that nobody launched as one of several. */
export const SINGLE = 'single'
/** The source of a tuple given to `init()`. */
export const ARGUMENT = 'argument'

/**
 * The rank of this process: an explicit argument, else the first launcher of the table with a complete tuple,
 * except that the bare triple stands behind a launcher's own row unless its world is larger (else it leaked
 * in).
 * @throws RankzeroError USAGE when explicit arguments contradict themselves, or worldSize is above
 * WORLD_SIZE_MAX; the environment never throws.
 */
export function identify(env: Env, facts: Facts, explicit: ExplicitRank = {}): Identity {
  const tuples: Tuple[] = []
  const rejected: Identity['rejected'] = []
  for (const launcher of LAUNCHERS) {
    const read = readTuple(launcher, env, facts)
    if (read === null) continue
    if ('why' in read) rejected.push(read)
    else tuples.push(read)
  }
  const launched = innermost(tuples) ?? single()
  const chosen = explicitTuple(explicit, tuples) ?? launched
  const conflicts = tuples
    .filter((other) => other.rank !== chosen.rank || other.worldSize !== chosen.worldSize)
    .map(({ source, variables, rank, worldSize }) => ({ source, variables, rank, worldSize }))
  return { ...chosen, launcher: launched.source, conflicts, rejected }
}

function innermost(tuples: Tuple[]): Tuple | undefined {
  const [first, next] = tuples
  if (first?.source !== TRIPLE || next === undefined) return first
  return first.worldSize > next.worldSize ? first : next
}

function single(): Tuple {
  return {
    source: SINGLE, variables: [], rank: 0, worldSize: 1, localRank: 0, localWorldSize: 1, nodeRank: null,
  }
}

function explicitTuple(explicit: ExplicitRank, tuples: Tuple[]): Tuple | null {
  const { rank, worldSize, localRank } = explicit
  if (rank === undefined && worldSize === undefined && localRank === undefined) return null
  const remedy = 'Pass rank and worldSize together, 0 <= rank < worldSize, or neither.'
  for (const [name, value] of Object.entries({ rank, worldSize, localRank })) {
    if (value === undefined ? name !== 'localRank' : !(Number.isSafeInteger(value) && value >= 0)) {
      throw new RankzeroError('USAGE', `init({ ${name} }) is ${String(value)}: not a whole number`, remedy)
    }
  }
  if (worldSize! > WORLD_SIZE_MAX) {
    throw new RankzeroError('USAGE', `init({ worldSize }) is ${worldSize}: ${TOO_LARGE}`, remedy)
  }
  if (rank! >= worldSize!) {
    throw new RankzeroError('USAGE', `init({ rank }) is ${rank}, but worldSize is ${worldSize}`, remedy)
  }
  const same = tuples.find((tuple) => tuple.rank === rank && tuple.worldSize === worldSize)
  return {
    source: ARGUMENT,
    variables: [],
    rank: rank!,
    worldSize: worldSize!,
    localRank: localRank ?? same?.localRank ?? rank!,
    localWorldSize: same?.localWorldSize ?? (worldSize === 1 ? 1 : null),
    nodeRank: same?.nodeRank ?? null,
  }
}

type Rejected = Identity['rejected'][number]

/** The tuple of one launcher; null when it is not there at all. */
function readTuple(launcher: Launcher, env: Env, facts: Facts): Tuple | Rejected | null {
  if (launcher.when?.(env) === false) return null
  if (launcher.rank !== null && env[launcher.rank] === undefined) return null
  const localName = launcher.local.find((name) => env[name] !== undefined)
  const localWorldName = launcher.localWorld?.find((name) => env[name] !== undefined)
  const variables = [launcher.rank, launcher.world, localName, localWorldName].filter((name) => name != null)
  const reject = (why: string): Rejected => ({ source: launcher.source, variables, why })
  const shown = variables.map((name) => `${name}=${env[name] ?? ''}`).join(' ')
  const objection = launcher.objection?.(env, facts)
  if (objection != null) return reject(objection)

  const worldSize = wholeNumber(env[launcher.world])
  const nodeRank = launcher.node === undefined ? null : optional(env[launcher.node])
  const local = localName === undefined ? null : wholeNumber(env[localName])
  const rank = launcher.rank === null ? computedRank(launcher, env, worldSize, nodeRank, local)
    : wholeNumber(env[launcher.rank])
  if (!(rank < worldSize) || (local !== null && !(local < worldSize))) {
    return reject(`no rank below a size: ${shown}`)
  }
  if (worldSize > WORLD_SIZE_MAX) return reject(`${TOO_LARGE}: ${shown}`)
  const localWorldSize = launcher.localWorldFrom?.(env)
    ?? (localWorldName === undefined ? null : optional(env[localWorldName]))
  return {
    source: launcher.source, variables, rank, worldSize, localRank: local ?? rank,
    localWorldSize: worldSize === 1 ? 1 : localWorldSize, nodeRank,
  }
}

/** Lightning fills its nodes equally; on node 0 the number of nodes does not matter. */
function computedRank(
  launcher: Launcher, env: Env, world: number, node: number | null, local: number | null,
): number {
  if (node === null || local === null) return NaN
  if (node === 0) return local
  const nodes = wholeNumber(env[launcher.nodes?.find((name) => env[name] !== undefined) ?? ''])
  return world % nodes === 0 ? node * (world / nodes) + local : NaN
}

function optional(text: string | undefined): number | null {
  const value = wholeNumber(text)
  return Number.isNaN(value) ? null : value
}
