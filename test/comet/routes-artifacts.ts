/** Artifacts (comet.md 1.6). */
import { REMOTE_BATCH_FIELDS, storeRemoteBatch } from './assets.ts'
import type { World } from './model.ts'
import { CODE, refuse } from './refusals.ts'
import type { Call, Route } from './route.ts'
import type { Shape } from './shapes.ts'

const NAME_MAX = 100
const STATES = ['OPEN', 'CLOSED', 'ERROR']

/** Without a version the server counts on. */
function upsert({ fields, experiment, world }: Call): object {
  const name: string = fields['artifactName']
  if (name.length > NAME_MAX) refuse('the artifact name is too long')
  let artifact = experiment.artifacts.get(name)
  if (!artifact) {
    artifact = { artifactId: world.newId(), name, type: fields['artifactType'], versions: [] }
    experiment.artifacts.set(name, artifact)
  }
  const previousVersion = artifact.versions.at(-1)?.version ?? null
  const version: string = fields['version'] ?? `${artifact.versions.length + 1}.0.0`
  if (artifact.versions.some((one) => one.version === version)) {
    refuse('artifact version exists', CODE.artifactVersionExists)
  }
  const artifactVersionId = world.newId()
  artifact.versions.push({ artifactVersionId, version, state: 'OPEN', fields })
  return { artifactId: artifact.artifactId, artifactVersionId, previousVersion, currentVersion: version }
}

function state({ fields, world }: Call): null {
  const { version } = world.artifactVersion(fields['artifactVersionId'])
  if (!STATES.includes(fields['state'])) refuse('artifact state invalid', CODE.artifactState)
  if (version.state !== 'OPEN') refuse('artifact version state immutable', CODE.artifactImmutable)
  version.state = fields['state']
  return null
}

function describe({ artifact, version }: ReturnType<World['artifactVersion']>): object {
  const { fields } = version
  return {
    artifactVersion: version.version, artifactVersionId: version.artifactVersionId, state: version.state,
    metadata: fields['versionMetadata'] ?? null, alias: fields['alias'] ?? [],
    tags: fields['versionTags'] ?? [], sizeInBytes: 0, experimentKey: fields['experimentKey'],
    artifact: {
      artifactId: artifact.artifactId, artifactName: artifact.name, artifactType: artifact.type,
      workspaceName: null, tags: [],
    },
  }
}

export const ARTIFACT_ROUTES = (
  post: (path: string, fields: Shape, run: Route['run']) => Route,
  get: (path: string, fields: Shape, run: Route['run']) => Route,
): Route[] => [
  post('artifacts/upsert', {
    artifactName: 'str', artifactType: 'str', experimentKey: 'str', version: 'str?', alias: 'list?',
    versionTags: 'list?', versionMetadata: 'str?', description: 'str?', isPublic: 'bool?',
  }, upsert),
  post('artifacts/state', { artifactVersionId: 'str', experimentKey: 'str', state: 'str' }, state),
  {
    ...post('', REMOTE_BATCH_FIELDS, storeRemoteBatch),
    path: 'clientlib/rest/v2/write/artifact/assets/remote/batch',
  },
  {
    ...get('artifacts/version', {
      artifactId: 'str?', versionId: 'str', experimentKey: 'str?', consumerExperimentKey: 'str?',
    }, ({ world, fields }) => describe(world.artifactVersion(fields['versionId']))),
    path: 'api/rest/v2/artifacts/version',
  },
]
