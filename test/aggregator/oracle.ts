/**
 * What must come out, computed without the code under test: plain objects, NumPy's definitions, no
 * cleverness.
 */
import type { EndedBody, Point, Row, SealBody } from '../../lib/aggregator/core-types.ts'
import type { Entry } from '../../lib/ledger/index.ts'
import { Kind } from '../../lib/record/index.ts'
import type { Sender } from './sender.ts'

type Reduce = 'mean' | 'sum' | 'min' | 'max' | 'last' | 'rank0'

export interface Told {
  metric: string
  step: number
  sender: Sender
  seq: number
  value: number
  weight: number
  time: number
}

const byLife = (a: Sender, b: Sender): number =>
  a.origin.startedAt - b.origin.startedAt || (a.instance < b.instance ? -1 : 1)

const text = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export function toldBy(senders: readonly Sender[]): Told[] {
  const all: Told[] = []
  for (const sender of senders) {
    for (const record of sender.records) {
      if (record.kind !== Kind.values) continue
      const names = sender.layouts[record.layout]!
      const { seq, step, weight, time } = record
      names.forEach((metric, i) => {
        all.push({ metric, step, sender, seq, value: record.values[i]!, weight, time })
      })
    }
  }
  return all.sort((a, b) => text(a.metric, b.metric) || a.step - b.step
    || a.sender.origin.rank - b.sender.origin.rank
    || (a.sender === b.sender ? a.seq - b.seq : byLife(a.sender, b.sender)))
}

const sameRow = (a: Told, b: Told): boolean => a.metric === b.metric && a.step === b.step

const shown = (x: number): number | string => (Number.isFinite(x) ? x : String(x))

export function expectedPoints(senders: readonly Sender[], rejected: ReadonlySet<string>): Point[] {
  const lives = [...senders].sort(byLife)
  const all = toldBy(senders)
  return all.map((told, i) => {
    const { sender } = told
    const { rank } = sender.origin
    const rival = rejected.has(sender.instance)
    let superseded = false
    for (const later of all.slice(i + 1)) {
      if (!sameRow(later, told) || later.sender.origin.rank !== rank) break
      if (!rejected.has(later.sender.instance)) superseded = true
    }
    return {
      metric: told.metric, step: told.step, rank, value: shown(told.value),
      weight: Number.isNaN(told.weight) ? null : shown(told.weight), time: told.time,
      instance: sender.instance,
      attempt: lives.filter((life) => life.origin.rank === rank).indexOf(sender) + 1,
      ...(rival ? { rejected: 'rank-conflict' as const } : superseded ? { superseded: true as const } : {}),
    }
  })
}

export type NaiveRow = Omit<Row, 'sealed' | 'amended'>

export function expectedRows(
  senders: readonly Sender[], rejected: ReadonlySet<string>, view: (metric: string) => Reduce = () => 'mean',
): NaiveRow[] {
  const all = toldBy(senders.filter(({ instance }) => !rejected.has(instance)))
  const out: NaiveRow[] = []
  for (let i = 0; i < all.length;) {
    const first = all[i]!
    const winners = new Map<number, Told>()
    for (; i < all.length && sameRow(all[i]!, first); i++) winners.set(all[i]!.sender.origin.rank, all[i]!)
    const same = all.filter(({ metric }) => metric === first.metric)
    const ranks = new Set(same.map(({ sender }) => sender.origin.rank))
    out.push({
      metric: first.metric, step: first.step, expected: ranks.size,
      ...statistics([...winners.values()], view(first.metric)),
    })
  }
  return out
}

export function statistics(
  row: readonly Told[], view: Reduce,
): Omit<NaiveRow, 'metric' | 'step' | 'expected'> {
  const good = row.filter(({ value }) => Number.isFinite(value))
  const values = good.map(({ value }) => value)
  const weights = good.map(({ weight }) => (weight > 0 && weight < Infinity ? weight : 1))
  const nan = row.filter(({ value }) => Number.isNaN(value)).length
  const inf = row.length - good.length - nan
  const zero = row.find(({ sender }) => sender.origin.rank === 0)
  if (good.length === 0) {
    const odd = row.every(({ value }) => Object.is(value, row[0]!.value)) ? row[0]!.value : NaN
    const value = view === 'rank0' ? (zero === undefined ? null : shown(zero.value)) : shown(odd)
    return {
      value, count: 0, mean: null, min: null, max: null, minRank: null, maxRank: null, std: null, sum: null,
      median: null, p95: null, last: null, nan, inf,
    }
  }
  const total = (list: readonly number[]): number => list.reduce((a, b) => a + b)
  const same = values.every((value) => value === values[0])
  const sum = total(values)
  const plain = sum / values.length
  const mean = same ? values[0]! : total(values.map((v, i) => v * weights[i]!)) / total(weights)
  const std = same ? 0 : Math.sqrt(total(values.map((v) => (v - plain) ** 2)) / values.length)
  const min = Math.min(...values)
  const max = Math.max(...values)
  const sorted = [...values].sort((a, b) => a - b)
  const at = 0.95 * (sorted.length - 1)
  const low = sorted[Math.floor(at)]!
  const high = sorted[Math.ceil(at)]!
  const middle = sorted.length / 2
  const odd = sorted.length % 2 === 1
  const median = odd ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  const rankOf = (value: number): number => good.find((told) => told.value === value)!.sender.origin.rank
  const figures = {
    count: good.length, mean, min, max, minRank: rankOf(min), maxRank: rankOf(max), std, sum, median,
    p95: low + (high - low) * (at - Math.floor(at)), last: values.at(-1)!, nan, inf,
  }
  const value = view === 'rank0' ? (zero === undefined ? null : shown(zero.value)) : figures[view]
  return { value, ...figures }
}

