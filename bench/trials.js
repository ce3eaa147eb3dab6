/**
 * The trials as data. A trial with `jobs` runs each of them with every peer, in fresh processes; a trial with
 * `script` is one of trials/, which measures rankzero alone, or with `perPeer` the peer that it is given.
 * `canonical` ones are what `npm run bench` runs.
 *
 * A job is a plan for job.js, or a function of the round to one; `peers` are those it is meaningful for;
 * `reference` is whose figures the others' are multiples of, if not rankzero's; `mayFail`: that a trainer
 * does not get through is a result, not a failure of ours; `fixed` names what --ranks and --rate do not
 * change. Budgets are those of the design, by measure and peer.
 */
import { BURST, EXIT, LOG, LOOP, LOSS, TREE } from './measures.js'
import { PEERS } from './peers.js'
import { OWN_TRIALS } from './trials-own.js'

const named = (isMeant) => PEERS.filter(isMeant).map(({ name }) => name)
/** The all-reduce of one rank is none: it has a trial of its own. */
const EVERY = named(({ name, network }) => name !== 'allreduce' && !network)
const KEEPING = named(({ keeps }) => keeps)
const WORKING = EVERY.filter((name) => !name.endsWith('none'))
const METRICS = [1, 10, 100, 1000]
const CANONICAL_METRICS = 10
const REDUCING_RANKS = 4

/** Steps a second, 0 as fast as it goes; how many steps; how long at most; how many are not counted. */
const PACES = {
  10: { title: '10 steps/s', rate: 10, steps: 60, warmup: 10 },
  1000: { title: '1,000 steps/s', rate: 1000, steps: 1500, warmup: 50 },
  unpaced: { title: 'unpaced', rate: 0, steps: 100_000, seconds: 3, warmup: 50 },
}
/** As between training steps, but enough of them for figures beyond doubt, and none in overflow. */
const BURSTS = { steps: 500_000, seconds: 3, burst: 500, pauseMs: 5, whole: true, warmup: 1 }

const metricsOf = (metrics) => metrics === 1 ? '1 metric' : `${metrics.toLocaleString('en')} metrics`

const logTrials = METRICS.flatMap((metrics) => [
  ...Object.entries(PACES).map(([pace, { title, ...plan }]) => ({
    name: `log-${metrics}-${pace}`,
    title: `cost of a log call, ${metricsOf(metrics)}, ${title}, each call timed`,
    canonical: metrics === CANONICAL_METRICS && plan.rate === 1000,
    peers: EVERY,
    jobs: { paced: { ...plan, metrics } },
    measures: LOG,
  })),
  {
    name: `log-${metrics}-burst`,
    title: `cost of a log call, ${metricsOf(metrics)}, mean of a burst of 500`,
    peers: EVERY,
    jobs: { paced: { ...BURSTS, metrics } },
    measures: BURST,
    budgets: metrics === CANONICAL_METRICS ? { mean: { rankzero: '≤ 3', 'node-rankzero': '≤ 0.6' } } : {},
  },
])

export const TRIALS = [
  ...logTrials,
  {
    name: 'tree',
    title: 'what the whole process tree uses, and how long it takes to start and to end, 10 metrics',
    canonical: true,
    peers: WORKING,
    jobs: { idle: { metrics: 10, steps: 20, rate: 20 }, full: { ...BURSTS, metrics: 10 } },
    fixed: ['rate'],
    measures: { ...TREE, ...EXIT },
    budgets: {
      'log(), mean of a burst': { rankzero: '≤ 3', 'node-rankzero': '≤ 0.6' },
      CPU: { rankzero: '≤ 1.0', 'node-rankzero': '≤ 1.0' },
      disk: { rankzero: '≤ 6', 'node-rankzero': '≤ 6' }, wire: { rankzero: '≤ 6', 'node-rankzero': '≤ 6' },
    },
  },
  {
    name: 'loss',
    title: 'points that cannot be read back after SIGKILL of the trainer, 10 metrics, 100 steps/s',
    canonical: true,
    peers: KEEPING,
    jobs: {
      killed: (round) => ({ metrics: 10, steps: 300 + 37 * round, rate: 100, kill: true, count: true }),
    },
    measures: LOSS,
    budgets: { 'points lost': { rankzero: '0', 'node-rankzero': '0' } },
  },
  {
    name: 'reduce',
    title: `cost of a log call that gives a mean over ${REDUCING_RANKS} ranks, 10 metrics, 100 steps/s`,
    peers: ['none', 'rankzero', 'allreduce'],
    jobs: { paced: { metrics: 10, steps: 500, rate: 100, warmup: 50, world: REDUCING_RANKS } },
    measures: LOG,
  },
  {
    name: 'size', title: 'what installing it brings with it', script: 'size.js', perPeer: true,
    peers: PEERS.filter((peer) => peer.package || peer.wrap).map(({ name }) => name)
      .filter((name) => EVERY.includes(name)),
    measures: { size: { unit: 'MB', better: 'lower' }, packages: { unit: 'packages', better: 'lower' } },
  },
  ...[['down', 'no network'], ['hanging', 'a backend that hangs']].map(([network, what]) => ({
    name: `network-${network}`, title: `start and exit of a run of 1 s with ${what}`,
    peers: named((peer) => peer.network),
    jobs: { idle: { metrics: 10, steps: 20, rate: 20, network } },
    fixed: ['rate'], mayFail: true,
    measures: EXIT, reference: 'rankzero-comet',
  })),
  {
    name: 'digits', title: `${REDUCING_RANKS} ranks of DistributedDataParallel on digits, 2 metrics a step`,
    peers: named(({ language, network }) => language === 'python' && !network),
    needs: 'venv',
    jobs: { loop: { script: 'digits.py', steps: 3600, world: REDUCING_RANKS } },
    fixed: ['rate'],
    measures: LOOP, reference: 'none',
  },
  ...OWN_TRIALS,
]

/** The loop itself and six peers, so that the canonical table takes ten minutes. */
export const CANONICAL_PEERS = ['none', 'rankzero', 'jsonl', 'tensorboardX', 'wandb', 'comet', 'mlflow']
