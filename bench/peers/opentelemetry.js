// OpenTelemetry's metrics SDK: a gauge per metric with the rank as attribute, exported every 10 s as JSON
// lines.
//
// It keeps the last value of each interval only, as its data model has it. No point can be counted.
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { join } from 'node:path'
import {
  AggregationTemporality, MeterProvider, PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'

const INTERVAL_MS = 10_000
const SUCCESS = 0

export function begin(dir, rank) {
  const file = createWriteStream(join(dir, `rank-${rank}.jsonl`))
  const exporter = {
    export({ scopeMetrics }, done) {
      file.write(`${JSON.stringify(scopeMetrics)}\n`, () => done({ code: SUCCESS }))
    },
    selectAggregationTemporality: () => AggregationTemporality.CUMULATIVE,
    forceFlush: async () => {},
    async shutdown() { await finished(file.end()) },
  }
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: INTERVAL_MS })
  const provider = new MeterProvider({ readers: [reader] })
  const meter = provider.getMeter('bench')
  const gauges = new Map()
  const attributes = { rank }
  const log = (values) => {
    for (const name in values) {
      let gauge = gauges.get(name)
      if (!gauge) gauges.set(name, gauge = meter.createGauge(name))
      gauge.record(values[name], attributes)
    }
  }
  return { log, close: () => provider.shutdown() }
}
