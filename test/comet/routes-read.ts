/** REST v2 reads: `api/rest/v2/…` (comet.md 1.8); what was stored is seen `readLagMs` later. */
import { downsampled, type Experiment, type Write } from './model.ts'
import { CODE, refuse } from './refusals.ts'
import type { Call, Route } from './route.ts'
import type { Shape } from './shapes.ts'

const OF = { experimentKey: 'str' } as const

const get = (path: string, fields: Shape, run: Route['run']): Route => ({
  method: 'GET', path: `api/rest/v2/${path}`, auth: 'header', form: 'query', fields, kind: 'other', run,
})

function metadataOf(experiment: Experiment, { knobs }: Call): object {
  const { key, name, projectId, project, workspace, startMs, endMs, archived, life, throttled } = experiment
  const now = Date.now()
  return {
    experimentKey: key, experimentName: name, projectId, projectName: project, workspaceName: workspace,
    startTimeMillis: startMs, endTimeMillis: endMs, durationMillis: (endMs ?? now) - startMs, archived,
    running: experiment.running(now, knobs.aliveMs), hasCrashed: life.crashed, throttle: throttled,
    throttleMessage: throttled ? 'data was throttled' : null, throttleReasons: throttled ? ['throttled'] : [],
    fileName: null, filePath: null, optimizationId: null,
  }
}

function experiments(call: Call): object {
  const { projectId, workspaceName, projectName } = call.fields
  const found = [...call.world.experiments.values()].filter((one) => !one.deleted
    && (projectId ?? one.projectId) === one.projectId
    && (workspaceName ?? one.workspace) === one.workspace
    && (projectName ?? one.project) === one.project)
  return { experiments: found.map((one) => metadataOf(one, call)) }
}

function seen({ experiment, knobs }: Call, name: string): Write[] {
  const until = Date.now() - knobs.readLagMs
  return (experiment.metrics.get(name) ?? []).filter(({ at }) => at <= until)
}

function points(call: Call, name: string): object[] {
  return downsampled(seen(call, name), call.knobs.pointsMax).map(({ value, context, request, ...at }) => ({
    metricName: name, metricValue: String(value), timestamp: at.timestamp, step: at.step, epoch: at.epoch,
    runContext: context, offset: request,
  }))
}

/** Values that are no numbers are neither the smallest nor the largest. */
function summary(name: string, writes: readonly Write[]): object[] {
  if (writes.length === 0) return []
  const numbers = writes.filter(({ value }) => !Number.isNaN(Number(value)))
  const best = (sign: number): Write => numbers.reduce((best, write) =>
    sign * Number(write.value) > sign * Number(best.value) ? write : best, numbers[0] ?? writes[0]!)
  const part = (of: string, { value, timestamp, step, context }: Write): object => ({
    [`value${of}`]: typeof value === 'string' ? value : JSON.stringify(value), [`timestamp${of}`]: timestamp,
    [`step${of}`]: step, [`runContext${of}`]: context,
  })
  const parts = { ...part('Max', best(1)), ...part('Min', best(-1)), ...part('Current', writes.at(-1)!) }
  return [{ name, ...parts, editable: false }]
}

const lastOf = (map: 'parameters' | 'others') => ({ experiment }: Call): object =>
  ({ values: [...experiment[map]].flatMap(([name, writes]) => summary(name, writes)) })

function assetList({ experiment, fields }: Call): object {
  const wanted = fields['type'] ?? 'all'
  const assets = [...experiment.assets.values()].filter(({ type }) => wanted === 'all' || type === wanted)
  return {
    assets: assets.map(({ assetId, fileName, size, type, step, context, link, metadata, at }) => ({
      assetId, fileName, fileSize: size, type, step, runContext: context, link, metadata, createdAt: at,
      dir: fileName.split('/').slice(0, -1).join('/'), remote: link !== null,
    })),
  }
}

function asset({ experiment, fields }: Call): Buffer {
  const found = experiment.assets.get(fields['assetId'])
  if (!found?.bytes) return refuse('no such asset', CODE.noSuchRun)
  return found.bytes
}

const lastNote = (name: string, field: string) => ({ experiment }: Call): object =>
  ({ [field]: (experiment.notes[name]?.at(-1) as Record<string, unknown> | undefined)?.[field] ?? null })

function models({ experiment }: Call): object {
  const elements = [...experiment.assets.values()].filter(({ type }) => type === 'model-element')
  const names = new Set(elements.map(({ groupingName }) => groupingName))
  const modelOf = (modelName: string | null): object =>
    ({ experimentModelId: modelName, experimentKey: experiment.key, modelName })
  return { models: [...names].map(modelOf) }
}

export const READ_ROUTES: Route[] = [
  get('workspaces', {}, ({ knobs }) => ({ workspaceNames: knobs.workspaces })),
  get('projects', { workspaceName: 'str' }, ({ world, fields }) => ({
    projects: [...world.projects.values()].filter(({ workspace }) => workspace === fields['workspaceName'])
      .map(({ id, name, workspace }) => ({ projectId: id, projectName: name, workspaceName: workspace })),
  })),
  get('experiments', {
    workspaceName: 'str?', projectName: 'str?', projectId: 'str?', archived: 'bool?',
  }, experiments),
  get('experiment/metadata', OF, (call) => metadataOf(call.experiment, call)),
  get('experiment/metrics/summary', OF, (call) => ({
    values: [...call.experiment.metrics.keys()].flatMap((name) => summary(name, seen(call, name))),
  })),
  get('experiment/metrics/get-metric', { ...OF, metricName: 'str' }, (call) =>
    ({ metrics: points(call, call.fields['metricName']) })),
  get('experiment/metrics/get-all', OF, (call) =>
    ({ metrics: [...call.experiment.metrics.keys()].flatMap((name) => points(call, name)) })),
  get('experiment/parameters', OF, lastOf('parameters')),
  get('experiment/log-other', OF, lastOf('others')),
  get('experiment/tags', OF, ({ experiment }) => ({ tags: [...experiment.tags] })),
  get('experiment/output', OF, ({ experiment }) =>
    ({ output: experiment.output.map(({ output }) => output).join('') })),
  get('experiment/html', OF, ({ experiment }) => ({ html: experiment.html })),
  get('experiment/graph', OF, lastNote('graph', 'graph')),
  get('experiment/code', OF, lastNote('code', 'code')),
  get('experiment/git/metadata', OF, ({ experiment }) =>
    ({ ...experiment.notes['git/metadata']?.at(-1) as object })),
  get('experiment/system-details', OF, ({ experiment }) => experiment.system),
  get('experiment/asset/list', { ...OF, type: 'str?' }, assetList),
  get('experiment/asset/get-asset', { ...OF, assetId: 'str' }, asset),
  get('experiment/model', OF, models),
]
