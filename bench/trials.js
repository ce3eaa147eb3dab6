/**
 * The trials as data. A trial with `jobs` runs each of them with every peer, in fresh processes; a trial with
 * `script` is one of trials/, which measures rankzero alone. `canonical` ones are what `npm run bench` runs.
 *
 * A job is a plan for job.js, or a function of the round to one; `peers` are those it is meaningful for.
 * Budgets are those of the design, for rankzero.
 */
import { EXIT, LOG, LOSS, TREE } from './measures.js'
import { PEERS } from './peers.js'

const named = (isMeant) => PEERS.filter(isMeant).map(({ name }) => name)
const EVERY = named(() => true)
const KEEPING = named(({ keeps }) => keeps)
const METRICS = [1, 10, 100, 1000]
const CANONICAL_METRICS = 10
const SETTLED = 50

/** Steps a second, 0 as fast as it goes; how many steps; how long at most. */
const PACES = {
  '10 steps/s': { rate: 10, steps: 60, warmup: 10 },
  '1,000 steps/s': { rate: 1000, steps: 3000, warmup: SETTLED },
  'unpaced': { rate: 0, steps: 100_000, seconds: 3, warmup: SETTLED },
}

const logTrials = METRICS.flatMap((metrics) => Object.entries(PACES).map(([pace, plan]) => ({
  name: `log-${metrics}-${plan.rate || 'unpaced'}`,
  title: `cost of a log call, ${metrics === 1 ? '1 metric' : `${metrics.toLocaleString('en')} metrics`}, ${pace}`,
  canonical: metrics === CANONICAL_METRICS && plan.rate === 1000,
  peers: EVERY,
  jobs: { paced: { ...plan, metrics } },
  measures: metrics === CANONICAL_METRICS && plan.rate === 1000
    ? { ...LOG, p50: { ...LOG.p50, budget: '≤ 3 in Python' } } : LOG,
})))

/** Bursts with pauses, as between training steps: enough points for a CPU figure, none of it in overflow. */
const FULL = { metrics: 10, steps: 100_000, seconds: 3, burst: 500, pauseMs: 5 }
const IDLE = { metrics: 10, steps: 20, rate: 20 }

export const TRIALS = [
  ...logTrials,
  {
    name: 'tree',
    title: 'what the whole process tree uses, and how long it takes to start and to end',
    canonical: true,
    peers: EVERY.filter((name) => name !== 'none'),
    jobs: { idle: IDLE, full: FULL },
    measures: {
      ...TREE, ...EXIT,
      CPU: { ...TREE.CPU, budget: '≤ 1.0' }, disk: { ...TREE.disk, budget: '≤ 6' }, wire: { ...TREE.wire, budget: '≤ 6' },
    },
  },
  {
    name: 'loss',
    title: 'points that cannot be read back after SIGKILL of the trainer at 100 steps/s',
    canonical: true,
    peers: KEEPING,
    jobs: { killed: (round) => ({ metrics: 10, steps: 300 + 37 * round, rate: 100, kill: true, count: true }) },
    measures: LOSS,
  },
]

/** Six at most, so that the canonical table takes ten minutes. */
export const CANONICAL_PEERS = ['none', 'rankzero', 'jsonl', 'logging']
