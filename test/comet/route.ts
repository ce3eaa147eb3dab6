/** What a route is, and what its handler gets. */
import type { Part } from './body.ts'
import type { Kind, Knobs } from './knobs.ts'
import type { Entry } from './log.ts'
import type { Experiment, World, Write } from './model.ts'
import type { Shape } from './shapes.ts'

export interface Call {
  /** The fields of the query and of a JSON body; checked. */
  fields: Record<string, any>
  parts: Map<string, Part>
  /** Of the field `experimentKey` or `experimentId`, where the route has one. */
  experiment: Experiment
  world: World
  knobs: Knobs
  entry: Entry
}

export interface Route {
  method: 'GET' | 'POST' | 'PUT'
  /** `clientlib/…` or `api/rest/v2/…`; `*` stands for one name. */
  path: string
  /** Where the API key must be: `apiKey` in the body (or the header), the header Authorization, nowhere. */
  auth: 'none' | 'body' | 'header'
  /** Where the fields are. `loose`: a body that need not be JSON nor of any shape. */
  form: 'json' | 'query' | 'multipart' | 'loose'
  fields: Shape
  /** null: free of budgets. */
  kind: Kind | null
  /** Points, lines or values in it (1). */
  items?: (fields: Record<string, any>) => number
  /** Returns the answer: an object as JSON, bytes as they are, null for an empty body. */
  run: (call: Call) => object | Buffer | null
}

/** The answer of most writes (comet.md 1.2). */
export const SAVED = { msg: 'saved', code: 200, data: null, sdk_error_code: 0 }

/** Of what should be a list; its shape is looked at later. */
export const lengthOf = (list: unknown): number => Array.isArray(list) ? list.length : 0

/** A value with its time and the number of its request. */
export function writeOf({ entry }: Call, value: unknown, item: Record<string, any>): Write {
  return {
    value, step: item['step'] ?? null, epoch: item['epoch'] ?? null, context: item['context'] ?? null,
    timestamp: item['timestamp'] ?? null, request: entry.n, at: Date.now(),
  }
}
