/**
 * The lines of an offline archive, as the vendor's uploader takes them. Pure.
 *
 * In: values, texts, facts. Out: lines of messages.json, and experiment.json. Invariant: each line passes the
 * uploader's own schema, or is left out: one metric that does not makes it drop all that follow, silently.
 */
import type { RunStatus } from '../../record/run-status.ts'
import type { Facts } from './core-facts.ts'
import { currentOf, failureText } from './core-facts.ts'
import type { MetricValue, OutputLine } from './core-values.ts'

type Json = Record<string, unknown>

const line = (type: string, payload: Json): string => `${JSON.stringify({ payload, type })}\n`

/** Null: the uploader would not take it. */
export function metricLine(value: MetricValue): string | null {
  const { metricName, metricValue, step, timestamp } = value
  if (!isMetric(value)) return null
  return line('metric_msg', { local_timestamp: timestamp, metric: { metricName, metricValue, step } })
}

function isMetric({ metricName, metricValue, step, timestamp }: MetricValue): boolean {
  const isValue = typeof metricValue === 'string' || Number.isFinite(metricValue)
  return typeof metricName === 'string' && metricName !== '' && isValue
    && Number.isSafeInteger(step) && Number.isSafeInteger(timestamp)
}

export const outputLine = ({ output, stderr, localTimestamp }: OutputLine): string =>
  line('standard_output', { context: null, local_timestamp: localTimestamp, output, stderr })

/** What an archive has the last of. */
export interface Extent { run: string; row: number; text: number; system: number }

const EXTENT = 'rankzero/archive'

/** The uploader sends parameters after all metrics: whoever finds it knows that those were sent. */
export function extentLine({ run, row, text, system }: Extent, now: number): string {
  const paramValue = `${run} ${row} ${text} ${system}`
  const param = { paramName: EXTENT, paramValue, source: 'manual', step: null }
  return line('parameter_msg', { local_timestamp: now, param })
}

/** Of what the server answers when asked for the parameters. Null: no archive of this run was uploaded. */
export function extentOf(parameters: Readonly<Record<string, unknown>> | null, run: string): Extent | null {
  const [of, ...numbers] = String(currentOf(parameters, EXTENT) ?? '').split(' ')
  const [row = NaN, text = NaN, system = NaN] = numbers.map(Number)
  return of === run && [row, text, system].every(Number.isSafeInteger) ? { run, row, text, system } : null
}

/** Tags are no lines: they are in experiment.json. */
export function* factLines(facts: Facts, now: number): Iterable<string> {
  for (const [fact, json] of facts) {
    const [kind, name] = [fact.slice(0, fact.indexOf(' ')), fact.slice(fact.indexOf(' ') + 1)]
    const value = JSON.parse(json) as unknown
    if (kind === 'other') yield line('log_other', { key: name, value })
    else if (kind === 'node') {
      yield line('system_info', { system_info: { key: `node ${name}`, value } })
    } else if (kind === 'param') {
      const param = { paramName: name, paramValue: value, source: 'manual', step: null }
      const field = Array.isArray(value) ? 'params' : 'param'
      yield line('parameter_msg', { local_timestamp: now, [field]: param })
    }
  }
}

export function experimentJson(
  key: string, workspace: string | null, project: string, tags: readonly string[], picture: RunStatus,
): string {
  const { startedAt, endedAt, updatedAt, status, failed: [failure] } = picture
  const failedSo = status === null || status === 'finished' ? {} : {
    customer_error_reported: true,
    customer_error_message: failure === undefined ? status : `${status}: ${failureText(failure)}`,
  }
  return JSON.stringify({
    offline_id: key, project_name: project, workspace, start_time: Math.round(startedAt),
    stop_time: Math.round(endedAt ?? updatedAt), tags, resume_strategy: 'get_or_create', ...failedSo,
  })
}
