/**
 * Room backend: where a session shows itself. One port (port.ts), one file per backend, all of one shape.
 *
 * In: the picture of one session, its rows in batches. Out: what the tracker behind the backend keeps.
 * Invariants: a backend never delays training nor another backend; what it does not take stays in the ledger.
 * It does not merge, does not decide when to send or to try again (session/core-outbox.ts), and keeps no
 * books: the ledger does.
 */
import { join } from 'node:path'
import { resolveKeys, type KeyName, type Keys } from '../config/keys.ts'
import { findSetting, type Env, type Layer, type Settings, type Sources } from '../config/settings.ts'
import { checkComet, cometBackend } from './comet/index.ts'
import { jsonlBackend } from './jsonl.ts'
import type { Backend, BackendCheck, BackendPlace } from './port.ts'
import { webhookBackend } from './webhook.ts'

export type {
  Backend, BackendCheck, BackendPlace, BackendUse, Capabilities, Cursor, Encoded, Finding, Leftover, Outcome,
  StreamAsset, StreamEvent, StreamRow, StreamSystem, StreamText, Writer,
} from './port.ts'

/** The settings that backends have a use for. */
export type PlaceSettings = Pick<Settings, typeof PLACE_SETTINGS[number]>
const PLACE_SETTINGS = [
  'jsonlDir', 'cometUrl', 'workspace', 'tags', 'rankSeries', 'offline', 'cometCalls', 'cometMetrics',
  'cometParameters', 'cometOutput', 'cometOther', 'cometPoints',
] as const

/** Not by flags, since whoever starts an aggregator again has none. */
export const placeSettings = (env: Env, layers: readonly Layer[] = []): PlaceSettings => Object.fromEntries(
  PLACE_SETTINGS.map((name) => [name, findSetting(name, { env, layers }).value])) as PlaceSettings

export interface PlacedRun {
  run: string
  /** Run directory. */
  dir: string
  settings: PlaceSettings
}

/** What a backend works with, in this process only. */
export interface Means {
  /** Run directory. */
  dir: string
  keys: Keys
  /** Each call is logged. */
  debug: boolean
}

interface Kind {
  /** Without these it cannot work. */
  keys?: readonly KeyName[]
  /** It is told of events, and gets no rows. */
  ofEvents?: true
  /** It has a place for files. */
  ofAssets?: true
  place: (run: PlacedRun) => BackendPlace
  open: (place: BackendPlace, means: Means) => Backend
  /** Absent: there is nothing that could be asked before a run. */
  check?: (place: BackendPlace, project: string, keys: Keys) => Promise<BackendCheck>
}

/** Those that something is sent to. `local` is always there, and needs nothing. */
const KINDS: Readonly<Record<string, Kind>> = {
  jsonl: {
    place: ({ run, dir, settings: { jsonlDir } }) =>
      ({ file: jsonlDir === null ? join(dir, 'rows.jsonl') : join(jsonlDir, `${run}.jsonl`) }),
    open: ({ file = '' }) => jsonlBackend(file),
  },
  comet: {
    keys: ['cometApiKey'],
    ofAssets: true,
    place: ({ settings }) => ({
      server: settings.cometUrl ?? '', workspace: settings.workspace ?? '', tags: settings.tags.join(','),
      rankSeries: settings.rankSeries, offline: settings.offline ? 'yes' : '',
      calls: rateText(settings.cometCalls), metric: rateText(settings.cometMetrics),
      parameter: rateText(settings.cometParameters), output: rateText(settings.cometOutput),
      other: rateText(settings.cometOther), points: `${settings.cometPoints}`,
    }),
    open: (place, { dir, keys, debug }) => cometBackend(place, dir, keys.cometApiKey, debug),
    check: (place, project, { cometApiKey }) => checkComet(place, project, cometApiKey),
  },
  webhook: {
    keys: ['webhookUrl', 'webhookSecret'],
    ofEvents: true,
    place: () => ({}),
    open: (_place, { keys }) => webhookBackend(keys),
  },
}

/** It gets no rows, so it has no part in the books of points. */
export const isOfEvents = (name: string): boolean => KINDS[name]?.ofEvents === true

export const takesAssets = (name: string): boolean => KINDS[name]?.ofAssets === true

const rateText = ({ max, windowMs }: Settings['cometCalls']): string => `${max}/${windowMs}`

export const BACKENDS: readonly string[] = ['local', ...Object.keys(KINDS)]

/** By name: the backends of a run, with their places. */
export type Chosen = Readonly<Record<string, BackendPlace>>

/** Those of an earlier life of the run, as they were, and new ones; a run forgets none that it began with. */
export function choose(
  before: Chosen, names: readonly string[], run: PlacedRun,
): Chosen {
  const fresh = names.filter((name) => Object.hasOwn(KINDS, name) && !Object.hasOwn(before, name))
  return { ...before, ...Object.fromEntries(fresh.map((name) => [name, KINDS[name]!.place(run)])) }
}

/** One of a newer version is left out: it stays pending. */
export const openBackends = (chosen: Chosen, means: Means): Backend[] => Object.entries(chosen)
  .filter(([name]) => Object.hasOwn(KINDS, name)).map(([name, place]) => KINDS[name]!.open(place, means))

/** What these backends log in with. */
export const keysOf = (names: readonly string[]): readonly KeyName[] =>
  names.flatMap((name) => KINDS[name]?.keys ?? [])

/** What would go wrong at each of them, asked now. @throws RankzeroError USAGE for a setting of no use. */
export async function checkBackends(names: readonly string[], sources: Sources): Promise<BackendCheck[]> {
  const run = { run: '', dir: '', settings: placeSettings(sources.env, sources.layers) }
  const project = findSetting('project', sources).value
  const keys = await resolveKeys(sources, keysOf(names))
  return Promise.all(names.flatMap((name) => {
    const { place, check } = KINDS[name] ?? {}
    return check === undefined ? [] : [check(place!(run), project, keys)]
  }))
}

/** As they are kept in the ledger's meta data, under `backends`. */
export const writeChosen = (chosen: Chosen): string => JSON.stringify(chosen)
export function readChosen(meta: Readonly<Record<string, string>>): Chosen {
  try {
    return JSON.parse(meta['backends'] ?? '{}') as Chosen
  } catch {
    return {} // Of a damaged ledger: its points can be read all the same.
  }
}
