/** From a request to its answer: route, key, budget, fields, then the model. Throws a Refusal. */
import type { IncomingMessage } from 'node:http'
import { createHash } from 'node:crypto'
import { jsonOf, partsOf, unpacked, type Part } from './body.ts'
import type { Budgets, Kind, Knobs } from './knobs.ts'
import { keyStart, type Entry } from './log.ts'
import type { Experiment, World } from './model.ts'
import { oddities } from './oddities.ts'
import { CODE, Refusal } from './refusals.ts'
import type { Call, Route } from './route.ts'
import { READ_ROUTES } from './routes-read.ts'
import { REST_ROUTES } from './routes-rest.ts'
import { SDK_ROUTES } from './routes-sdk.ts'
import { fromQuery, wrongWith } from './shapes.ts'

const ROUTES = [...SDK_ROUTES, ...REST_ROUTES, ...READ_ROUTES]
const DIGEST_HEX = 16
/** Fields whose key must exist before anything is done; the hand-shake looks for itself. */
const OF_EXPERIMENT = ['experimentKey', 'experimentId']
const HANDSHAKES = ['clientlib/logger/add/run', 'clientlib/logger/get/run']

const patterns = new Map(ROUTES.map((route) =>
  [route, new RegExp(`^${route.path.replace(/[.]/g, '\\.').replace('*', '([^/]+)')}$`)]))

interface Found { route: Route; star: string | undefined }

function routeOf(method: string, path: string, missing: readonly string[]): Found {
  const unknown = new Refusal(404, `/${path} is not known here`)
  if (missing.some((start) => path.startsWith(start))) throw unknown
  const fits = ROUTES.filter((route) => patterns.get(route)!.test(path))
  if (fits.length === 0) throw unknown
  const route = fits.find((one) => one.method === method)
  if (!route) throw new Refusal(405, `/${path} takes ${fits[0]!.method}, not ${method}`)
  return { route, star: patterns.get(route)!.exec(path)![1] }
}

/** What a request counts as, before anything else is known of it; a path that is not there is a call too. */
export const kindOf = (method: string, path: string): Kind | null => {
  const route = ROUTES.find((one) => one.method === method && patterns.get(one)!.test(path))
  return route === undefined ? 'other' : route.kind
}

/** Throws unless it is a key of the server; its start goes into the log either way. */
function checkKey({ auth }: Route, request: IncomingMessage, inBody: unknown, knobs: Knobs, entry: Entry)
: string {
  const header = request.headers.authorization
  const key = auth === 'header' ? header : inBody ?? header
  if (typeof key === 'string') entry.key = keyStart(key)
  if (auth === 'none' || (typeof key === 'string' && knobs.keys.includes(key))) return String(key)
  if (auth === 'header') throw new Refusal(401, 'the API key is not valid', CODE.noSuchKey)
  throw new Refusal(400, 'the API key is not registered', CODE.noSuchKey)
}

function experimentOf({ route, star }: Found, fields: Call['fields'], world: World, entry: Entry)
: Experiment | null {
  const field = OF_EXPERIMENT.find((name) => Object.hasOwn(route.fields, name))
  if ((field === undefined && star === undefined) || HANDSHAKES.includes(route.path)) return null
  const key = star ?? fields[field!]
  if (key === undefined && route.fields[field!] === 'str?') return null
  if (typeof key === 'string') entry.experiment = key
  return world.find(key)
}

function objectOf(bytes: Buffer): Record<string, any> {
  const value = jsonOf(bytes)
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isMap) throw new Refusal(400, 'the body is not an object')
  return value
}

export interface Arrived { request: IncomingMessage; url: URL; wire: Buffer }

export function dispatch({ request, url, wire }: Arrived, entry: Entry, state: {
  world: World; knobs: Knobs; budgets: Budgets
}): ReturnType<Route['run']> {
  const { world, knobs, budgets } = state
  const { route, star } = routeOf(request.method!, url.pathname.slice(1), knobs.missing)
  if (knobs.bodyBytesMax !== null && wire.length > knobs.bodyBytesMax) {
    throw new Refusal(413, `a body of ${wire.length} bytes; ${knobs.bodyBytesMax} at most`)
  }
  const bytes = unpacked(request, wire)
  entry.digest = createHash('sha256').update(bytes).digest('hex').slice(0, DIGEST_HEX)
  let fields: Record<string, any> = {}
  let parts = new Map<string, Part>()
  // Whose key is wrong learns nothing of the rest: the header is looked at before the body.
  if (route.auth === 'header') checkKey(route, request, null, knobs, entry)
  if (route.form !== 'loose') fields = fromQuery(url.searchParams, route.fields)
  if (route.form === 'json') fields = { ...fields, ...objectOf(bytes) }
  if (route.form === 'multipart') parts = partsOf(request, bytes)
  const key = checkKey(route, request, fields['apiKey'], knobs, entry)
  entry.items = route.items?.(fields) ?? (route.kind === null ? 0 : 1)
  const experiment = experimentOf({ route, star }, fields, world, entry)
  if (route.kind !== null) {
    try {
      budgets.charge(key, route.kind, entry.items, knobs, Date.now())
    } catch (error) {
      if (experiment) experiment.throttled = true
      throw error
    }
  }
  const wrong = route.form === 'loose' ? null : wrongWith(fields, route.fields)
  if (wrong !== null) throw new Refusal(400, `the body${wrong}`)
  if (entry.kind === 'metric' && entry.items > knobs.batchItemsMax) {
    throw new Refusal(400, `a batch of ${entry.items}; ${knobs.batchItemsMax} at most`)
  }
  const call: Call = { fields, parts, experiment: experiment!, world, knobs, entry }
  const answer = route.run(call)
  entry.stored = request.method !== 'GET'
  entry.odd = oddities(fields, Date.now())
  return answer
}
