/**
 * Backend comet: a run as one experiment of a Comet server (research: what the vendor's SDK was recorded to
 * send).
 *
 * In: rows, texts, the picture of the run. Out: metrics, output, parameters, others, signs of life, an end.
 * Invariants: a batch has the same bytes whenever it is built; the API key comes from the environment of this
 * process and goes into requests only; all calls of the run share one budget.
 * At least once in an ambiguous failure, as identical bytes; an amendment is thinned, since Comet keeps both.
 */
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { contentOf } from '../../artifact/index.ts'
import { monotonicMs, wallMs } from '../../clock.ts'
import type { Key } from '../../config/keys.ts'
import {
  COMET_AGE_MS, COMET_BATCH_BYTES, COMET_METRICS_BATCH, COMET_OUTPUT_BATCH, COMET_SERIES_POINTS,
} from '../../limits-comet.ts'
import { Budget, burstOf, type Rate } from '../core-budget.ts'
import type {
  Archive, Backend, BackendCheck, BackendPlace, Capabilities, Encoded, Leftover, StreamRow, StreamSystem,
  StreamText, Writer,
} from '../port.ts'
import { openRequestLog, type RequestLog } from '../request-log.ts'
import { Members, writeArchive } from './archive.ts'
import { Assets, pageOf } from './assets.ts'
import { Batches } from './batches.ts'
import { check } from './check.ts'
import { extentLine, factLines, metricLine, outputLine } from './core-archive.ts'
import { assetIdOf, assetLine, contentOfAsset, isPage, pageLine } from './core-assets.ts'
import { rootOf, serverOfKey } from './core-names.ts'
import { metricsBody, outputBody, type Kind } from './core-requests.ts'
import { lineOf, metricsOf, systemOf, type MetricValue, type RankSeries } from './core-values.ts'
import { Experiment } from './experiment.ts'
import { apiKeyOf, Http } from './http.ts'
import { verify } from './verify.ts'

const BUDGETS = ['calls', 'metric', 'parameter', 'output', 'other'] as const

/** `debug`: each call is logged. */
export function cometBackend(place: BackendPlace, dir: string, key: Key, debug: boolean): Backend {
  const log = debug ? openRequestLog(join(dir, 'requests.log')) : null
  const rates = Object.fromEntries(BUDGETS.map((kind) => [kind, rateOf(place[kind])])) as Rates
  let lazy: Parts | null = null
  /** A later term cannot know what the one before has spent. */
  let term = 1
  const parts = (): Parts => {
    lazy ??= make(place, dir, key, new Budget(rates, term <= 1, monotonicMs()), log)
    return lazy
  }
  const batches = new Batches(() => parts().experiment)
  const assets = new Assets(() => parts().experiment, dirname(dir))
  return {
    name: 'comet',
    domain: `comet ${serverOf(place, key)} ${place['workspace'] ?? ''}`,
    announce: (endpoint) => {
      ({ term } = endpoint)
    },
    status(picture) {
      parts().experiment.status(picture)
      return true
    },
    use() {
      const { budget, experiment, http } = parts()
      const { fault } = experiment
      const warnings = [experiment.warning, assets.warning, http.warning]
      const warning = warnings.filter((text) => text !== '').join('; ')
      return { ...budget.use('calls', monotonicMs()), fault, warning, calls: http.calls.view() }
    },
    hurry: () => parts().budget.hurry(),
    rows: {
      ...rowWriter(() => parts().experiment, batches, place, rates),
      pace: () => parts().budget.pace(batches.singly ? 'calls' : 'metric', monotonicMs()),
    },
    texts: textWriter(() => parts().experiment, batches, rates),
    assets,
    systems: systemWriter(() => parts().experiment, new Batches(() => parts().experiment), rates),
    offline: place['offline'] === 'yes',
    archive: archiveOf(() => parts().experiment, place, dir),
    verify: (sent) => verify(parts().experiment, sent, rankSeriesOf(place)),
    leave: (status) => parts().experiment.leave(status),
    close: () => lazy?.experiment.close(),
  }
}

type Rates = Record<typeof BUDGETS[number], Rate>
interface Parts { experiment: Experiment; budget: Budget<Kind | 'calls'>; http: Http }

/** For `doctor`. */
export function checkComet(place: BackendPlace, project: string, key: Key): Promise<BackendCheck> {
  const server = rootOf(serverOf(place, key))
  return check({ server, key, workspace: place['workspace'] || null, project })
}

const serverOf = (place: BackendPlace, key: Key): string =>
  place['server'] || serverOfKey(apiKeyOf(key)) || 'https://www.comet.com'

function make(
  place: BackendPlace, dir: string, key: Key, budget: Parts['budget'], log: RequestLog | null,
): Parts {
  const http = new Http({
    server: rootOf(serverOf(place, key)), apiKey: apiKeyOf(key), budget, log,
    contentOf: (content) => contentOf(dirname(dir), content),
  })
  const tags = (place['tags'] ?? '').split(',').filter((tag) => tag !== '')
  const experiment = new Experiment({ http, apiKey: key, workspace: place['workspace'] || null, tags })
  return { budget, http, experiment }
}

