/**
 * Assets as Comet takes them: ids, requests, lines of an archive. Pure.
 *
 * In: assets of the stream. Out: what is sent of each. Invariants: an asset has the same id whenever and by
 * whomever it is sent, the vendor's uploader included, so that one that is there already is known by it.
 */
import { sha256 } from '../../rank/sha256.ts'
import type { Content } from '../../artifact/index.ts'
import { identityOf } from '../../record/index.ts'
import type { StreamAsset } from '../port.ts'
import { nameOf } from './core-names.ts'
import { post, type Handle, type Request } from './core-requests.ts'

export const MODEL = 'model-element'
const PAGE = 'html'
const IMAGE = 'image'

/** 32 hex digits. */
export const assetIdOf = (run: string, asset: StreamAsset): string =>
  sha256(`${run} ${identityOf(asset)}`).slice(0, 32)

/** Its bytes; null: it is a reference. */
export const contentOfAsset = ({ uri, size, sha256 }: StreamAsset): Content | null =>
  uri === undefined && size !== null && sha256 !== null ? { size, sha256 } : null

/** What a page of HTML is sent as: not as a file. */
export const isPage = ({ type, uri }: StreamAsset): boolean => type === PAGE && uri === undefined

export const page = (key: string, html: string): Request =>
  post('/api/rest/v2/write/experiment/html', { experimentKey: key, html, override: true })

interface Fields {
  fileName?: string
  figName?: string
  imageId?: string
  assetId?: string
  extension: string
  type?: string
  groupingName?: string
  step: number | null
  isRemote?: true
}

/** As the SDK names them: images have fields of their own, a file of a model is named within it. */
function fieldsOf(asset: StreamAsset, assetId: string): Fields {
  const { name, type, step, uri, metadata } = asset
  const file = name.split('/').at(-1)!
  const extension = file.includes('.') ? file.split('.').at(-1)! : ''
  if (type === IMAGE && uri === undefined) return { figName: name, imageId: assetId, extension, step }
  const model = metadata?.['model']
  const grouping = type === MODEL && typeof model === 'string' ? { groupingName: nameOf(model) } : {}
  const remote = uri === undefined ? {} : { isRemote: true as const }
  return { fileName: name, assetId, extension, type, step, ...grouping, ...remote }
}

/** With the digest, which the server does not tell. */
const metadataOf = ({ metadata, sha256: digest, size, rank, host }: StreamAsset): object => ({
  ...metadata, 'rankzero/sha256': digest, 'rankzero/size': size, 'rankzero/rank': rank, 'rankzero/host': host,
})

export function upload({ key, runId, projectId }: Handle, asset: StreamAsset, assetId: string): Request {
  const isImage = asset.type === IMAGE && asset.uri === undefined
  const query = new URLSearchParams({
    experimentId: key, ...projectId === null ? {} : { projectId }, runId, overwrite: 'False',
  })
  for (const [field, value] of Object.entries(fieldsOf(asset, assetId))) {
    if (value !== null) query.set(field, value === true ? 'True' : String(value))
  }
  const path = `/clientlib/${isImage ? 'visualizations' : 'asset'}/upload?${query.toString()}`
  const metadata = JSON.stringify(metadataOf(asset))
  const form = { content: contentOfAsset(asset), link: asset.uri ?? null, metadata }
  return { method: 'POST', path, body: null, kind: 'other', count: 1, form }
}

/** Which ids the server has; null: its answer says nothing. */
export function idsOf(answer: Readonly<Record<string, unknown>> | null): Set<string> | null {
  const list = answer?.['assets']
  return Array.isArray(list) ? new Set(list.map((one: { assetId?: unknown }) => String(one.assetId))) : null
}

/** A line of messages.json; `member`: its file in the archive. */
export function assetLine(asset: StreamAsset, assetId: string, member: string): string {
  const { type, uri } = asset
  const line = (kind: string, payload: object): string => `${JSON.stringify({ payload, type: kind })}\n`
  const { isRemote: _, ...fields } = fieldsOf(asset, assetId)
  const params = { context: null, overwrite: false, runId: null, ...fields }
  const metadata = metadataOf(asset)
  if (uri !== undefined) {
    return line('remote_file', {
      remote_uri: uri, upload_type: type, metadata, additional_params: { ...params, isRemote: true },
    })
  }
  return line('file_upload', {
    file_path: member, upload_type: type === IMAGE ? 'visualization' : type, clean: true, metadata,
    local_timestamp: Math.round(asset.time), additional_params: params,
  })
}

export const pageLine = (html: string): string =>
  `${JSON.stringify({ payload: { htmlOverride: html }, type: 'htmlOverride' })}\n`
