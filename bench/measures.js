/**
 * What a trial reads off its jobs: each measure has a unit, which way is better, and `of`, from the jobs of
 * one round to a number (null: this peer has no such figure).
 *
 * In: jobs by their name in the trial, as runJob returns them. Out: numbers. Pure.
 */
import { median } from './figures.js'

const US = 1000
const MS = 1e6
const MILLION = 1e6

const perRank = (job, of) => job.trainers.map(of)
const pointsOf = (job) => perRank(job, ({ points }) => points).reduce((sum, points) => sum + points, 0)

/** Of several ranks: the middle one's quantile, the worst one's maximum. */
const logQuantile = (name) => ({ paced }) => median(perRank(paced, ({ ns }) => ns[name] / US))

export const LOG = {
  p50: { unit: 'us/call', better: 'lower', of: logQuantile('p50') },
  p99: { unit: 'us/call', better: 'lower', of: logQuantile('p99') },
  'p99.9': { unit: 'us/call', better: 'lower', of: logQuantile('p999') },
  max: {
    unit: 'us/call', better: 'lower', of: ({ paced }) => Math.max(...perRank(paced, ({ ns }) => ns.max / US)),
  },
}

/** Of calls in a burst, timed as one: no clock is read between them. */
const burstOf = (job) => (
  { unit: 'us/call', better: 'lower', of: (jobs) => logQuantile('p50')({ paced: jobs[job] }) })
export const BURST = { mean: burstOf('paced') }

/** What the full job used beyond the idle one, per million points or per point. */
const beyond = (of, per) => ({ full, idle }) => {
  if (of(full) === null) return null
  return (of(full) - of(idle)) / ((pointsOf(full) - pointsOf(idle)) / per)
}
const latest = (stamps) => Math.max(...stamps)
const lastLog = ({ trainers }) => latest(trainers.map(({ loggedNs }) => loggedNs))

export const TREE = {
  'log(), mean of a burst': burstOf('full'),
  'CPU': { unit: 'CPU-s/M points', better: 'lower', of: beyond(({ tree }) => tree.cpuS, MILLION) },
  'CPU of an idle run': { unit: 'CPU-s', better: 'lower', of: ({ idle }) => idle.tree.cpuS },
  'memory, peak PSS': { unit: 'MB', better: 'lower', of: ({ full }) => full.tree.peakMB },
  'disk': { unit: 'bytes/point', better: 'lower', of: beyond(({ tree }) => tree.diskBytes, 1) },
  'wire': { unit: 'bytes/point', better: 'lower', of: beyond(({ tree }) => tree.wireBytes, 1) },
}

export const EXIT = {
  'command to first log()': {
    unit: 'ms', better: 'lower',
    of: ({ idle }) => (latest(perRank(idle, ({ openedNs }) => openedNs)) - idle.tree.startedNs) / MS,
  },
  'import and init': {
    unit: 'ms', better: 'lower',
    of: ({ idle }) => median(perRank(idle, ({ startedNs, openedNs }) => (openedNs - startedNs) / MS)),
  },
  'last log() to trainer gone': {
    unit: 'ms', better: 'lower', of: ({ idle }) => (latest(idle.tree.goneNs) - lastLog(idle)) / MS,
  },
  'last log() to all gone': {
    unit: 'ms', better: 'lower', of: ({ idle }) => (idle.tree.doneNs - lastLog(idle)) / MS,
  },
}

const SECOND = 1e9

/** From the first rank's first step to the last one's last. */
export const LOOP = {
  'time of the loop': {
    unit: 's', better: 'lower', of: ({ loop }) => (
      (lastLog(loop) - Math.min(...perRank(loop, ({ firstNs }) => firstNs))) / SECOND),
  },
}

export const LOSS = {
  'points lost': { unit: 'points', better: 'lower', of: ({ killed }) => pointsOf(killed) - killed.counted },
  'points lost, of those logged': {
    unit: '%', better: 'lower', of: ({ killed }) => 100 * (1 - killed.counted / pointsOf(killed)),
  },
}
