import { mkdtempSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import {
  createJournal, newInstanceId, procStart, type Hole, type JournalReader,
} from '../../lib/journal/index.ts'
import { pidNamespace } from '../../lib/journal/process.ts'
import type { JournalOptions, JournalWriter } from '../../lib/journal/types.ts'
import { Kind, type Origin, type RecordSink } from '../../lib/record/index.ts'

/** Chosen by whoever runs the tests: there is no ring then. */
export const TWIN_CHOSEN = process.env['RANKZERO_NATIVE'] === '0'

const made: string[] = []

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})

/** A scratch directory, in shared memory (where rings may be) or on disk; removed after the test. */
export function scratch(where: 'shm' | 'disk' = 'shm'): string {
  const path = mkdtempSync(join(where === 'shm' ? '/dev/shm' : tmpdir(), 'rz-test-'))
  made.push(path)
  return path
}

export function originIn(dir: string, over: Partial<Origin> = {}): Origin {
  return {
    instance: newInstanceId(),
    meeting: '0'.repeat(32),
    run: null,
    role: 'worker',
    rank: 0,
    worldSize: 1,
    localRank: 0,
    node: hostname(),
    bootId: '',
    pidns: pidNamespace(),
    pid: process.pid,
    procStart: procStart(process.pid),
    startedAt: 1_700_000_000_000,
    dir,
    cli: '[]',
    ...over,
  }
}

export function journalIn(shm: string, over: Partial<JournalOptions> = {}): JournalWriter {
  const env = { RANKZERO_SHM_DIR: shm }
  return createJournal({ origin: originIn(shm), env, overflowCap: 1 << 28, localWorldSize: 1, ...over })
}

/** One call of log(): every value of the record is derived from its step, so that a reader can check it. */
export function log(
  writer: JournalWriter, layout: number, step: number, values: readonly number[], weight = NaN,
): boolean {
  const weighted = !Number.isNaN(weight)
  const at = writer.begin(values.length, weighted)
  if (at < 0) {
    writer.drop(layout, values.length)
    return false
  }
  const { f64 } = writer
  for (let i = 0; i < values.length; i++) f64[at + i] = values[i]!
  writer.commit(layout, values.length, step, weight, 1_700_000_000_000 + step)
  return true
}

export interface Taken {
  seq: number
  kind: Kind
  layout?: number
  step?: number
  weight?: number
  time: number
  values?: number[]
  body?: unknown
}

export class Collector implements RecordSink {
  readonly taken: Taken[] = []

  values(
    seq: number, layout: number, step: number, weight: number, time: number,
    values: Float64Array, at: number, count: number,
  ): void {
    this.taken.push({
      seq, kind: Kind.values, layout, step, weight, time, values: [...values.subarray(at, at + count)],
    })
  }

  payload(seq: number, kind: Kind, time: number, body: Uint8Array): void {
    this.taken.push({ seq, kind, time, body: JSON.parse(Buffer.from(body).toString()) })
  }

  get logged(): Taken[] {
    return this.taken.filter((record) => record.kind === Kind.values)
  }

  get points(): number {
    return this.logged.reduce((sum, record) => sum + record.values!.length, 0)
  }
}

export function readAll(reader: JournalReader, sink: RecordSink, chunk = 1 << 16): void {
  while (reader.read(sink, chunk) > 0);
}

/** Reads to the end, over holes. */
export function readOverHoles(reader: JournalReader, sink: RecordSink): Hole[] {
  const holes = []
  for (;;) {
    readAll(reader, sink)
    const before = reader.next
    const hole = reader.hole()
    if (hole !== null) {
      holes.push(hole)
      reader.skipHole()
    } else if (reader.read(sink, 1 << 16) === 0 && reader.next === before) {
      return holes
    }
  }
}
