import { hostname } from 'node:os'
import { procStart } from '../journal/index.ts'
import { SNAPSHOT_METRICS_MAX } from '../limits.ts'
import type { Bodies, Origin, SupervisorEvent } from '../record/index.ts'
import {
  NO_BOOKS, type BooksStatus, type MemberStatus, type ProcessStatus, type RunStatus,
} from '../record/run-status.ts'
import { finalStatus, type EndFacts, type MemberEnd } from '../session/core-status.ts'
import type { SessionNote } from '../session/index.ts'
import type { State } from './core-state.ts'
import type { InstanceBooks, MemberView } from './core-types.ts'
import type { Agent } from './intake.ts'

/** The part of `status --json` that the ledger's entries do not tell. */
export interface SnapshotContext {
  run: string
  dir: string
  term: number
  startedAt: number
  endedAt: number | null
  session: Readonly<SessionNote>
  agents: readonly Agent[]
  /** Why the ledger takes nothing now, '' when it does. */
  fault: string
}

/** What the end of the run is judged by, from the applied entries. */
export function endFacts(state: State): EndFacts {
  const views = state.members()
  const hosts = new Map(views.map((view) => [view.instance, view.origin.node]))
  return {
    worldSize: state.worldSize(),
    members: views.filter((view) => view.origin.role === 'worker').map(memberEnd),
    seen: state.events.map(({ instance, time, event }) => ({
      host: hosts.get(instance) ?? '',
      at: time,
      event: event as unknown as SupervisorEvent,
    })),
  }
}

function memberEnd(view: MemberView): MemberEnd {
  const { rank, attempt, instance, origin, lastStep } = view
  return {
    rank,
    attempt,
    instance,
    host: origin.node,
    pid: origin.pid,
    lastStep,
    state: view.state === 'rank-conflict' ? 'conflict' : view.state === 'ended' ? 'ended' : 'live',
    endRecord: view.end as Bodies['end'] | null,
    departure: view.ended?.departure ?? null,
    endedAt: view.ended?.at ?? null,
  }
}

/** The object behind `rankzero status --json` (DESIGN 13). Point counts are of worker instances. */
export function snapshot(state: State, context: SnapshotContext, now: number): RunStatus {
  const { session } = context
  const judged = finalStatus(endFacts(state))
  const views = state.members()
  const books = new Map(state.books().map((book) => [book.instance, book]))
  const workers = views.filter((view) => view.origin.role === 'worker')
  const supervisors = views.filter((view) => view.origin.role === 'supervisor')
  const total = sum(workers.map((view) => books.get(view.instance)))
  return {
    run: context.run,
    key: session.key,
    project: session.project,
    name: session.name,
    state: session.state,
    status: session.status ?? null,
    reason: session.reason ?? null,
    dir: context.dir,
    host: hostname(),
    term: context.term,
    startedAt: Math.min(context.startedAt, ...views.map((view) => view.origin.startedAt)),
    endedAt: context.endedAt,
    updatedAt: now,
    fault: context.fault || null,
    ranks: state.worldSize(),
    failed: judged.failed,
    processes: [
      ...supervisors.map(({ origin }) => processOf('supervisor', origin)),
      ...context.agents.map(({ host, pid }) => ({ role: 'agent', host, pid, procStart: 0 })),
      { role: 'aggregator', host: hostname(), pid: process.pid, procStart: procStart(process.pid) },
    ],
    members: workers.map((view) => memberRow(view, books.get(view.instance), now)),
    params: state.params(),
    metricCount: state.metricCount(),
    metrics: state.metrics(SNAPSHOT_METRICS_MAX),
    books: total,
    backends: [{ name: 'local', state: session.state, pending: total.pending + total.open }],
  }
}

const processOf = (role: string, { node, pid, procStart }: Origin): ProcessStatus => ({
  role,
  host: node,
  pid,
  procStart,
})

function memberRow(view: MemberView, book: InstanceBooks | undefined, now: number): MemberStatus {
  const { rank, instance, attempt, origin, state, lastStep, lastTime, backlog } = view
  return {
    rank,
    instance,
    attempt,
    host: origin.node,
    pid: origin.pid,
    procStart: origin.procStart,
    state,
    lastStep,
    logged: book?.logged ?? 0,
    admitted: book?.admitted ?? 0,
    lost: book?.lost ?? 0,
    pending: book?.pending ?? 0,
    refused: book?.refused ?? 0,
    backlogBytes: backlog,
    lagMs: state === 'live' && lastTime !== null ? Math.max(0, Math.round(now - lastTime)) : null,
  }
}

function sum(books: readonly (InstanceBooks | undefined)[]): BooksStatus {
  const total: BooksStatus = { ...NO_BOOKS }
  for (const book of books) {
    if (book === undefined) continue
    total.logged += book.logged
    total.admitted += book.admitted
    total.merged += book.local.delivered
    total.lost += book.lost
    total.pending += book.pending
    total.open += book.local.pending
    total.superseded += book.local.superseded
    total.rejected += book.local.rejected
    total.refused += book.refused
  }
  return total
}
