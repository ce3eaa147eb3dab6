// What lib/aggregator/SCALE.md plans, as a model: K aggregators that share the metrics, fed by agents that
// send each rank's batch once per so many seconds. It measures only the size of batches: a, b, c, d are what
// one aggregator was measured to cost. One server each, first in first out, without Kafka's and the disk's
// time. Shown is the fullest one, with the shortest batches that keep it below the goal. Ends with JSON.
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { importDist, report } from '../kit.js'

const option = (value) => ({ type: 'string', default: value })
const { values: options } = parseArgs({
  options: {
    // Percent of a core, the terms of fit.js: the process, a million points/s, 1,000 frames/s, 1,000 ranks.
    a: option('11.5'), b: option('7'), c: option('9.3'), d: option('5.6'),
    ranks: option('4096,16384,32768,65536'),
    // Percent of a core that an aggregator may use.
    goal: option('70'),
    // Ranks whose batches come in one frame (1: as it is), and metrics dealt out evenly instead of by hash.
    together: option('1'), dealt: { type: 'boolean', default: false },
  },
})
const goal = options.goal / 100
const together = Number(options.together)
/** Seconds of a core: per second, per point, per frame, per second and rank. */
const [idle, perPoint, perFrame, perRank] =
  [options.a / 100, options.b / 1e8, options.c / 1e5, options.d / 1e5]

const STEPS_PER_S = 10
/** These flush at the same time. */
const GROUP = Math.max(8, together)
const AGGREGATORS = [1, 2, 3, 4, 6, 8, 12, 16]
/** A row waits 10 s for its ranks: longer batches would close it without some. */
const BATCH_SECONDS = [1, 2, 4, 8]
/** One aggregator dies in the middle and is there again after DOWN_S. */
const [RUN_S, DOWN_AT_S, DOWN_S] = [90, 30, 3]
const NOTICED_S = 0.01
const under = (group, ...names) => names.map((name) => `${group}/${name}`)
const NAMES = [
  ...under('train', 'loss', 'grad_norm', 'lr', 'epoch', 'tokens_per_second', 'step_time', 'batch_size'),
  ...under('val', 'loss', 'perplexity', 'accuracy', 'f1'),
  ...under('gpu', 'memory_allocated', 'memory_reserved', 'utilization'),
  ...Array.from({ length: 12 }, (_, layer) =>
    under(`layers.${layer}`, 'grad_norm', 'weight_norm', 'activation_rms')).flat(),
]

/** How many metrics each of K partitions has. */
function sharesOf(partitions) {
  const shares = new Array(partitions).fill(0)
  NAMES.forEach((name, i) => {
    const hash = createHash('sha256').update(name).digest().readUInt32LE()
    shares[(options.dealt ? i : hash) % partitions]++
  })
  return shares
}

/** Of an aggregator with so many metrics, as a part of a core. */
function utilisation(ranks, metrics, batch) {
  const ofEachRank = perPoint * metrics * STEPS_PER_S + perFrame / batch / together + perRank
  return idle + ranks * ofEachRank
}

const { BatchBuilder } = await importDist('wire/index.js')

/** Of float32 values that do not repeat, with a clock that trembles. */
function bytesOf(metrics, batch) {
  const builder = new BatchBuilder('0'.repeat(32))
  for (let i = 0; i < batch * STEPS_PER_S; i++) {
    const values = Float64Array.from({ length: metrics }, (_, j) => Math.fround(Math.sin(i * metrics + j)))
    builder.values(1e6 + i, 1, 1e6 + i, NaN, 1.8e12 + 100 * i + i % 3, values, 0, metrics)
  }
  return builder.finish().length
}

/** When groups flush, in parts of the interval: at random, since each began when it began. */
function phasesOf(ranks) {
  let seed = 1
  const next = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32
  return Array.from({ length: ranks / GROUP }, next).sort((x, y) => x - y)
}

/** Per flush of a group: when the last of it is merged, and how long after its oldest step was logged. */
function serve(ranks, service, batch, downAt) {
  const flushes = []
  const phases = phasesOf(ranks)
  let free = 0
  for (let round = 0; round < RUN_S / batch; round++) {
    for (const phase of phases) {
      const sent = (round + phase) * batch
      for (let frame = 0; frame < GROUP / together; frame++) {
        const start = Math.max(free, sent)
        free = (start >= downAt && start < downAt + DOWN_S ? downAt + DOWN_S : start) + service
      }
      // A row closes with the last flush that holds its step, which is up to one interval old by then.
      flushes.push({ merged: free, latency: free - sent + batch })
    }
  }
  return flushes
}

/** Seconds from log() to the seal, at worst after a failure, and from the restart until nobody notices it. */
function simulate(ranks, metrics, batch) {
  // What does not come with frames is done between them.
  const service = utilisation(ranks, metrics, batch) * batch * together / ranks
  const calm = serve(ranks, service, batch, Infinity).map(({ latency }) => latency).sort((x, y) => x - y)
  const at = (share) => calm[Math.floor(share * (calm.length - 1))]
  const late = serve(ranks, service, batch, DOWN_AT_S).filter(({ latency }) => latency > at(1) + NOTICED_S)
  return {
    p50: at(0.5), p99: at(0.99), worst: late.reduce((most, { latency }) => Math.max(most, latency), at(1)),
    caughtUp: late.length === 0 ? 0 : late.at(-1).merged - DOWN_AT_S - DOWN_S,
  }
}

const percent = (share) => `${Math.round(100 * share)} %`
const seconds = (s) => `${s.toFixed(2)} s`
const print = (...cells) => { console.log(cells.map((cell) => String(cell).padStart(13)).join('')) }

/** One line of the table; null when no batches are long enough. */
function plan(ranks, partitions) {
  const shares = sharesOf(partitions)
  const most = Math.max(...shares)
  const head = [partitions, `${Math.min(...shares)} to ${most}`, percent(utilisation(ranks, most, 1))]
  const batch = BATCH_SECONDS.find((one) => utilisation(ranks, most, one) <= goal)
  if (batch === undefined) return print(...head, 'overloaded') ?? null
  const { p50, p99, worst, caughtUp } = simulate(ranks, most, batch)
  const points = most * STEPS_PER_S * batch
  const bytes = (bytesOf(most, batch) / points).toFixed(1)
  print(...head, `${batch} s`, percent(utilisation(ranks, most, batch)), points, bytes,
    ...[p50, p99, worst, caughtUp].map(seconds))
  return { partitions, batch }
}

const fewest = {}
for (const ranks of options.ranks.split(',').map(Number)) {
  console.log(`\n${ranks} ranks × ${NAMES.length} metrics × ${STEPS_PER_S} steps/s`)
  print('K', 'metrics', 'at 1 s: busy', 'batches', 'busy', 'points each', 'bytes/point', 'seal p50', 'p99',
    'failure: worst', 'caught up')
  const plans = AGGREGATORS.map((partitions) => plan(ranks, partitions)).filter((one) => one !== null)
  for (const most of BATCH_SECONDS) {
    fewest[`${ranks} ranks, ${most} s`] = plans.find(({ batch }) => batch <= most)?.partitions ?? null
  }
}
report(fewest)