/** '' when equal: exact where DESIGN 13 says so, else within 1e-12 of the largest value in the row. */
export function difference(got: Row, want: NaiveRow): string {
  const largest = Math.max(Math.abs(Number(want.min ?? 0)), Math.abs(Number(want.max ?? 0)))
  const scale = largest * Math.max(1, want.count)
  for (const key of Object.keys(want) as (keyof NaiveRow)[]) {
    const a = got[key]
    const b = want[key]
    if (Object.is(a, b)) continue
    const loose = ['mean', 'sum', 'std', 'p95', 'value'].includes(key)
    if (loose && typeof a === 'number' && typeof b === 'number' && Math.abs(a - b) <= 1e-12 * scale) continue
    if (a === b && a === 0 && key !== 'last') continue
    return `${want.metric} step ${want.step}: ${key} is ${String(a)}, expected ${String(b)}`
  }
  return ''
}

interface Held {
  sender: Sender
  batches: [first: number, last: number][]
}

interface NaiveSlot {
  sender: Sender
  seq: number
}

/** The fate of every point, one object each: what a ledger means, entry by entry. */
export class Bookkeeper {
  readonly fate = new Map<string, { delivered: number; superseded: number; rejected: number }>()
  readonly rows = new Map<string, { sealed: boolean; amended: boolean; slots: Map<number, NaiveSlot> }>()
  private readonly names: string[] = []
  private readonly held = new Map<string, Held>()
  private readonly rejected = new Set<string>()

  constructor(entries: readonly Entry[], senders: readonly Sender[]) {
    const byId = new Map(senders.map((sender) => [sender.instance, sender]))
    for (const sender of senders) this.fate.set(sender.instance, { delivered: 0, superseded: 0, rejected: 0 })
    // Who was ever judged was held until then.
    for (const entry of entries) {
      if (entry.type !== 'note' || !['conflict', 'heir'].includes(entry.kind)) continue
      const { instance } = entry.body as EndedBody
      this.held.set(instance, { sender: byId.get(instance)!, batches: [] })
    }
    for (const entry of entries) {
      if (entry.type === 'batch') this.batch(byId.get(entry.instance)!, entry.firstSeq, entry.lastSeq)
      else if (entry.kind === 'seal') this.seal(entry.body as SealBody)
      else if (entry.kind === 'heir' || entry.kind === 'conflict') {
        this.judge(entry.kind, entry.body as EndedBody)
      }
    }
  }

  private batch(sender: Sender, first: number, last: number): void {
    for (const record of sender.records.slice(first - 1, last)) {
      if (record.kind !== Kind.layout) continue
      for (const name of (record.body as { names: string[] }).names) {
        if (!this.names.includes(name)) this.names.push(name)
      }
    }
    const held = this.held.get(sender.instance)
    if (held !== undefined) held.batches.push([first, last])
    else this.merge(sender, first, last)
  }

  private judge(verdict: 'heir' | 'conflict', { instance }: EndedBody): void {
    const { sender, batches } = this.held.get(instance)!
    this.held.delete(instance)
    if (verdict === 'conflict') this.rejected.add(instance)
    for (const [first, last] of batches) this.merge(sender, first, last)
  }

  private merge(sender: Sender, first: number, last: number): void {
    for (const record of sender.records.slice(first - 1, last)) {
      if (record.kind !== Kind.values) continue
      for (const name of sender.layouts[record.layout]!) {
        if (this.rejected.has(sender.instance)) this.fate.get(sender.instance)!.rejected++
        else this.point(sender, `${name} ${record.step}`, record.seq)
      }
    }
  }

  private point(sender: Sender, key: string, seq: number): void {
    let row = this.rows.get(key)
    if (row === undefined) this.rows.set(key, row = { sealed: false, amended: false, slots: new Map() })
    const { rank } = sender.origin
    const held = row.slots.get(rank)
    const mine = this.fate.get(sender.instance)!
    if (held !== undefined && byLife(held.sender, sender) > 0 && held.sender !== sender) {
      mine.superseded++
      return
    }
    row.slots.set(rank, { sender, seq })
    if (row.sealed) {
      row.amended = true
      mine.delivered++
    } else if (held !== undefined) {
      this.fate.get(held.sender.instance)!.superseded++
    }
  }

  private seal({ groups }: SealBody): void {
    for (const { metrics, steps } of groups) {
      for (const [from, to] of metrics) {
        for (const [start, stride, count] of steps) {
          for (let id = from; id <= to; id++) {
            for (let i = 0; i < count; i++) this.close(`${this.names[id]} ${start + stride * i}`)
          }
        }
      }
    }
  }

  private close(key: string): void {
    const row = this.rows.get(key)
    if (row === undefined || row.sealed) return
    row.sealed = true
    for (const { sender } of row.slots.values()) this.fate.get(sender.instance)!.delivered++
  }
}
