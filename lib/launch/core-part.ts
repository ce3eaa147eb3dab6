/**
 * Which part a supervisor has in its job: the only one, the head among several, or a guest (DESIGN 11). Pure.
 *
 * In: who we are, what COMMAND is, the environment. Out: the part; whether a host name is ours is asked at
 * the edge (hosts.ts).
 * Invariant: supervisors of one job come to the same meeting id from what each of them sees, and at most the
 * supervisors of one host take themselves for the head.
 */
import { meetingAt, meetingId, parseHost, type Env, type Facts, type Identity } from '../rank/index.ts'
import { launcherOf, startsRemote, torchNodes } from './core-command.ts'

/** Where the head is: `here`; `away`, unnamed; or on a host that may be ours. */
export type HeadPlace = 'here' | 'away' | { host: string }

export interface Joining {
  kind: 'join'
  meeting: string
  head: HeadPlace
  /** Ranks of other nodes may come. */
  wide: boolean
  /** A next job may come to the same meeting id, which is a name or a port of the user's. */
  reusable: boolean
  /** Supervisors that belong to this job, as far as is known: the session waits for them. */
  supervisors: number
}

export interface Starting {
  kind: 'new'
  wide: boolean
}

export type Part = Starting | Joining

export interface PartFacts {
  env: Env
  facts: Facts
  identity: Identity
  command: readonly string[]
  nproc: number | null
  /** A live supervisor of this node is above us. */
  supervised: boolean
}

export function partOf({ env, facts, identity, command, nproc, supervised }: PartFacts): Part {
  // Whoever numbers workers himself begins a world of his own.
  if (nproc !== null) return { kind: 'new', wide: false }
  const named = Boolean(env.RANKZERO_RUN || env.RANKZERO_MEETING)
  const call = launcherOf(command)
  const torch = call?.name === 'torchrun' ? torchNodes(call.args, env) : null
  const tasks = identity.worldSize > 1
  if (!tasks && torch === null && (!named || supervised)) {
    const nodes = Number(env.SLURM_JOB_NUM_NODES ?? env.SLURM_NNODES ?? 1)
    return { kind: 'new', wide: nodes > 1 || startsRemote(call) }
  }

  const above = named && (tasks || !supervised)
  const own = tasks || above ? meetingId(env, facts, identity).meeting : null
  const { uid } = facts
  const meeting = own ?? (torch!.runId !== null
    ? meetingAt('torchelastic', 'torchelastic', torch!.runId, uid)
    : meetingAt('master', 'torchelastic', `${torch!.endpoint?.host}:${torch!.endpoint?.port}`, uid))
  const oneNode = tasks && torch === null && identity.localWorldSize === identity.worldSize
  return {
    kind: 'join', meeting, wide: !oneNode, reusable: own === null,
    head: headOf({ env, above, rank: tasks ? identity.rank : null, torch }),
    supervisors: Math.max(torch?.nodes ?? 1, tasks ? identity.worldSize : 1),
  }
}

interface HeadFacts {
  env: Env
  /** Someone above opened the run already, here or on another host. */
  above: boolean
  /** Among the launcher's tasks. */
  rank: number | null
  torch: ReturnType<typeof torchNodes>
}

function headOf({ env, above, rank, torch }: HeadFacts): HeadPlace {
  const named = env.RANKZERO_HEAD?.trim()
  if (named) return { host: parseHost(named)?.host ?? named }
  if (above) return 'away'
  if (rank !== null) return rank === 0 ? 'here' : 'away'
  if (torch === null || torch.endpoint === null) return 'away'
  if (torch.nodeRank === 0) return 'here'
  return { host: torch.endpoint.host }
}
