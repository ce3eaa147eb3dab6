/**
 * How the cost of one aggregator grows: a plane through the scale trials, by least squares. Pure.
 *
 * In: rows of a result. Out: per cent of a core for the process itself, for each million points a second, for
 * each thousand frames, for each thousand ranks that are there; and how far from the plane the trials are.
 * Rows have no term: a row costs what its points do.
 */
import { format, median } from './figures.js'

/** What a trial's load is made of, in the units of the coefficients. */
const TERMS = {
  'the process': () => 1,
  'a million points/s': (of) => of('offered') / 1e6,
  'a thousand frames/s': (of) => of('frames') / 1e3,
  'a thousand ranks': (of) => of('ranks') / 1e3,
}
const COST = 'aggregator, CPU'
/** Trials in which nothing happens but load. */
const STEADY = /^scale-(\d+|few-metrics|many-metrics|fast)$/

/** Null with fewer trials than make the plane certain. */
export function costOf(rows) {
  const names = [...new Set(rows.map(({ trial }) => trial))].filter((trial) => STEADY.test(trial))
  const trials = names.map((name) => {
    const rowOf = (measure) => rows.find((row) => row.trial === name && row.measure === measure)
    const of = (measure) => median(rowOf(measure)?.samples ?? [])
    return { name, cost: of(COST), terms: Object.values(TERMS).map((term) => term(of)) }
  }).filter(({ cost, terms }) => cost !== null && terms.every(Number.isFinite))
  if (trials.length <= Object.keys(TERMS).length) return null
  const values = leastSquares(trials.map(({ terms }) => terms), trials.map(({ cost }) => cost))
  const off = trials.map(({ name, cost, terms }) => (
    { name, measured: cost, fitted: terms.reduce((sum, term, i) => sum + term * values[i], 0) }))
  return { terms: Object.fromEntries(Object.keys(TERMS).map((name, i) => [name, values[i]])), trials: off }
}

/** In words, with what one core carries. */
export function costText({ terms, trials }) {
  const words = Object.entries(terms).map(([name, value]) => `${format(value)} for ${name}`)
  const off = Math.max(...trials.map(({ measured, fitted }) => Math.abs(measured - fitted)))
  return `one aggregator, % of a core: ${words.join(', ')}; the trials are off by ${format(off)} at most.\n`
    + 'Its limit is one JavaScript thread: a core, with what its threads for sockets and memory take beside.'
}

/** x with the least |A x - b|, from the normal equations; A has few columns of like size. */
export function leastSquares(a, b) {
  const columns = a[0].map((_, c) => c)
  const dot = (u, v) => u.reduce((sum, value, i) => sum + value * v[i], 0)
  const column = (c) => a.map((row) => row[c])
  const system = columns.map((c) => [...columns.map((d) => dot(column(c), column(d))), dot(column(c), b)])
  for (const c of columns) {
    const pivot = system.slice(c).reduce((best, row) => Math.abs(row[c]) > Math.abs(best[c]) ? row : best)
    system.splice(system.indexOf(pivot), 1)
    system.splice(c, 0, pivot)
    for (const row of system) {
      if (row === pivot) continue
      const times = row[c] / pivot[c]
      pivot.forEach((value, i) => { row[i] -= times * value })
    }
  }
  return columns.map((c) => system[c][columns.length] / system[c][c])
}
