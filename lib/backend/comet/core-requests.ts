/**
 * The requests of one experiment, as recorded of the vendor's SDK. Pure.
 *
 * In: who and what. Out: method, path below the server's root, body. Invariant: no request has the API key
 * but where `signed` puts it, in the body, as these calls want it.
 */
import type { Content } from '../../artifact/index.ts'
import { COMET_SERIES_BYTES_MAX } from '../../limits-comet.ts'
import type { OutputLine } from './core-values.ts'

export type Kind = 'metric' | 'parameter' | 'output' | 'other'

export interface Request {
  method: 'GET' | 'POST'
  path: string
  /** JSON text; null: none. */
  body: string | null
  /** Which of the server's limits it counts against, and how much. */
  kind: Kind
  count: number
  gzip?: true
  /** Of the answer; more is left out. */
  bytesMax?: number
  /** A form with a file, or a link, instead of a body. */
  form?: { content: Content | null; link: string | null; metadata: string }
  /** The body is an object, and the key becomes a field of it. */
  signed?: true
}

const LIB_VERSION = '3.58.8'
const C = '/clientlib/'
const A = '/api/rest/v2/'

export const post = (path: string, body: object, more: Partial<Request> = {}): Request =>
  ({ method: 'POST', path, body: JSON.stringify(body), kind: 'other', count: 1, ...more })

export interface Target {
  key: string
  project: string
  workspace: string | null
}

export const addRun = ({ key, project, workspace }: Target, now: number): Request =>
  post(`${C}logger/add/run`, {
    local_timestamp: now, experimentKey: key, offline: false, projectName: project, teamName: workspace,
    libVersion: LIB_VERSION, getOrCreateEnabled: false,
  }, { signed: true })

export const getRun = (key: string, now: number): Request =>
  post(`${C}logger/get/run`, {
    local_timestamp: now, previousExperiment: key, libVersion: LIB_VERSION,
  }, { signed: true })

/** What the handshake says, for every later call that wants it. */
export interface Handle {
  key: string
  runId: string
  projectId: string | null
}

export const beat = ({ key, runId, projectId }: Handle, alive: boolean, now: number): Request =>
  post(`${C}status-report/update`, {
    runId, experimentKey: key, projectId, is_alive: alive, local_timestamp: now, offline: false,
  }, { signed: true })

export const METRICS = `${C}batch/logger/experiment/metric`
export const PARAMETERS = `${C}batch/logger/experiment/parameter`

export interface ParameterValue {
  parameterName: string
  parameterValue: unknown
  step: null
  source: 'manual'
  context: null
  timestamp: number
}

/** `body`: as it was decided. */
export const metrics = (body: string, count: number): Request =>
  ({ method: 'POST', path: METRICS, body, kind: 'metric', count, gzip: true })

export const parameters = (key: string, values: readonly ParameterValue[]): Request =>
  post(PARAMETERS, { experimentKey: key, values }, { kind: 'parameter', count: values.length, gzip: true })

export const outputBody = (key: string, lines: readonly string[]): string =>
  `{"experimentKey":${JSON.stringify(key)},"outputLines":[${lines.join(',')}],"runContext":null}`

export const output = (body: string, count: number): Request =>
  ({ method: 'POST', path: `${C}rest/v2/write/experiment/output`, body, kind: 'output', count, gzip: true })

export const metricsBody = (key: string, values: readonly string[]): string =>
  `{"experimentKey":${JSON.stringify(key)},"values":[${values.join(',')}]}`

/** Where the server has no batches: one value, of a batch. */
export const oneMetric = (key: string, value: object): Request =>
  post(`${A}write/experiment/metric`, { experimentKey: key, ...value }, { kind: 'metric' })

export const oneParameter = (key: string, value: ParameterValue): Request => {
  const { parameterName, parameterValue: any, timestamp } = value
  const parameterValue = typeof any === 'object' ? JSON.stringify(any) : any
  return post(`${A}write/experiment/parameter`, {
    experimentKey: key, parameterName, parameterValue, timestamp,
  }, { kind: 'parameter' })
}

export const addTags = (key: string, tags: readonly string[]): Request =>
  post(`${C}tags/add-tags-to-experiment`, { experimentKey: key, addedTags: tags }, { signed: true })

export const logOther = (key: string, name: string, value: string | number | boolean): Request =>
  post(`${A}write/experiment/log-other`, { experimentKey: key, key: name, value })

/** Tells of an error; the end mark is a beat. */
export const report = (key: string, error: string, hasCrashed: boolean): Request =>
  post(`${A}write/experiment/update-status`, { experimentKey: key, isAlive: true, error, hasCrashed })

export const systemInfo = (key: string, pairs: readonly { key: string; value: string }[]): Request =>
  post(`${C}rest/v2/write/experiment/system-details`, {
    experimentKey: key, logAdditionalSystemInfoList: pairs,
  })

const get = (path: string): Request => ({ method: 'GET', path, body: null, kind: 'other', count: 1 })

/** Needs no key. */
export const askVersion = get(`${C}isAlive/ver`)
export const askWorkspaces = get(`${A}workspaces`)
export const askProjects = (workspace: string): Request =>
  get(`${A}projects?${new URLSearchParams({ workspaceName: workspace }).toString()}`)

export const readOf = (what: 'metadata' | 'log-other' | 'parameters', key: string): Request =>
  get(`${A}experiment/${what}?experimentKey=${key}`)

export const listAssets = (key: string): Request => ({
  method: 'GET', path: `${A}experiment/asset/list?experimentKey=${key}&type=all`, body: null, kind: 'other',
  count: 1, bytesMax: COMET_SERIES_BYTES_MAX,
})

export const readMetric = (key: string, name: string): Request => {
  const query = new URLSearchParams({ experimentKey: key, metricName: name })
  return { ...get(`${A}experiment/metrics/get-metric?${query.toString()}`), bytesMax: COMET_SERIES_BYTES_MAX }
}

export type { OutputLine }
