/** The paths of the vendor's SDK: `clientlib/…` (comet-wire.md 2, comet.md 2). */
import { ASSET_FIELDS, storeAsset, VISUAL_FIELDS } from './assets.ts'
import type { Experiment } from './model.ts'
import { CODE, refuse } from './refusals.ts'
import { lengthOf, SAVED, writeOf, type Call, type Route } from './route.ts'
import type { Shape } from './shapes.ts'

const HANDSHAKE = { apiKey: 'str', local_timestamp: 'int', libVersion: 'str' } as const
const LIMIT_MB = 200

/** Another run of that experiment: what the SDK reads from a hand-shake. */
function handshake({ world }: Call, experiment: Experiment): object {
  const runId = world.newId()
  experiment.runIds.push(runId)
  const { key, workspace, project, projectId } = experiment
  return {
    runId, project_id: projectId, githubEnabled: false, lastOffset: 0, msg: null, featureToggles: [],
    focusUrl: `http://stand-in/${workspace}/${project}/${key}`, name: experiment.name,
    upload_file_size_limit_in_mb: LIMIT_MB, asset_upload_file_size_limit_in_mb: LIMIT_MB,
    uploadVideoMaxSizeMB: LIMIT_MB, cometWebAssetUrl: null, cometWebImageUrl: null,
    cometRestApiAssetUrl: null, cometRestApiImageUrl: null, s3DirectAccessEnabled: false,
    artifactNameMaxLength: 100, assetNameMaxLength: 1000, imageNameMaxLength: 1000,
  }
}

/** Create-if-absent on the client's key: the second gets 90999, unless it asks for get-or-create. */
function addRun(call: Call): object {
  const { fields, world, entry } = call
  const key: string = fields['experimentKey']
  entry.experiment = key
  const old = world.experiments.get(key)
  if (old && !old.deleted && fields['getOrCreateEnabled'] === true) return handshake(call, old)
  const project = world.project(fields['teamName'] ?? null, fields['projectName'] ?? null)
  const made = world.create(key, project, { via: 'sdk', offline: fields['offline'] })
  return handshake(call, made)
}

function getRun(call: Call): object {
  const { fields, world, entry } = call
  const key: string = fields['previousExperiment']
  entry.experiment = key
  const old = world.experiments.get(key)
  if (!old || old.deleted) return refuse(`experiment ${key} does not exist`, CODE.noWriteAccess)
  old.resumed++
  return handshake(call, old)
}

function ofItsRun({ experiment, fields }: Call): Experiment {
  if (!experiment.runIds.includes(fields['runId'])) refuse('run does not exist', CODE.noSuchRun)
  return experiment
}

function statusReport(call: Call): object {
  ofItsRun(call).beat(call.fields['is_alive'], Date.now())
  return {
    is_alive_beat_duration_millis: call.knobs.beatMs, gpu_monitor_interval_millis: 60_000,
    cpu_monitor_interval_millis: 68_000, parameter_update_interval_millis: 60_000, pending_rpcs: false,
  }
}

function offlineMetadata(call: Call): object {
  const experiment = ofItsRun(call)
  experiment.startMs = call.fields['startTimestamp'] ?? experiment.startMs
  experiment.endMs = call.fields['endTimestamp'] ?? experiment.endMs
  return SAVED
}

function metricBatch(call: Call): object {
  for (const item of call.fields['values']) {
    call.experiment.put('metrics', item.metricName, writeOf(call, item.metricValue, item))
  }
  return SAVED
}

function parameterBatch(call: Call): object {
  for (const item of call.fields['values']) {
    call.experiment.put('parameters', item.parameterName, writeOf(call, item.parameterValue, item))
  }
  return SAVED
}

/** A run and its key in the body, as the hand-shake's followers have them. */
const RUN = { apiKey: 'str', runId: 'str', experimentKey: 'str' } as const
const itemsOf: Route['items'] = ({ values }) => lengthOf(values)

const get = (path: string, run: Route['run']): Route =>
  ({ method: 'GET', path: `clientlib/${path}`, auth: 'none', form: 'query', fields: {}, kind: null, run })
const post = (path: string, fields: Shape, run: Route['run'], more: Partial<Route> = {}): Route => ({
  method: 'POST', path: `clientlib/${path}`, auth: 'body', form: 'json', fields, kind: 'other', run, ...more,
})
const upload = (path: string, fields: Shape, usual: string): Route =>
  post(path, fields, (call) => storeAsset(call, usual), { auth: 'header', form: 'multipart' })

export const SDK_ROUTES: Route[] = [
  get('isAlive/ver', ({ knobs }) => ({ msg: 'Healthy Server', version: knobs.version })),
  get('health/ping', () => ({ msg: 'pong' })),
  post('logger/add/run', {
    ...HANDSHAKE, experimentKey: 'str', offline: 'bool', projectName: 'str?', teamName: 'str?',
    getOrCreateEnabled: 'bool?',
  }, addRun),
  post('logger/get/run', { ...HANDSHAKE, previousExperiment: 'str' }, getRun),
  post('asset/3d-limits', { apiKey: 'str', experimentKey: 'str' }, () => ({})),
  post('status-report/update', {
    ...RUN, projectId: 'str', is_alive: 'bool', local_timestamp: 'int', offline: 'bool',
  }, statusReport),
  post('status-report/offline-metadata', {
    ...RUN, startTimestamp: 'int?', endTimestamp: 'int?',
  }, offlineMetadata),
  post('tags/add-tags-to-experiment', { apiKey: 'str', experimentKey: 'str', addedTags: ['str'] },
    ({ experiment, fields }) => {
      for (const tag of fields['addedTags']) experiment.tags.add(tag)
      return SAVED
    }),
  post('batch/logger/experiment/metric', {
    experimentKey: 'str',
    values: [{
      metricName: 'str', metricValue: 'number or str', step: 'int?', epoch: 'int?', context: 'str?',
      timestamp: 'int',
    }],
  }, metricBatch, { auth: 'header', kind: 'metric', items: itemsOf }),
  post('batch/logger/experiment/parameter', {
    experimentKey: 'str',
    values: [{
      parameterName: 'str', parameterValue: 'value', step: 'int?', source: 'str', context: 'str?',
      timestamp: 'int',
    }],
  }, parameterBatch, { auth: 'header', kind: 'parameter', items: itemsOf }),
  upload('asset/upload', ASSET_FIELDS, 'asset'), upload('git-patch/upload', ASSET_FIELDS, 'git-patch'),
  upload('visualizations/upload', VISUAL_FIELDS, 'image'),
  post('notification/experiment', {}, () => SAVED, { auth: 'header', form: 'loose' }),
  post('notify/event', {}, () => SAVED, { auth: 'header', form: 'loose' }),
  post('log/add', {}, () => SAVED, { auth: 'header', form: 'loose' }),
]
