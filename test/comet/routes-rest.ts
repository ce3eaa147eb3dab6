/** REST v2 writes: `api/rest/v2/write/…` (comet.md 1.3 to 1.5); two also under `clientlib/rest/v2/`. */
import { REST_ASSET_FIELDS, storeAsset } from './assets.ts'
import { ARTIFACT_ROUTES } from './routes-artifacts.ts'
import { CODE, refuse } from './refusals.ts'
import { lengthOf, SAVED, writeOf, type Call, type Route } from './route.ts'
import type { Shape, Type } from './shapes.ts'

const OF = { experimentKey: 'str' } as const

const post = (path: string, fields: Shape, run: Route['run'], more: Partial<Route> = {}): Route => ({
  method: 'POST', path: `api/rest/v2/write/${path}`, auth: 'header', form: 'json', fields, kind: 'other', run,
  ...more,
})
const get = (path: string, fields: Shape, run: Route['run']): Route =>
  ({ ...post(path, fields, run), method: 'GET', form: 'query' })
/** What is only kept as it came. */
const noted = (name: string, fields: Shape): Route =>
  post(`experiment/${name}`, { ...OF, ...fields }, (call) => {
    const { experimentKey: _, ...body } = call.fields
    call.experiment.note(name, body)
    return SAVED
  })
const optional = (fields: string, type: Type): Shape =>
  Object.fromEntries(fields.split(' ').map((field) => [field, `${type}?` as const]))

// --- the session

/** The key is the server's: no client was seen to choose it here. */
function create(call: Call): object {
  const { fields, world, entry } = call
  const project = world.project(fields['workspaceName'], fields['projectName'])
  const experiment = world.create(world.newId(), project, { via: 'rest', offline: false })
  entry.experiment = experiment.key
  const name: string | null = fields['experimentName'] ?? null
  if (name !== null) experiment.put('others', 'Name', writeOf(call, name, {}))
  const { key, workspace, project: projectName } = experiment
  const link = `http://stand-in/${workspace}/${projectName}/${key}`
  return { experimentKey: key, link, workspaceName: workspace, projectName, name }
}

function setStatus({ experiment, knobs }: Call): object {
  experiment.beat(true, Date.now())
  return {
    isAliveBeatDurationMillis: knobs.beatMs, gpuMonitorIntervalMillis: 60_000,
    cpuMonitorIntervalMillis: 68_000,
  }
}

function setStartEnd({ experiment, fields }: Call): object {
  experiment.startMs = fields['startTimeMillis'] ?? experiment.startMs
  experiment.endMs = fields['endTimeMillis'] ?? experiment.endMs
  return SAVED
}

/** That isAlive:false here would end anything is not known (comet.md 1.3): it is kept, and ends nothing. */
function updateStatus({ experiment, fields }: Call): object {
  experiment.errors.push({
    error: fields['error'] ?? null, isAlive: fields['isAlive'] ?? null,
    hasCrashed: fields['hasCrashed'] ?? null, at: Date.now(),
  })
  if (fields['hasCrashed'] === true) experiment.life.crashed = true
  return SAVED
}

const mark = (what: 'archived' | 'deleted', value: boolean) => ({ experiment }: Call): null => {
  experiment[what] = value
  return null
}

const SESSION: Route[] = [
  post('experiment/create', {
    workspaceName: 'str', projectName: 'str', experimentName: 'str?', disableHeartBeat: 'bool?', type: 'str?',
  }, create),
  get('experiment/set-status', OF, setStatus),
  post('experiment/set-start-end-time',
    { ...OF, startTimeMillis: 'int?', endTimeMillis: 'int?' }, setStartEnd),
  post('experiment/update-status',
    { ...OF, isAlive: 'bool?', error: 'str?', hasCrashed: 'bool?' }, updateStatus),
  get('experiment/stop', OF, ({ experiment }) => {
    experiment.life.stopAsked = true
    return { ...SAVED, msg: 'Stop Requested' }
  }),
  get('experiment/archive', OF, mark('archived', true)),
  get('experiment/restore', OF, mark('archived', false)),
  get('experiment/delete', OF, mark('deleted', true)),
  post('experiment/*/mark-not-throttled', {}, ({ experiment }) => {
    experiment.throttled = false
    return SAVED
  }),
  post('project/create', {
    workspaceName: 'str', projectName: 'str', projectDescription: 'str?', isPublic: 'bool?',
  }, ({ world, fields: { workspaceName, projectName } }) =>
    ({ projectId: world.project(workspaceName, projectName).id })),
]

