/**
 * The records of some metrics, gathered from batches and put in order: what an export is made of. Pure.
 *
 * In: batches in ledger order. Out: per family of metrics its records by step, rank, life, seq.
 * Invariants: what it holds stays within `bytesMax`, or within one step when a single step is larger: then it
 * keeps the lowest steps and `upTo` tells where the next reading has to go on.
 */
import type { Members } from './core-members.ts'
import { shapeOf } from './core-merge.ts'
import type { Family, Member, Metric, Shape } from './core-model.ts'
import type { Batch } from './core-types.ts'

/** Step, seq, time, weight, life, and the index that sorts them. */
export const RECORD_BYTES = 4 * 8 + 4 + 8
export const VALUE_BYTES = 8

type Group = Batch['groups'][number]

/** The records of one shape, in order of arrival. */
export interface Store {
  n: number
  steps: Float64Array
  seqs: Float64Array
  times: Float64Array
  weights: Float64Array
  /** Place of the life among all lives, by rank and start. */
  lives: Int32Array
  /** By column of the shape; null: not wanted. */
  columns: (Float64Array | null)[]
}

/** Where the records of a family are, in order. */
export interface Sequence {
  stores: Store[]
  /** Store × 2^32 + record. */
  codes: Float64Array
}

const CODE = 2 ** 32

export class Collector {
  /** Only steps below it were kept. */
  upTo = Infinity
  private readonly from: number
  private readonly bytesMax: number
  private readonly stores = new Map<Shape, Store>()
  private readonly lives: Int32Array

  private readonly only: ReadonlySet<number> | null

  /** `from`: lower steps were had before; `only`: no other step is wanted. */
  constructor(
    wanted: readonly Metric[], members: Members, from: number, bytesMax: number,
    only: ReadonlySet<number> | null = null,
  ) {
    this.from = from
    this.only = only
    this.bytesMax = bytesMax
    this.lives = livesInOrder(members)
    for (const metric of wanted) {
      for (const shape of metric.family.shapes) {
        let store = this.stores.get(shape)
        if (store === undefined) this.stores.set(shape, store = newStore(shape))
        store.columns[shape.column.get(metric)!] = new Float64Array(store.steps.length)
      }
    }
  }

  /** Records with a seq ≥ `first`. */
  take(member: Member, batch: Batch, first: number): void {
    for (const group of batch.groups) {
      const shape = shapeOf(member, batch, group)
      const store = shape === null ? undefined : this.stores.get(shape)
      if (store === undefined) continue
      this.add(store, group, first, this.lives[member.index]!)
    }
  }

  sequence(family: Family): Sequence {
    const stores = family.shapes.map((shape) => this.stores.get(shape)!)
    const codes = new Float64Array(stores.reduce((sum, { n }) => sum + n, 0))
    let at = 0
    stores.forEach(({ n }, index) => {
      for (let i = 0; i < n; i++) codes[at++] = index * CODE + i
    })
    return { stores, codes: sorted(stores, codes) }
  }

  private add(store: Store, group: Group, first: number, life: number): void {
    const { count, width, seqs, steps, times, weights, values } = group
    for (let i = 0; i < count; i++) {
      const step = steps[i]!
      if (step < this.from || step >= this.upTo || seqs[i]! < first) continue
      if (this.only !== null && !this.only.has(step)) continue
      if (store.n === store.steps.length) {
        this.makeRoom(store)
        if (step >= this.upTo) continue
      }
      const at = store.n++
      store.steps[at] = step
      store.seqs[at] = seqs[i]!
      store.times[at] = times[i]!
      store.weights[at] = weights === null ? NaN : weights[i]!
      store.lives[at] = life
      for (let c = 0; c < width; c++) {
        const column = store.columns[c]
        if (column !== null) column![at] = values[c * count + i]!
      }
    }
  }

  /** Twice the room while that is allowed; else the upper half of the steps goes. */
  private makeRoom(store: Store): void {
    let bytes = bytesOf(store)
    for (const one of this.stores.values()) bytes += bytesOf(one)
    if (bytes > this.bytesMax && this.cut() && store.n < store.steps.length) return
    store.steps = longer(store.steps)
    store.seqs = longer(store.seqs)
    store.times = longer(store.times)
    store.weights = longer(store.weights)
    const lives = new Int32Array(2 * store.lives.length)
    lives.set(store.lives)
    store.lives = lives
    store.columns = store.columns.map((column) => (column === null ? null : longer(column)))
  }

  /** False when all are of one step, which cannot be halved. */
  private cut(): boolean {
    const stores = [...this.stores.values()]
    const steps = new Float64Array(stores.reduce((sum, { n }) => sum + n, 0))
    let at = 0
    for (const store of stores) {
      steps.set(store.steps.subarray(0, store.n), at)
      at += store.n
    }
    steps.sort()
    const bound = steps.subarray(steps.length >> 1).find((step) => step > steps[0]!)
    if (bound === undefined) return false
    this.upTo = bound
    for (const store of stores) keepBelow(store, bound)
    return true
  }
}

export const storeOf = ({ stores }: Sequence, code: number): Store => stores[Math.floor(code / CODE)]!

export const indexOf = (code: number): number => code % CODE

function newStore(shape: Shape): Store {
  const size = 256
  return {
    n: 0, steps: new Float64Array(size), seqs: new Float64Array(size), times: new Float64Array(size),
    weights: new Float64Array(size), lives: new Int32Array(size), columns: shape.metrics.map(() => null),
  }
}

function bytesOf({ steps, columns }: Store): number {
  return steps.length * (RECORD_BYTES + VALUE_BYTES * columns.filter((column) => column !== null).length)
}

function longer(array: Float64Array): Float64Array {
  const twice = new Float64Array(2 * array.length)
  twice.set(array)
  return twice
}

function keepBelow(store: Store, bound: number): void {
  let kept = 0
  for (let i = 0; i < store.n; i++) {
    if (store.steps[i]! >= bound) continue
    store.steps[kept] = store.steps[i]!
    store.seqs[kept] = store.seqs[i]!
    store.times[kept] = store.times[i]!
    store.weights[kept] = store.weights[i]!
    store.lives[kept] = store.lives[i]!
    for (const column of store.columns) if (column !== null) column[kept] = column[i]!
    kept++
  }
  store.n = kept
}

function livesInOrder(members: Members): Int32Array {
  const places = new Int32Array(members.list.length).fill(-1)
  let place = 0
  for (const seat of members.seats()) for (const life of seat.lives) places[life.index] = place++
  return places
}

function sorted(stores: readonly Store[], codes: Float64Array): Float64Array {
  const only = stores.length === 1 ? stores[0]! : null
  return codes.sort((a, b) => {
    const left = only ?? stores[Math.floor(a / CODE)]!
    const right = only ?? stores[Math.floor(b / CODE)]!
    const i = a % CODE
    const j = b % CODE
    return left.steps[i]! - right.steps[j]! || left.lives[i]! - right.lives[j]!
      || left.seqs[i]! - right.seqs[j]!
  })
}
