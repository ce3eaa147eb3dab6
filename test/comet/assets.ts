/** Uploads: files, references, models; by the SDK's path and by REST (comet.md 1.5, 2.3). */
import { refuse } from './refusals.ts'
import { SAVED, type Call } from './route.ts'
import type { Shape } from './shapes.ts'

const OPTIONS: Shape = {
  fileName: 'str?', extension: 'str?', type: 'str?', overwrite: 'bool?', step: 'int?', epoch: 'int?',
  context: 'str?', groupingName: 'str?', artifactVersionId: 'str?', isRemote: 'bool?', source: 'str?',
  metadata: 'str?',
}

/** Of the query, by the SDK's path. */
export const ASSET_FIELDS: Shape = {
  experimentId: 'str', projectId: 'str?', runId: 'str?', assetId: 'str?', ...OPTIONS,
}
/** Figures and images travel apart from other files, under names of their own. */
export const VISUAL_FIELDS: Shape = { ...ASSET_FIELDS, figName: 'str?', figCounter: 'int?', imageId: 'str?' }
/** Of the query, by REST. */
export const REST_ASSET_FIELDS: Shape = { experimentKey: 'str', ...OPTIONS }

/** `usual`: the type of what says none. */
export function storeAsset({ fields, parts, experiment, world }: Call, usual = 'asset'): object {
  const file = parts.get('file')
  const link = parts.get('link')
  const remote = fields['isRemote'] === true
  if (remote && link === undefined) refuse('a remote asset needs the part link')
  if (!remote && file === undefined) refuse('an asset needs the part file')
  const metadata = parts.get('metadata')?.bytes.toString('utf8') ?? fields['metadata'] ?? null
  if (metadata !== null) checkMetadata(metadata)
  if (fields['artifactVersionId'] !== undefined) world.artifactVersion(fields['artifactVersionId'])
  const { assetId } = experiment.addAsset({
    assetId: fields['imageId'] ?? fields['assetId'] ?? world.newId(),
    fileName: fields['figName'] ?? fields['fileName'] ?? file?.fileName ?? 'file',
    type: fields['type'] ?? usual, bytes: remote ? null : file!.bytes,
    link: remote ? link!.bytes.toString('utf8') : null,
    step: fields['step'] ?? null, epoch: fields['epoch'] ?? null, context: fields['context'] ?? null,
    groupingName: fields['groupingName'] ?? null, artifactVersionId: fields['artifactVersionId'] ?? null,
    metadata, at: Date.now(),
  })
  return { ...SAVED, assetId }
}

export const REMOTE_BATCH_FIELDS: Shape = {
  experimentKey: 'str',
  remoteArtifactAssetRequests: [{ link: 'str', assetId: 'str?', runId: 'str?', ...OPTIONS }],
}

/** References of an artifact, many a call (comet.md 1.6). */
export function storeRemoteBatch({ fields, experiment, world }: Call): object {
  const items = fields['remoteArtifactAssetRequests']
  for (const { artifactVersionId } of items) world.artifactVersion(artifactVersionId)
  for (const item of items) {
    experiment.addAsset({
      assetId: item.assetId ?? world.newId(), fileName: item.fileName ?? 'file', type: item.type ?? 'asset',
      bytes: null, link: item.link, step: item.step ?? null, epoch: item.epoch ?? null,
      context: item.context ?? null, groupingName: null, artifactVersionId: item.artifactVersionId,
      metadata: item.metadata ?? null, at: Date.now(),
    })
  }
  return SAVED
}

function checkMetadata(text: string): void {
  try {
    JSON.parse(text)
  } catch {
    refuse('the metadata of an asset is JSON text')
  }
}
