/** What the state says to the session: may it drain, how did it end, what did init() ask for. Pure. */
import { parseHost } from '../rank/index.ts'
import type { Bodies, Origin, SupervisorEvent } from '../record/index.ts'
import type { DrainFacts } from '../session/core-session.ts'
import type { EndFacts, MemberEnd } from '../session/core-status.ts'
import type { State } from './core-state.ts'
import type { MemberView } from './core-types.ts'

type FromEntries =
  Omit<DrainFacts, 'now' | 'openedAt' | 'lastChangeAt' | 'supervised' | 'wide' | 'closing' | 'helloAt'>

/**
 * The part of DrainFacts that the applied entries tell; null while somebody lives, and no run drains. Whose
 * node was last heard of before `silentBefore` counts as gone: what it still has comes by `sync`.
 */
export function drainFacts(state: State, silentBefore = -Infinity): FromEntries | null {
  if (state.roster.someoneLives(silentBefore)) return null
  const views = state.members()
  const { workers, supervisors } = byRole(views)
  const over = new Set(state.events.filter(({ event }) => event['type'] === 'command-exit')
    .map(({ instance }) => instance))
  const joins = [...workers, ...supervisors].map((view) => view.joinedAt)
  return {
    worldSize: state.worldSize(),
    supervisors: supervisors.length,
    supervisorsExpected: Math.max(1, ...supervisors.map((view) => view.origin.supervisors ?? 1)),
    commandsOver: supervisors.every(({ instance, end }) => end !== null || over.has(instance)),
    joinedRanks: new Set(workers.map((view) => view.rank)).size,
    firstJoinAt: joins.length === 0 ? null : Math.min(...joins),
  }
}

/** Hosts that may lead other nodes to the head, as the members' own environments say. */
export function headNames(state: State): Set<string> {
  const names = new Set<string>()
  for (const { origin } of state.members()) {
    const named = origin.head === undefined ? null : parseHost(origin.head)
    if (named !== null) names.add(named.host)
    for (const name of origin.candidates ?? []) names.add(name)
  }
  return names
}

export function endFacts(state: State): EndFacts {
  const views = state.members()
  const hosts = new Map(views.map((view) => [view.instance, view.origin.node]))
  return {
    worldSize: state.worldSize(),
    members: byRole(views).workers.map(memberEnd),
    seen: state.events.map(({ instance, time, event }) => (
      { host: hosts.get(instance) ?? '', at: time, event: event as unknown as SupervisorEvent })),
  }
}

/** What the first worker asked for that asked for anything; null while none did. `seen`: opens looked at. */
export function askedByInit(state: State): { seen: number; asked: Bodies['open'] | null } {
  const opens = state.roster.opens() as unknown as Bodies['open'][]
  const asked = opens.find(({ key, project, name }) => (key ?? project ?? name) !== undefined)
  return { seen: opens.length, asked: asked ?? null }
}

/** … as far as no flag or variable has said it. */
export const unsaid = (
  { key, project, name }: Bodies['open'], said: Record<'key' | 'project' | 'name', string | null>,
): Pick<Bodies['open'], 'key' | 'project' | 'name'> => ({
  key: said.key === null ? key : undefined, project: said.project === null ? project : undefined,
  name: said.name === null ? name : undefined,
})

export function byRole(views: readonly MemberView[]): { workers: MemberView[]; supervisors: MemberView[] } {
  const of = (role: string): MemberView[] => views.filter((view) => view.origin.role === role)
  return { workers: of('worker'), supervisors: of('supervisor') }
}

/**
 * Whether a newcomer is of a later job that has the same meeting id (a job name, a port): nobody of this run
 * lives any more, and other launches of his node made all that did.
 */
export function isNextJob(state: State, { launch, bootId }: Origin): boolean {
  // Asked of each newcomer: thousands come at once, and somebody lives then.
  if (launch === undefined || state.roster.someoneLives()) return false
  const { workers, supervisors } = byRole(state.members())
  const all = [...workers, ...supervisors]
  const launches = all.filter(({ origin }) => origin.bootId === bootId).map(({ origin }) => origin.launch)
  return launches.length > 0 && launches.every((other) => other !== undefined && other !== launch)
}

function memberEnd(view: MemberView): MemberEnd {
  const { rank, attempt, instance, origin, lastStep, lastTime, state, ended } = view
  return {
    rank, attempt, instance, host: origin.node, pid: origin.pid, lastStep, lastTime,
    state: state === 'rank-conflict' ? 'conflict' : state === 'ended' ? 'ended' : 'live',
    endRecord: view.end as Bodies['end'] | null,
    departure: ended?.departure ?? null, endedAt: ended?.at ?? null,
  }
}
