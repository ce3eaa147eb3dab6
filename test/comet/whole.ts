/** What sdk_whole.py logs, and what a stand-in holds of it, in the same form. */
import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import type { Desk } from './desk.ts'

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const of = (text: string): string => sha256(Buffer.from(text))
const BLOB = sha256(Buffer.from(Array.from({ length: 2_560 }, (_, i) => i % 256)))
const MANY = Array.from({ length: 1_500 }, (_, i) => [(i + 7) / 8, i + 7, 2, null])

/** Of a metric: value, step, epoch, context. A step and an epoch stay until others are named. */
const METRICS = {
  loss: [[0.5, 3, 1, null], [0.25, 5, 2, 'train'], [0.125, 6, 2, 'validate']],
  nan: [['NaN', 4, 1, null]], pinf: [['Infinity', 4, 1, null]], ninf: [['-Infinity', 4, 1, null]],
  big: [[2 ** 60, 4, 1, null]], acc: [[1, 6, 2, 'validate']], many: MANY,
}

/** By name: type, and what was asked for or is known of its bytes. */
const ASSETS = {
  'auto-generated-in-the-backend': { type: 'text-sample', sha256: of('a text'), step: 1_507 },
  'd/blob.bin': { type: 'asset', sha256: BLOB, step: 1_507, metadata: '{"m":1}' },
  'data.json': { type: 'asset', size: 7 },
  'pic.png': { type: 'image', size: 69 },
  'fig': { type: 'image', sha256: of('<svg/>') },
  'blob.bin': { type: 'model-element', groupingName: 'net', sha256: BLOB },
  'k.pt': { type: 'asset', link: 's3://b/k.pt', sha256: null },
  'h': { type: 'histogram3d' },
  'confusion-matrix.json': { type: 'confusion-matrix' },
  'roc': { type: 'curve' },
  't.csv': { type: 'asset' },
}
/** An archive has no artifacts. */
export const ARTIFACT_ASSETS = {
  'in/blob.bin': { type: 'asset', sha256: BLOB, artifactVersionId: expect.any(String) },
  'k2': { type: 'asset', link: 'https://host/k2', artifactVersionId: expect.any(String) },
}

export const WHOLE = {
  name: 'run A', project: 'proj', workspace: 'ws', state: 'ended', errors: [], afterEnd: 0, throttled: false,
  html: '<b>x</b>', notes: { graph: [{ graph: 'a graph' }] }, tags: ['t1', 't2', 't3'],
  parameters: { lr: 0.1, layers: [1, 2], none: null, flag: true, opt: 'adam', curr_step: 1_507 },
  others: { Name: 'run A', k: 'v' },
  system: {
    hostname: expect.any(String), pid: expect.any(Number), installedPackages: expect.any(Array),
    logAdditionalSystemInfoList: [{ key: 'node', value: 'n0' }],
  },
  series: METRICS,
  assets: ASSETS,
}

export function wholeOf(desk: Desk, key: string): object {
  const view = desk.experiment(key)!
  const { 'process duration': _, ...series } = desk.series(key)
  return {
    ...view, tags: view.tags.sort(),
    series: Object.fromEntries(Object.entries(series).map(([name, writes]) =>
      [name, writes.map(({ value, step, epoch, context }) => [value, step, epoch, context])])),
    assets: Object.fromEntries(view.assets.map((asset) => [asset.fileName, asset])),
  }
}
