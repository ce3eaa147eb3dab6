import { monotonicMs, sleep } from '../../clock.ts'
import {
  COMET_SERIES_POINTS, COMET_VERIFY_MS, COMET_VERIFY_PAUSE_MS, COMET_VERIFY_SERIES,
} from '../../limits-comet.ts'
import type { StreamRow } from '../port.ts'
import { readMetric } from './core-requests.ts'
import { metricsOf, type RankSeries } from './core-values.ts'
import type { Experiment } from './experiment.ts'

/** Counts the steps of each series as the server shows them. A sentence if some lack any, or null. */
export async function verify(
  experiment: Experiment, sent: AsyncIterable<StreamRow>, choice: RankSeries,
): Promise<string | null> {
  const wanted = new Map<string, number>()
  for await (const row of sent) {
    for (const { metricName } of metricsOf(row, choice)) {
      wanted.set(metricName, (wanted.get(metricName) ?? 0) + 1)
    }
  }
  const until = monotonicMs() + COMET_VERIFY_MS
  const lacking: string[] = []
  for (const [name, count] of [...wanted].slice(0, COMET_VERIFY_SERIES)) {
    const least = Math.min(count, COMET_SERIES_POINTS)
    const found = await stepsOf(experiment, name, least, until)
    if (typeof found === 'string') return `could not be read back: ${found}`
    if (found < least) lacking.push(`${name} has ${found} of ${count} steps`)
  }
  const [first] = lacking
  return first === undefined ? null : `read back, ${lacking.length} series lack points: ${first}`
}

async function stepsOf(
  experiment: Experiment, name: string, least: number, until: number,
): Promise<number | string> {
  for (;;) {
    const { outcome, got } = await experiment.send(readMetric(experiment.key, name), 'get-metric', null)
    const list = 'status' in got ? got.body?.['metrics'] : null
    const steps = Array.isArray(list) ? new Set(list.map((one: { step?: unknown }) => one.step)).size : 0
    if (steps >= least) return steps
    if (outcome.is === 'refused') return outcome.message
    if (outcome.is !== 'wait' && monotonicMs() >= until) return 'message' in outcome ? outcome.message : steps
    await sleep(outcome.is === 'wait' ? outcome.afterMs : COMET_VERIFY_PAUSE_MS)
  }
}
