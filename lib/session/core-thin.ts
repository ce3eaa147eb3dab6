/**
 * Which rows are kept when a backend can take only some: of each stretch the first, last, lowest and highest
 * of a metric, and where values that are not finite begin and end. Pure.
 *
 * In: rows in order, and how many values may be sent. Out: those to keep. Invariants: what a stretch has of
 * these, its parts have too, so that it may be thinned again when it has grown; when the least there is to
 * keep is still too much, it is kept all the same.
 */
import { OUTBOX_THIN_MS, SERIES_FREE, SERIES_LAG, SERIES_STRETCHES } from '../limits-outbox.ts'

export interface Figures {
  metric: string
  /** NaN: not finite, or none. */
  value: number
  /** Lowest and highest of the ranks. */
  min: number
  max: number
  /** Some rank's value is not finite. */
  odd: boolean
  /** Which row of its metric it is, and how long (ms) after the first. */
  nth: number
  sinceMs: number
}

interface Thinnable {
  values: number
  figures: Figures
}

/** Rows of one metric in the first stretches that are tried. */
const STRETCH_MIN = 8

export function thin<Part extends Thinnable>(parts: readonly Part[], values: number): readonly Part[] {
  if (valuesOf(parts) <= values) return parts
  const metrics = new Set(parts.map(({ figures }) => figures.metric)).size
  for (let size = STRETCH_MIN * metrics; ; size *= 2) {
    const kept: Part[] = []
    for (let at = 0; at < parts.length; at += size) kept.push(...essential(parts.slice(at, at + size)))
    if (size >= parts.length || valuesOf(kept) <= values) return kept
  }
}

/** Of a series that keeps so many points, the rows up to here are sent whole. */
export const freeOf = (pointsMax: number): number => Math.floor(pointsMax * SERIES_FREE)

/**
 * Rows of a metric beyond those that are free: of each stretch lowest, highest, last and the first that is
 * odd. Stretches grow with the series, so that a thousand times the rows are some points more: the sum stays
 * below `pointsMax` for a billion rows in 90 days, if it is not asked more often than `capMs` says.
 */
export function cap<Part extends Thinnable>(parts: readonly Part[], pointsMax: number): readonly Part[] {
  const free = freeOf(pointsMax)
  if (parts.every(({ figures }) => figures.nth <= free)) return parts
  const tracks = new Map<string, Track<Part>>()
  const kept = new Set<Part>()
  for (const part of parts) {
    const { metric, nth, odd } = part.figures
    if (nth <= free) {
      kept.add(part)
      continue
    }
    const key = `${Math.floor(Math.log(nth / free) * pointsMax * SERIES_STRETCHES)} ${metric}`
    const track = tracks.get(key)
    if (track === undefined) tracks.set(key, begin(part))
    else {
      follow(track, part)
      if (odd) track.odd ??= part
    }
  }
  for (const { lowest, highest, min, max, last, odd } of tracks.values()) {
    for (const part of [lowest, highest, min, max, last]) kept.add(part)
    if (odd !== null) kept.add(odd)
  }
  return parts.filter((part) => kept.has(part))
}

/** How long (ms) rows wait that `cap` leaves some of out. */
export const capMs = (sinceMs: number, pointsMax: number): number =>
  Math.max(OUTBOX_THIN_MS, sinceMs * SERIES_LAG / pointsMax)

export const valuesOf = (parts: readonly Pick<Thinnable, 'values'>[]): number =>
  parts.reduce((sum, { values }) => sum + values, 0)

interface Track<Part> {
  first: Part
  last: Part
  lowest: Part
  highest: Part
  min: Part
  max: Part
  /** Last of the odd ones, while they last. */
  odd: Part | null
}

function essential<Part extends Thinnable>(parts: readonly Part[]): Part[] {
  const tracks = new Map<string, Track<Part>>()
  const kept = new Set<Part>()
  for (const part of parts) {
    const { metric, odd } = part.figures
    let track = tracks.get(metric)
    if (track === undefined) tracks.set(metric, track = { ...begin(part), odd: null })
    else follow(track, part)
    if (odd !== (track.odd !== null)) kept.add(odd ? part : track.odd!)
    track.odd = odd ? part : null
  }
  for (const { first, last, lowest, highest, min, max, odd } of tracks.values()) {
    for (const part of [first, last, lowest, highest, min, max]) kept.add(part)
    if (odd !== null) kept.add(odd)
  }
  return parts.filter((part) => kept.has(part))
}

const begin = <Part extends Thinnable>(part: Part): Track<Part> => ({
  first: part, last: part, lowest: part, highest: part, min: part, max: part,
  odd: part.figures.odd ? part : null,
})

/** A comparison with NaN is false: what is not finite takes no place, and keeps none. */
function follow<Part extends Thinnable>(track: Track<Part>, part: Part): void {
  track.last = part
  const { value, min, max } = part.figures
  if (!(track.lowest.figures.value <= value) && !Number.isNaN(value)) track.lowest = part
  if (!(track.highest.figures.value >= value) && !Number.isNaN(value)) track.highest = part
  if (!(track.min.figures.min <= min) && !Number.isNaN(min)) track.min = part
  if (!(track.max.figures.max >= max) && !Number.isNaN(max)) track.max = part
}

/** A row as it waits: encoded. */
export interface Part {
  n: number
  data: Uint8Array
  /** As the backend's limits count (port.ts). */
  values: number
  points: number
  amends: boolean
  /** When it was made, ms since the epoch. */
  at: number
  /** Null: it is never thinned. */
  figures: Figures | null
}

/** What corrects another row comes too late for a backend that is thinned for. */
export type Row = Part & { figures: Figures }
export const isRow = (part: Part): part is Row => !part.amends && part.figures !== null
