/**
 * The arithmetic of the figures: medians, spreads, ratios, and what changed against a baseline.
 *
 * In: rows of samples, one per round. Out: numbers and verdicts. Pure: no I/O, no clock.
 * A row is { trial, peer, measure, unit, better: 'lower' | 'higher', samples: number[] }; a sample that a
 * round could not take is null and stays out.
 */

/** The rows of this peer are divided into; others are told as multiples of it. */
export const REFERENCE = 'rankzero'

const numbers = (samples) => samples.filter((sample) => Number.isFinite(sample)).sort((a, b) => a - b)

/** The middle one, of an even number the mean of the middle two; null of none. */
export function median(samples) {
  const sorted = numbers(samples)
  if (sorted.length === 0) return null
  const half = sorted.length >> 1
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

/** Smallest and largest; null of none. */
export function spread(samples) {
  const sorted = numbers(samples)
  return sorted.length ? [sorted[0], sorted.at(-1)] : null
}

/** The value below which a share `q` of them lies (nearest rank); null of none. */
export function quantile(samples, q) {
  const sorted = numbers(samples)
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : null
}

export const keyOf = ({ trial, peer, measure }) => `${trial} · ${peer} · ${measure}`

/**
 * How many times the reference's figure each row's is, round by round, then the median: what all peers of a
 * round suffered alike falls out; and where the mean of these ratios is. null where there is no reference or
 * it is zero. `references`: trial → its reference, where that is another one.
 */
export function ratios(rows, references = {}) {
  return new Map(rows.map((row) => {
    const wanted = referenceOf(row.peer, references[row.trial])
    const base = rows.find(({ trial, peer, measure }) =>
      peer === wanted && trial === row.trial && measure === row.measure)
    const each = row.samples.map((sample, round) => ratio(sample, base?.samples[round]))
    return [keyOf(row), { median: median(each), interval: interval(each) }]
  }))
}

/** Student's t for 95 % on both sides, by degrees of freedom from 1; beyond the list the last one. */
const T = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16]

/** Where the mean is with 95 % confidence, were the samples normal; null of fewer than two. */
export function interval(samples) {
  const known = numbers(samples)
  if (known.length < 2) return null
  const mean = known.reduce((sum, sample) => sum + sample, 0) / known.length
  const variance = known.reduce((sum, sample) => sum + (sample - mean) ** 2, 0) / (known.length - 1)
  const reach = T[Math.min(T.length, known.length - 1) - 1] * Math.sqrt(variance / known.length)
  return [mean - reach, mean + reach]
}

/** A peer of Node is held against the reference in Node. */
export const referenceOf = (peer, reference = REFERENCE) => (
  peer.startsWith('node-') ? `node-${reference}` : reference)

function ratio(sample, base) {
  return Number.isFinite(sample) && Number.isFinite(base) && base !== 0 ? sample / base : null
}

/** How many times the figure of `of` that of `peer` is: the median of the rounds; null where one has none. */
export function ratioOf(rows, { trial, measure, peer, of }) {
  const samplesOf = (name) => rows.find((row) => (
    row.trial === trial && row.measure === measure && row.peer === name))?.samples ?? []
  const base = samplesOf(of)
  return median(samplesOf(peer).map((sample, round) => ratio(sample, base[round])))
}

/** Of a guarded ratio: 'worse' beyond its bound, and when it is not there at all. */
export const judge = (now, { bound }) => Number.isFinite(now) && now <= bound ? 'within' : 'worse'

/**
 * Row by row against an earlier result. `change` is now/before of the medians; the verdict is 'worse' or
 * 'better' only when the two spreads do not touch, else 'same'; 'new' without a row before.
 */
export function compare(rows, before) {
  const known = new Map(before.map((row) => [keyOf(row), row]))
  return rows.map((row) => {
    const base = known.get(keyOf(row))
    const now = median(row.samples)
    const then = base ? median(base.samples) : null
    return { ...row, now, then, change: ratio(now, then), verdict: verdictOf(row, base) }
  })
}

function verdictOf(row, base) {
  const [now, then] = [spread(row.samples), base ? spread(base.samples) : null]
  if (!now || !then) return 'new'
  const isAbove = now[0] > then[1]
  const isBelow = now[1] < then[0]
  if (!isAbove && !isBelow) return 'same'
  return isAbove === (row.better === 'lower') ? 'worse' : 'better'
}

/** Three digits, with k and M. */
export function format(value) {
  if (value === null || value === undefined) return '–'
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toPrecision(3)} M`
  if (Math.abs(value) >= 1e4) return `${(value / 1e3).toPrecision(3)} k`
  return Number(value.toPrecision(3)).toString()
}
