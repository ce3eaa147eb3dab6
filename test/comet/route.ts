/** What a route is, and what its handler gets. */
import type { Part } from './body.ts'
import type { Kind, Knobs } from './knobs.ts'
import type { Entry } from './log.ts'
import type { Experiment, World, Write } from './model.ts'
import type { Shape } from './shapes.ts'

export interface Call {
  /** The fields of the body, or of the query where there is no JSON body; checked. */
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
  /** Where the API key must be: `apiKey` in the body, the header Authorization, or nowhere. */
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

const NAME_MAX = 100
const NAME_CUT = ' [truncated]'
const VALUE_MAX = 1_000 + NAME_CUT.length
const DAY_MS = 86_400_000

/** A write with its time and request; what a good client would not send is noted, not refused. */
export function writeOf({ entry }: Call, name: string, value: unknown, item: Record<string, any>): Write {
  const timestamp: number | null = item['timestamp'] ?? null
  const now = Date.now()
  const odd = (what: string): void => { if (!entry.odd.includes(what)) entry.odd.push(what) }
  if (name.length > NAME_MAX && !(name.endsWith(NAME_CUT) && name.length <= NAME_MAX + NAME_CUT.length)) {
    odd(`a name of ${name.length} characters`)
  }
  if (typeof value === 'string' && value.length > VALUE_MAX) odd(`a value of ${value.length} characters`)
  if (timestamp !== null && Math.abs(timestamp - now) > DAY_MS) odd(`timestamp ${timestamp} is not of today`)
  return {
    value, step: item['step'] ?? null, epoch: item['epoch'] ?? null, context: item['context'] ?? null,
    timestamp, request: entry.n, at: now,
  }
}
