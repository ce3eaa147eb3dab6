import type { JournalWriter } from '../../lib/journal/index.ts'
import { Kind } from '../../lib/record/index.ts'

export interface Record {
  names: readonly string[]
  values: number[]
  step: number
  weight: number
}

/** A journal in memory; `full` makes it refuse records, as one does whose cap is reached. */
export class FakeJournal implements JournalWriter {
  readonly instance = 'f'.repeat(32)
  readonly mapped = true
  readonly path = '/nowhere'
  readonly f64 = new Float64Array(100_000)
  readonly records: Record[] = []
  readonly layouts = new Map<number, readonly string[]>()
  readonly payloads: { kind: Kind; body: any }[] = []
  refused = 0
  logged = 0
  lost = 0
  full = false
  #at = 0
  #begun = -1

  begin(count: number): number {
    if (this.full) return -1
    this.#begun = count
    this.#at = (this.#at + 7) % 1000
    return this.#at
  }

  commit(layout: number, count: number, step: number, weight: number): void {
    if (this.#begun !== count) throw new Error('commit without its begin')
    this.#begun = -1
    const names = this.layouts.get(layout)
    if (names?.length !== count) throw new Error(`layout ${layout} is not of ${count} names`)
    this.logged += count
    const values = Array.from(this.f64.subarray(this.#at, this.#at + count))
    this.records.push({ names, values, step, weight })
  }

  drop(_layout: number, count: number): void {
    this.lost += count
    this.logged += count
  }

  define(id: number, names: readonly string[]): boolean {
    if (this.layouts.has(id)) throw new Error(`layout ${id} is defined twice`)
    this.layouts.set(id, [...names])
    return true
  }

  payload(kind: Kind, body: object): boolean {
    this.#begun = -1
    if (this.full && kind !== Kind.end) return false
    this.payloads.push({ kind, body: JSON.parse(JSON.stringify(body)) })
    return true
  }

  countRefused(n: number): void {
    this.refused += n
  }

  tick(): void {}
  acked(): number { return 0 }
  seq(): number { return 0 }
  beat(): number { return 0 }
  runId(): string | null { return null }
  backlogBytes(): number { return 0 }
  close(): void {}

  /** All points in order. */
  points(): [string, number, number][] {
    return this.records.flatMap(({ names, values, step }) =>
      names.map((name, i): [string, number, number] => [name, step, values[i]!]))
  }
}