/** `15000/3600000`: so many in so many ms. */
function rateOf(text: string | undefined): Rate {
  const [max, windowMs] = (text ?? '').split('/').map(Number)
  return { max: max || Infinity, windowMs: windowMs || 1 }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const can = (rate: Rate, batch: number): Omit<Capabilities, 'amends' | 'eager'> => ({
  rowsMax: batch, valuesMax: Math.min(batch, burstOf(rate)), bytesMax: COMET_BATCH_BYTES, ageMs: COMET_AGE_MS,
})

function rowWriter(
  experiment: () => Experiment, batches: Batches, place: BackendPlace, rates: Rates,
): Writer<StreamRow> {
  const choice = rankSeriesOf(place)
  return {
    can: { ...can(rates.metric, COMET_METRICS_BATCH), amends: false, eager: true, ranks: choice !== 'none',
      pointsMax: Number(place['points']) || COMET_SERIES_POINTS },
    encode: (row) => encoded(metricsOf(row, choice)),
    pack: (parts) => encoder.encode(metricsBody(experiment().key, textsOf(parts))),
    open: () => experiment().open('row'),
    write: (bytes, signal) => batches.metrics(bytes, signal),
    end: (status, signal) => experiment().end(status, signal),
  }
}

const encoded = (values: readonly MetricValue[]): Encoded => ({
  data: encoder.encode(values.map((value) => JSON.stringify(value)).join(',')), values: values.length,
})

/** Metrics like others, but of no rank. */
function systemWriter(
  experiment: () => Experiment, batches: Batches, rates: Rates,
): Writer<StreamSystem> {
  return {
    can: { ...can(rates.metric, COMET_METRICS_BATCH), amends: true, eager: false },
    encode: (sample) => encoded(systemOf(sample)),
    pack: (parts) => encoder.encode(metricsBody(experiment().key, textsOf(parts))),
    open: () => experiment().open('system'),
    write: (bytes, signal) => batches.metrics(bytes, signal),
    end: () => Promise.resolve({ is: 'done' }),
  }
}

function textWriter(experiment: () => Experiment, batches: Batches, rates: Rates): Writer<StreamText> {
  return {
    can: { ...can(rates.output, COMET_OUTPUT_BATCH), amends: true, eager: false },
    encode: (text) => ({ data: encoder.encode(JSON.stringify(lineOf(text))), values: 1 }),
    pack: (parts) => encoder.encode(outputBody(experiment().key, textsOf(parts))),
    open: () => experiment().open('text'),
    write: (bytes, signal) => batches.output(bytes, signal),
    end: () => Promise.resolve({ is: 'done' }),
  }
}

function archiveOf(experiment: () => Experiment, place: BackendPlace, dir: string): Archive {
  const choice = rankSeriesOf(place)
  const path = (): string => join(dir, `comet-${experiment().key}.zip`)
  async function* lines(
    leftovers: AsyncIterable<Leftover>, members: Members,
  ): AsyncGenerator<string> {
    for (const line of factLines(experiment().facts(), wallMs())) yield line
    const extent = { run: experiment().run, row: 0, text: 0, system: 0 }
    for await (const one of leftovers) {
      if ('text' in one) {
        extent.text = one.text.n
        yield outputLine(lineOf(one.text))
      } else if ('system' in one) {
        extent.system = one.system.n
        for (const value of systemOf(one.system)) yield metricLine(value) ?? ''
      } else if ('asset' in one) {
        const { asset } = one
        const content = contentOfAsset(asset)
        const html = isPage(asset) ? await pageOf(dirname(dir), content!) : null
        if (typeof html === 'string') yield pageLine(html)
        // What is not here, or too much for one file, stays with the run: `sync` sends it.
        else if (html === null && members.takes(content)) {
          yield assetLine(asset, assetIdOf(experiment().run, asset), content?.sha256 ?? '')
        }
      } else {
        extent.row = one.row.n
        for (const value of metricsOf(one.row, choice)) yield metricLine(value) ?? ''
      }
    }
    yield extentLine(extent, wallMs())
  }
  return {
    path: () => existsSync(path()) ? path() : null,
    write(leftovers, status) {
      experiment().over(status)
      const members = new Members(dirname(dir))
      return writeArchive(path(), experiment().archiveHead(), lines(leftovers, members), members)
    },
    remove: () => { rmSync(path(), { force: true }) },
  }
}

const rankSeriesOf = (place: BackendPlace): RankSeries => (place['rankSeries'] ?? 'none') as RankSeries

/** A row may have nothing to say in Comet: rank 0's view without rank 0. */
const textsOf = (parts: readonly Uint8Array[]): string[] =>
  parts.filter(({ length }) => length > 0).map((part) => decoder.decode(part))
