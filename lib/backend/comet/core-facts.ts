/**
 * What Comet is told of a run beside rows and texts: name, tags, parameters, others, nodes. Pure.
 *
 * In: the picture of the run. Out: its facts, and the requests for those that the server does not know yet.
 * Invariant: each fact overwrites itself, so one that is told again changes nothing; the newest holds.
 */
import { COMET_EARLIER_RUNS_MAX, COMET_PARAMETERS_BATCH } from '../../limits-comet.ts'
import type { RunStatus } from '../../record/run-status.ts'
import { nameOf, textOf } from './core-names.ts'
import { addTags, logOther, oneParameter, parameters, systemInfo, type Request } from './core-requests.ts'

/** By kind and name, JSON each. */
export type Facts = Map<string, string>

/** A request, and the facts that the server knows once it has been answered. */
export interface Telling {
  request: Request
  facts: readonly (readonly [string, string])[]
}

const KINDS = ['other', 'tag', 'param', 'node'] as const

/** Whose experiment it is; told first. And which runs were in it before. */
const [OWNER, EARLIER] = ['rankzero run', 'rankzero earlier runs']

/** Of what the server answers when asked for others, or parameters. Null: it has none of this name. */
export function currentOf(answer: Readonly<Record<string, unknown>> | null, wanted: string): string | null {
  const values = Array.isArray(answer?.['values']) ? answer['values'] as Record<string, unknown>[] : []
  const current = values.find(({ name }) => name === wanted)?.['valueCurrent']
  return typeof current === 'string' ? current : null
}

/** Null: nobody's, as far as known. */
export const ownerOf = (others: Readonly<Record<string, unknown>> | null): string | null =>
  currentOf(others, OWNER)

/** Other runs that have been in it, the newest last. */
export function earlierOf(others: Readonly<Record<string, unknown>> | null, run: string): string[] {
  const told = currentOf(others, EARLIER)?.split(', ') ?? []
  const all = new Set([...told, ownerOf(others) ?? run])
  return [...all].filter((one) => one !== run).slice(-COMET_EARLIER_RUNS_MAX)
}

export function factsOf(
  picture: RunStatus, tags: readonly string[], earlier: readonly string[] = [],
): Facts {
  const facts: Facts = new Map()
  const set = (kind: typeof KINDS[number], name: string, value: unknown): void => {
    facts.set(`${kind} ${nameOf(name)}`, JSON.stringify(value) ?? 'null')
  }
  set('other', OWNER, picture.run)
  if (earlier.length > 0) set('other', EARLIER, earlier.join(', '))
  set('other', 'Name', textOf(picture.name))
  set('other', 'Created from', 'rankzero')
  set('other', 'rankzero ranks', picture.ranks)
  if (picture.status !== null) set('other', 'rankzero status', picture.status)
  for (const { key, value, divergence } of picture.others ?? []) {
    if (!facts.has(`other ${nameOf(key)}`)) set('other', key, plainOf(value))
    if (divergence !== undefined) set('other', `${key}, by rank`, byRank(divergence))
  }
  for (const tag of [...tags, ...picture.tags ?? []]) set('tag', tag, true)
  for (const { key, value, divergence } of picture.params) {
    for (const [name, each] of flat(key, value)) set('param', name, each)
    if (divergence !== undefined) set('other', `${key}, by rank`, byRank(divergence))
  }
  for (const [host, ranks] of nodesOf(picture)) set('node', host, `ranks ${ranks}`)
  for (const { name, thinned = 0, rejected = 0, assets } of picture.backends) {
    if (name !== 'comet') continue
    if (thinned > 0) set('other', 'rankzero points not sent', thinned)
    if (rejected > 0) set('other', 'rankzero points refused', rejected)
    if ((assets?.rejected ?? 0) > 0) set('other', 'rankzero assets refused', assets!.rejected)
  }
  for (const [index, failure] of picture.failed.entries()) {
    set('other', `failure ${index + 1}`, textOf(failureText(failure)))
  }
  return facts
}

/** Objects become one parameter per field, as far as they go; other lists than of plain values are text. */
function* flat(name: string, value: unknown): Iterable<[string, unknown]> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const fields = Object.entries(value)
    if (fields.length === 0) yield [name, '{}']
    for (const [field, each] of fields) yield* flat(`${name}/${field}`, each)
  } else if (Array.isArray(value) && !value.every(isPlain)) yield [name, textOf(JSON.stringify(value))]
  else yield [name, typeof value === 'string' ? textOf(value) : value]
}

const byRank = (divergence: readonly { ranks: string; value: unknown }[]): string =>
  textOf(divergence.map(({ ranks, value }) => `${ranks}: ${JSON.stringify(value)}`).join('; '))

/** Others are of one value each. */
const plainOf = (value: unknown): unknown => typeof value === 'string' ? textOf(value)
  : isPlain(value) && value !== null ? value : textOf(JSON.stringify(value))

const isPlain = (value: unknown): boolean => value === null || typeof value !== 'object'

/** Their ranks, as the members say. */
function nodesOf({ members }: RunStatus): Map<string, string> {
  const ranks = new Map<string, Set<number>>()
  for (const { host, rank } of members) ranks.set(host, (ranks.get(host) ?? new Set()).add(rank))
  return new Map([...ranks].map(([host, all]) => [host, [...all].sort((a, b) => a - b).join(',')]))
}

export function failureText({ rank, host, exit, signal, cause, error, lastStep, recovered }:
RunStatus['failed'][number]): string {
  const who = rank < 0 ? 'the command' : `rank ${rank}`
  const how = signal !== null ? `signal ${signal}` : exit !== null ? `exit ${exit}` : cause
  const step = lastStep === null ? '' : `, last step ${lastStep}`
  const what = error === undefined ? '' : `: ${error.type}: ${error.message}`
  return `${who} on ${host}: ${how}${step}${recovered ? ', recovered' : ''}${what}`
}

/**
 * The requests that tell what is new, most wanted first. `now`: ms since the epoch; `singly`: the server has
 * no batches.
 */
export function tellings(key: string, facts: Facts, known: Facts, now: number, singly = false): Telling[] {
  const fresh = [...facts].filter(([fact, value]) => known.get(fact) !== value)
  const of = (kind: typeof KINDS[number]): (readonly [string, string])[] =>
    fresh.filter(([fact]) => fact.startsWith(`${kind} `))
  const bare = (fact: string): string => fact.slice(fact.indexOf(' ') + 1)
  const out: Telling[] = []
  for (const fact of of('other')) {
    const request = logOther(key, bare(fact[0]), JSON.parse(fact[1]) as string)
    out.push({ request, facts: [fact] })
  }
  const tags = of('tag')
  if (tags.length > 0) out.push({ request: addTags(key, tags.map(([fact]) => bare(fact))), facts: tags })
  const params = of('param')
  const size = singly ? 1 : COMET_PARAMETERS_BATCH
  for (let at = 0; at < params.length; at += size) {
    const some = params.slice(at, at + size)
    const values = some.map(([fact, value]) => ({
      parameterName: bare(fact), parameterValue: JSON.parse(value) as unknown, step: null,
      source: 'manual' as const, context: null, timestamp: now,
    }))
    out.push({ request: singly ? oneParameter(key, values[0]!) : parameters(key, values), facts: some })
  }
  const nodes = of('node')
  if (nodes.length > 0) {
    const pairs = nodes.map(([fact, value]) => (
      { key: `node ${bare(fact)}`, value: JSON.parse(value) as string }))
    out.push({ request: systemInfo(key, pairs), facts: nodes })
  }
  return out
}
