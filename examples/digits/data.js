// The handwritten digits (see DATA.md): 1,797 images of 8 × 8 pixels, 1,437 to train on and 360 to test on.
import { readFileSync } from 'node:fs'

export const PIXELS = 64
export const CLASSES = 10
const TRAIN = 1437

/** A small seeded generator (mulberry32): every rank must shuffle and initialise alike. */
export function randomFrom(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

export function shuffle(items, random) {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j], items[i]]
  }
  return items
}

/** Samples are `{ pixels: Float64Array in 0..1, label }`; the same split for every rank and every run. */
export function loadDigits() {
  const lines = readFileSync(new URL('digits.csv', import.meta.url), 'utf8').trim().split('\n')
  const samples = lines.map((line) => {
    const numbers = line.split(',').map(Number)
    const pixels = Float64Array.from(numbers.slice(0, PIXELS), (value) => value / 16)
    return { pixels, label: numbers[PIXELS] }
  })
  shuffle(samples, randomFrom(1))
  return { train: samples.slice(0, TRAIN), test: samples.slice(TRAIN) }
}

/** A rank's part of the training set, uneven on purpose: 1 : 2 : 3 : … (10, 20, 30, 40 % for 4 ranks). */
export function shardOf(samples, rank, worldSize) {
  const shares = (worldSize * (worldSize + 1)) / 2
  const edge = (ranks) => Math.round((samples.length * ranks * (ranks + 1)) / 2 / shares)
  return samples.slice(edge(rank), edge(rank + 1))
}
