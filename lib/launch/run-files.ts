import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Failed } from './core-outcome.ts'
import type { KnownProcess } from './processes.ts'

/** `<run dir>/status.json`, replaced by the aggregator; what `status --json` prints. */
export interface RunStatus {
  run: string
  key: string
  project: string
  name: string
  dir: string
  host: string
  state: string
  status: string | null
  /** World size. */
  ranks: number
  startedAt: number
  endedAt: number | null
  failed: (Failed & { recovered: boolean })[]
  processes: KnownProcess[]
  members: MemberStatus[]
  metrics: MetricStatus[]
  books: { logged: number; admitted: number; merged: number; lost: number; pending: number }
  backends: { name: string; state: string; pending: number }[]
}

export interface MemberStatus {
  rank: number
  instance: string
  attempt: number
  host: string
  pid: number
  state: string
  lastStep: number | null
  logged: number
  admitted: number
  lost: number
  pending: number
  lagMs: number | null
}

export type MetricNumber = number | string | null

export interface MetricStatus {
  metric: string
  step: number
  value: MetricNumber
  min: MetricNumber
  max: MetricNumber
  minRank: number | null
  maxRank: number | null
  count: number
  expected: number
  sealed: boolean
}

/** `<run dir>/endpoint.json`: where the aggregator of the run is, or was. */
export interface Endpoint {
  run: string
  meeting: string
  host: string
  port: number
  pid: number
  procStart?: number
}

/** Null: not written yet. The files are replaced by rename, so a torn one does not exist. */
export const readStatus = (runDir: string): RunStatus | null => readJson<RunStatus>(join(runDir, 'status.json'))
export const readEndpoint = (runDir: string): Endpoint | null => readJson<Endpoint>(join(runDir, 'endpoint.json'))

function readJson<T>(path: string): T | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch {
    return null
  }
}
