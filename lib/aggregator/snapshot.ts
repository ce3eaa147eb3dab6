import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isOfEvents } from '../backend/index.ts'
import { ledgerPath } from '../backend/local.ts'
import { procStart } from '../journal/index.ts'
import { SNAPSHOT_METRICS_MAX } from '../limits.ts'
import type { Origin } from '../record/index.ts'
import {
  NO_BOOKS, type BackendStatus, type BooksStatus, type ClockStatus, type Failure, type HealthStatus,
  type MemberStatus, type ProcessStatus, type RunStatus,
} from '../record/run-status.ts'
import { finalStatus } from '../session/core-status.ts'
import type { Standing } from '../session/core-standing.ts'
import type { SessionNote } from '../session/index.ts'
import { damagesOf } from './audit.ts'
import { byRole, endFacts } from './core-facts.ts'
import type { State } from './core-state.ts'
import type { InstanceBooks, MemberView } from './core-types.ts'
import type { Agent } from './intake.ts'
import { besideOf } from './leftovers.ts'
import type { OutboxView } from './outboxes.ts'

/** The part of `status --json` that the ledger's entries do not tell. */
export interface SnapshotContext {
  run: string
  dir: string
  term: number
  startedAt: number
  endedAt: number | null
  session: Readonly<SessionNote>
  agents: readonly Agent[]
  health: HealthStatus
  outboxes: readonly OutboxView[]
  /** Connections without the run secret. */
  denied: number
  /** Why the ledger takes nothing now, '' when it does. */
  fault: string
}

/** The object behind `rankzero status --json` (DESIGN 13). Point counts are of worker instances. */
export function snapshot(state: State, context: SnapshotContext, now: number): RunStatus {
  const { run, dir, term, endedAt, fault, agents, session } = context
  const beside = state.beside.view()
  const { tags, others, assets } = beside
  const damages = damagesOf(state, ledgerPath(dir))
  const views = state.members()
  const { workers, supervisors } = byRole(views)
  const books = new Map(state.books().map((book) => [book.instance, book]))
  const owners = [...workers, ...supervisors]
  const nodes = state.nodes()
  const total = sum(workers.map((view) => books.get(view.instance)))
  return {
    run, key: session.key, project: session.project, name: beside.name ?? session.name,
    dir, host: hostname(), term, state: session.state, status: session.status,
    reason: session.reason, fault: fault || null,
    ...damages.length === 0 ? {} : { damages }, ranks: state.worldSize(),
    startedAt: Math.min(context.startedAt, ...owners.map((view) => view.origin.startedAt)),
    endedAt, updatedAt: now,
    failed: withLogs(finalStatus(endFacts(state)).failed, dir),
    processes: [
      ...supervisors.map(({ origin }) => processOf('supervisor', origin)),
      ...agents.map(({ host, pid }) => ({ role: 'agent', host, pid, procStart: 0 })),
      { role: 'aggregator', host: hostname(), pid: process.pid, procStart: procStart(process.pid) },
    ],
    members: workers.map((view) => memberRow(view, books.get(view.instance), now)),
    params: state.params(), ...tags.length === 0 ? {} : { tags }, ...others.length === 0 ? {} : { others },
    ...assets.count === 0 ? {} : { assets },
    metricCount: state.metricCount(), metrics: state.metrics(SNAPSHOT_METRICS_MAX),
    books: total, health: context.health, ...(nodes.length === 0 ? {} : { nodes }),
    clocks: clocksOf(agents),
    denied: context.denied,
    backends: [
      { name: 'local', state: session.state, pending: total.pending + total.open },
      ...context.outboxes.map((view) => {
        const { name } = view
        const of = isOfEvents(name) ? besideOf(name, 'events') : name
        const all = isOfEvents(name) ? state.told.events.length : total.merged + total.open
        return backendRow(view, state.standing(of), all, session.state)
      }),
    ],
  }
}

/** `points`: in rows that are closed or still open; or events. */
function backendRow(
  {
    name, fault, besideEnded, assets, missing, offline, archive, ageMs, use, warning, calls,
  }: OutboxView,
  standing: Readonly<Standing>, points: number, state: string,
): BackendStatus {
  const { delivered, thinned, rejected, resent, refusal, ended } = standing
  const why = fault || refusal
  const isOver = ended !== null && besideEnded && state === 'ended'
  return {
    name, state: isOver ? 'ended' : offline ? 'offline' : fault !== '' ? 'retrying' : state,
    pending: points - delivered - thinned - rejected, ...why === null ? {} : { fault: why },
    ...rejected === 0 ? {} : { rejected }, ...thinned === 0 ? {} : { thinned },
    ...resent === 0 ? {} : { resent }, ...ageMs === null ? {} : { ageMs },
    ...assetsOf(assets),
    ...use === null ? {} : { use }, ...archive === null ? {} : { archive },
    ...missing === null ? {} : { missing }, ...warning === '' ? {} : { warning },
    ...calls === null ? {} : { calls },
  }
}

function assetsOf(assets: OutboxView['assets']): Pick<BackendStatus, 'assets'> {
  if (assets === null) return {}
  const { pending, rejected, bytes } = assets
  if (pending + rejected + bytes === 0) return {}
  return { assets: { pending, ...rejected === 0 ? {} : { rejected }, bytes } }
}

/** Under --nproc, the supervisor keeps what each rank printed. */
function withLogs(failed: Failure[], dir: string): Failure[] {
  const kept = join(dir, 'console')
  if (failed.length === 0 || !existsSync(kept)) return failed
  return failed.map((one) => {
    const log = join(kept, `rank-${one.rank}.log`)
    return one.log === undefined && one.rank >= 0 && existsSync(log) ? { ...one, log } : one
  })
}

/** One per node: a restarted agent replaces the one before. */
function clocksOf(agents: readonly Agent[]): ClockStatus[] {
  const clocks = new Map(agents.map(({ host, pid, offsetMs }) => [host, { host, offsetMs, agentPid: pid }]))
  return [...clocks.values()].sort((a, b) => a.host < b.host ? -1 : 1)
}

const processOf = (role: string, { node, pid, procStart }: Origin): ProcessStatus =>
  ({ role, host: node, pid, procStart })

function memberRow(view: MemberView, book: InstanceBooks | undefined, now: number): MemberStatus {
  const { rank, instance, attempt, origin, state, lastStep, lastTime, backlog } = view
  const { logged = 0, admitted = 0, lost = 0, pending = 0, refused = 0 } = book ?? {}
  const { first, ledgerBefore } = view
  const before = first > 1 && ledgerBefore !== null ? { ledger: ledgerBefore, records: first - 1 } : null
  const shown = view.ended?.departure.cause === 'node-lost' ? 'lost' : state
  return {
    rank, instance, attempt, host: origin.node, pid: origin.pid, procStart: origin.procStart, state: shown,
    lastStep,
    logged, admitted, lost, pending, refused, backlogBytes: backlog,
    lagMs: state === 'live' && lastTime !== null ? Math.max(0, Math.round(now - lastTime)) : null,
    ...before === null ? {} : { before },
  }
}

const WHOLE = ['logged', 'admitted', 'lost', 'pending', 'refused'] as const
const OF_LOCAL = ['superseded', 'rejected'] as const

function sum(books: readonly (InstanceBooks | undefined)[]): BooksStatus {
  const total = { ...NO_BOOKS }
  for (const book of books) {
    if (book === undefined) continue
    for (const name of WHOLE) total[name] += book[name]
    for (const name of OF_LOCAL) total[name] += book.local[name]
    total.merged += book.local.delivered
    total.open += book.local.pending
  }
  return total
}
