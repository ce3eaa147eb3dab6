import { Kind, type Origin } from '../../lib/record/index.ts'
import { BatchBuilder } from '../../lib/wire/index.ts'

export type LoggedRecord =
  | {
    seq: number; kind: typeof Kind.values; layout: number; step: number; weight: number; time: number
    values: number[]
  }
  | { seq: number; kind: Exclude<Kind, typeof Kind.values>; time: number; body: object }

const encoder = new TextEncoder()

export function originOf(instance: string, rank: number, more: Partial<Origin> = {}): Origin {
  return {
    instance, meeting: '0'.repeat(32), run: null, role: 'worker', rank, worldSize: 4, localRank: rank,
    node: 'n0', bootId: 'b0',
    pidns: 1, pid: 100 + rank, procStart: 1, startedAt: 1000, dir: '/tmp', cli: '', ...more,
  }
}

/** One simulated logger with its journal: everything it logged, to be cut into batches at will. */
export class Sender {
  readonly origin: Origin
  readonly records: LoggedRecord[] = []
  readonly layouts: string[][] = []
  logged = 0
  private readonly byNames = new Map<string, number>()

  constructor(origin: Origin) {
    this.origin = origin
  }

  get instance(): string {
    return this.origin.instance
  }

  get seq(): number {
    return this.records.length
  }

  log(values: Record<string, number>, step: number, o: { weight?: number; time?: number } = {}): this {
    const names = Object.keys(values)
    const time = o.time ?? this.origin.startedAt
    const layout = this.layout(names, time)
    this.records.push({
      seq: this.seq + 1, kind: Kind.values, layout, step, weight: o.weight ?? NaN, time,
      values: Object.values(values),
    })
    this.logged += names.length
    return this
  }

  say(kind: Exclude<Kind, typeof Kind.values>, body: object, time = this.origin.startedAt): this {
    this.records.push({ seq: this.seq + 1, kind, time, body })
    return this
  }

  /** Records `first..last` as one blob. */
  blob(first = 1, last = this.seq): Uint8Array {
    const builder = new BatchBuilder(this.instance)
    for (const record of this.records.slice(first - 1, last)) {
      if (record.kind === Kind.values) {
        const { seq, layout, step, weight, time, values } = record
        builder.values(seq, layout, step, weight, time, Float64Array.from(values), 0, values.length)
      } else {
        builder.payload(record.seq, record.kind, record.time, encoder.encode(JSON.stringify(record.body)))
      }
    }
    return builder.finish()
  }

  private layout(names: string[], time: number): number {
    const key = JSON.stringify(names)
    let id = this.byNames.get(key)
    if (id === undefined) {
      id = this.layouts.length
      this.layouts.push(names)
      this.byNames.set(key, id)
      this.say(Kind.layout, { id, names }, time)
    }
    return id
  }
}