// --- data: one value a call

const AT: Shape = { step: 'int?', epoch: 'int?', context: 'str?', timestamp: 'int?' }

const put = (map: 'metrics' | 'parameters' | 'others', name: string, value: string): Route['run'] =>
  (call) => {
    const { experiment, fields } = call
    experiment.put(map, fields[name], writeOf(call, fields[value], fields))
    return SAVED
  }

function output({ experiment, fields }: Call): object {
  for (const { output: text, stderr, localTimestamp, offset } of fields['outputLines']) {
    const place = { localTimestamp: localTimestamp ?? null, offset: offset ?? null }
    experiment.output.push({ output: text, stderr: stderr ?? false, ...place })
  }
  return SAVED
}

function html({ experiment, fields }: Call): object {
  experiment.html = fields['override'] === true ? fields['html'] : experiment.html + fields['html']
  return SAVED
}

const OUTPUT = post('experiment/output', {
  ...OF, runContext: 'str?', context: 'str?',
  outputLines: [{ output: 'str', stderr: 'bool?', localTimestamp: 'int?', offset: 'int?' }],
}, output, { kind: 'output', items: ({ outputLines }) => lengthOf(outputLines) })

const SYSTEM_TEXTS =
  'user pythonVersion pythonVersionVerbose osType os osRelease machine processor ip hostname executable'
const SYSTEM = post('experiment/system-details', {
  ...OF, ...optional(SYSTEM_TEXTS, 'str'), ...optional('command installedPackages osPackages', 'list'),
  ...optional('networkInterfaceIps gpuStaticInfoList logAdditionalSystemInfoList', 'list'),
  pid: 'int?', env: 'map?',
}, ({ experiment, fields: { experimentKey: _, ...details } }) => {
  Object.assign(experiment.system, details)
  return SAVED
})

/** The SDK takes this base for them, the sheet's other clients the usual one. */
const underSdk = (route: Route): Route =>
  ({ ...route, path: route.path.replace('api/rest/v2', 'clientlib/rest/v2') })

const DATA: Route[] = [
  post('experiment/metric', { ...OF, metricName: 'str', metricValue: 'scalar', ...AT },
    put('metrics', 'metricName', 'metricValue'), { kind: 'metric' }),
  post('experiment/metric/delete', { ...OF, metricName: 'str' }, ({ experiment, fields }) => {
    experiment.metrics.delete(fields['metricName'])
    return SAVED
  }),
  post('experiment/parameter', { ...OF, parameterName: 'str', parameterValue: 'scalar', ...AT },
    put('parameters', 'parameterName', 'parameterValue'), { kind: 'parameter' }),
  post('experiment/log-other', { ...OF, key: 'str', value: 'value', timestamp: 'int?' },
    put('others', 'key', 'value')),
  post('experiment/tags', { ...OF, addedTags: ['str'] }, ({ experiment, fields }) => {
    for (const tag of fields['addedTags']) experiment.tags.add(tag)
    return SAVED
  }),
  post('experiment/html', { ...OF, html: 'str', override: 'bool?', timestamp: 'int?' }, html),
  OUTPUT, underSdk(OUTPUT), SYSTEM, underSdk(SYSTEM),
  noted('graph', { graph: 'str' }), noted('code', { code: 'str' }), noted('file-path', { filePath: 'str' }),
  noted('gpu-metrics', { gpus: 'list' }), noted('cpu-metrics', { cpuPercentUtilization: 'list', ...AT }),
  noted('ram-metrics', { totalRam: 'num', usedRam: 'num', ...AT }),
  noted('load-metrics', { loadAverage: 'num', ...AT }),
  noted('cloud-details', { provider: 'str', metadata: 'any' }),
  { ...noted('dependencies', { timestamp: 'int?', logDependencies: 'list' }), method: 'PUT' },
  noted('git/metadata', optional('user root branch parent origin', 'str')),
  post('experiment/upload-asset', REST_ASSET_FIELDS, (call) => storeAsset(call), { form: 'multipart' }),
  get('experiment/asset/delete', { ...OF, assetId: 'str' }, ({ experiment, fields }) => {
    if (!experiment.assets.delete(fields['assetId'])) refuse('no such asset', CODE.noSuchRun)
    return SAVED
  }),
]

export const REST_ROUTES: Route[] = [...SESSION, ...DATA, ...ARTIFACT_ROUTES(post, get)]
