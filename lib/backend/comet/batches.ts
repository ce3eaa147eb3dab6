import type { Outcome } from '../port.ts'
import { isAnswer } from './core-answer.ts'
import { metrics, oneMetric, output } from './core-requests.ts'
import type { MetricValue } from './core-values.ts'
import type { Experiment } from './experiment.ts'

const decoder = new TextDecoder()

/** Bodies as they were decided: one call each, or, where the server has no batches, one for each value. */
export class Batches {
  /** Whether the server is known to take single values only. */
  singly = false
  private readonly experiment: () => Experiment
  /** The batch that goes value by value, and how far it got: those are surely stored. */
  private current = { body: '', done: 0, refused: [] as string[] }

  constructor(experiment: () => Experiment) {
    this.experiment = experiment
  }

  async metrics(bytes: Uint8Array, signal: AbortSignal): Promise<Outcome> {
    const body = decoder.decode(bytes)
    const count = body.split('{"metricName":').length - 1
    if (count === 0) return { is: 'done' }
    if (this.singly) return this.each(body, signal)
    const { outcome, got } = await this.experiment().send(metrics(body, count), 'metrics', signal)
    if ('waitMs' in got || !isAnswer(got) || got.status !== 404) return outcome
    this.singly = true
    return this.each(body, signal)
  }

  async output(bytes: Uint8Array, signal: AbortSignal): Promise<Outcome> {
    const body = decoder.decode(bytes)
    const count = body.split('{"stderr":').length - 1
    return (await this.experiment().send(output(body, count), 'output', signal)).outcome
  }

  private async each(body: string, signal: AbortSignal): Promise<Outcome> {
    if (this.current.body !== body) this.current = { body, done: 0, refused: [] }
    const { current } = this
    const { experimentKey, values } = JSON.parse(body) as { experimentKey: string; values: MetricValue[] }
    for (; current.done < values.length; current.done++) {
      const request = oneMetric(experimentKey, values[current.done]!)
      const { outcome } = await this.experiment().send(request, 'metric', signal)
      if (outcome.is === 'refused') current.refused.push(outcome.message)
      else if (outcome.is !== 'done') return outcome
    }
    const [first] = current.refused
    if (first === undefined) return { is: 'done' }
    return { is: 'refused', message: `${current.refused.length} of ${values.length} values: ${first}` }
  }
}
