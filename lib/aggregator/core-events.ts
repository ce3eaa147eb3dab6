/**
 * Which changes of a run are to be told (webhook), from its picture and what was told before. Pure.
 *
 * In: the picture, the events of the ledger, the time. Out: what is due, without an id.
 * Invariants: asked again after what it said is in the ledger, it says nothing; a life of the run has one
 * `live`, one `failure` at most, one `ended` unless its end changes; `sync` begins no life.
 */
import { FAILURES_TOGETHER_MS } from '../limits.ts'
import { EVENT_FAILURES_MAX, EVENT_METRICS_MAX, EVENTS_MAX } from '../limits-outbox.ts'
import type { RunEvent, RunSummary } from '../record/run-event.ts'
import type { RunStatus } from '../record/run-status.ts'

export type Due = Omit<RunEvent, 'id' | 'n' | 'at'>

export interface EventFacts {
  picture: RunStatus
  /** All events of the ledger, in order. */
  told: readonly RunEvent[]
  /** How many of them came before this life of the run. */
  before: number
  /** When that began; failures of an earlier one are old news. */
  began: number
  /** Whether the ranks stood when this was asked last; null: it never was, by this process. */
  stood: boolean | null
  /** `sync` serves the run. */
  closing: boolean
  /** Final status, once nothing more can come. */
  status: string | null
  now: number
}

export function eventsDue(facts: EventFacts): Due[] {
  const { picture, told, before, closing, status } = facts
  const due: Due[] = []
  const add = (event: Due['event'], more: Partial<Due> = {}): void => {
    const { run, key, project, name, host, dir, ranks } = picture
    due.push({ event, run, key, project, name, host, dir, ranks, ...more })
  }
  const life = told.slice(before)
  const has = (event: Due['event']): boolean => life.some((one) => one.event === event)
  if (!closing && !has('live')) add('live')
  const failure = has('failure') ? undefined : firstFailure(facts)
  if (failure !== undefined) add('failure', { failure })
  const { hang } = picture.health
  if (hang !== null && status === null && !closing && isNewHang(facts)) add('stalled', { stalled: hang })
  const last = told.findLast(({ event }) => event === 'ended')
  const isKnown = last?.status === status && (closing || has('ended'))
  if (status !== null && !isKnown) add('ended', { status, summary: summaryOf(picture, facts.now) })
  return due
}

/** Who failed first is known when all that were seen together are. */
function firstFailure({ picture: { failed }, began, status, now }: EventFacts): RunEvent['failure'] {
  const first = failed.find(({ at }) => at >= began)
  if (first === undefined) return undefined
  return status !== null || now - first.at >= FAILURES_TOGETHER_MS ? first : undefined
}

function isNewHang({ picture: { health: { hang } }, told, stood }: EventFacts): boolean {
  if (told.length >= EVENTS_MAX || stood === true) return false
  const last = told.findLast(({ event }) => event === 'stalled')
  // After a restart it may be the one that was told.
  return stood === false || last?.stalled?.sinceStep !== hang!.sinceStep
}

function summaryOf({ startedAt, failed, books, metricCount, metrics }: RunStatus, now: number): RunSummary {
  const { logged, admitted, lost, pending, refused } = books
  return {
    startedAt, endedAt: now, failures: failed.length, failed: failed.slice(0, EVENT_FAILURES_MAX),
    logged, admitted, lost, pending, refused, metricCount,
    metrics: metrics.slice(0, EVENT_METRICS_MAX).map(({ metric, step, value }) => ({ metric, step, value })),
  }
}
