import type { Failure, HealthStatus, JsonNumber } from './run-status.ts'

/** A change of a run that somebody is told of, as it is in the ledger and in a webhook's body. */
export interface RunEvent {
  /** Random: one per event, the same however often it is sent. */
  id: string
  /** Its place among the events of the run, from 1. */
  n: number
  /** When it was decided, by the head's clock: ms since the epoch. */
  at: number
  event: 'live' | 'failure' | 'stalled' | 'ended'
  run: string
  key: string
  project: string
  name: string
  /** Host of the aggregator, and the run directory there. */
  host: string
  dir: string
  /** World size. */
  ranks: number
  /** Of `failure`: the first one. */
  failure?: Failure
  /** Of `stalled`: which ranks, since which step. */
  stalled?: NonNullable<HealthStatus['hang']>
  /** Of `ended`. */
  status?: string
  summary?: RunSummary
}

export interface RunSummary {
  /** ms since the epoch. */
  startedAt: number
  endedAt: number
  failures: number
  /** The first of them, in time order. */
  failed: Failure[]
  /** Points, but `refused`: values. */
  logged: number
  admitted: number
  lost: number
  pending: number
  refused: number
  metricCount: number
  /** The newest row of each metric, of so many. */
  metrics: { metric: string; step: number; value: JsonNumber }[]
}
