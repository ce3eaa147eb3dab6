/**
 * Room backend: where a session shows itself. One port (port.ts), one file per backend, all of one shape.
 *
 * In: the picture of one session, its rows in batches. Out: what the tracker behind the backend keeps.
 * Invariants: a backend never delays training nor another backend; what it does not take stays in the ledger.
 * It does not merge, does not decide when to send or to try again (session/core-outbox.ts), and keeps no
 * books: the ledger does.
 */
import { join } from 'node:path'
import { findSetting, type Env, type Settings } from '../config/settings.ts'
import { cometBackend } from './comet/index.ts'
import { jsonlBackend } from './jsonl.ts'
import type { Backend, BackendPlace } from './port.ts'

export type {
  Backend, BackendPlace, Capabilities, Cursor, Encoded, Leftover, Outcome, StreamAsset, StreamRow,
  StreamSystem, StreamText, Writer,
} from './port.ts'

/** The settings that backends have a use for. */
export type PlaceSettings = Pick<Settings, typeof PLACE_SETTINGS[number]>
const PLACE_SETTINGS = [
  'jsonlDir', 'cometUrl', 'workspace', 'tags', 'rankSeries', 'offline', 'cometCalls', 'cometMetrics',
  'cometParameters', 'cometOutput', 'cometOther', 'cometPoints',
] as const

/** They come by the environment only, since whoever starts an aggregator again has no flags. */
export const placeSettings = (env: Env): PlaceSettings => Object.fromEntries(
  PLACE_SETTINGS.map((name) => [name, findSetting(name, { env }).value])) as PlaceSettings

export interface PlacedRun {
  run: string
  /** Run directory. */
  dir: string
  settings: PlaceSettings
}

interface Kind {
  place: (run: PlacedRun) => BackendPlace
  open: (place: BackendPlace, dir: string) => Backend
}

/** Those that rows are sent to. `local` is always there, and needs none. */
const KINDS: Readonly<Record<string, Kind>> = {
  jsonl: {
    place: ({ run, dir, settings: { jsonlDir } }) =>
      ({ file: jsonlDir === null ? join(dir, 'rows.jsonl') : join(jsonlDir, `${run}.jsonl`) }),
    open: ({ file = '' }) => jsonlBackend(file),
  },
  comet: {
    place: ({ settings }) => ({
      server: settings.cometUrl ?? '', workspace: settings.workspace ?? '', tags: settings.tags.join(','),
      rankSeries: settings.rankSeries, offline: settings.offline ? 'yes' : '',
      calls: rateText(settings.cometCalls), metric: rateText(settings.cometMetrics),
      parameter: rateText(settings.cometParameters), output: rateText(settings.cometOutput),
      other: rateText(settings.cometOther), points: `${settings.cometPoints}`,
    }),
    open: (place, dir) => cometBackend(place, dir, process.env),
  },
}

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

/** One of a newer version is left out: it stays pending. `dir`: the run directory. */
export const openBackends = (chosen: Chosen, dir: string): Backend[] => Object.entries(chosen)
  .filter(([name]) => Object.hasOwn(KINDS, name)).map(([name, place]) => KINDS[name]!.open(place, dir))

/** As they are kept in the ledger's meta data, under `backends`. */
export const writeChosen = (chosen: Chosen): string => JSON.stringify(chosen)
export function readChosen(meta: Readonly<Record<string, string>>): Chosen {
  try {
    return JSON.parse(meta['backends'] ?? '{}') as Chosen
  } catch {
    return {} // Of a damaged ledger: its points can be read all the same.
  }
}
