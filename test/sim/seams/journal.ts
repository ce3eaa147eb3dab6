/**
 * lib/journal: records in memory, seen through the real interface. What a reader may rely on is kept: records
 * come whole and in order, trims go in steps of what was read, a full journal counts losses.
 */
import { Kind, type Origin, type RecordSink } from '../../../lib/record/index.ts'
import type { Counters, Hole, JournalReader } from '../../../lib/journal/types.ts'
import type { Sender } from '../../aggregator/sender.ts'
import { context, diskOf, me, step } from '../context.ts'
import type { Process } from '../world.ts'

export { bootId, livesAs, pidNamespace, procStart } from './process.ts'
export { removeFile } from './process.ts'

export const shmDir = (): string => '/dev/shm/rankzero'
export const pendingDirs = (dir: string): string[] => [`${dir}/.pending`, '/home/pending']
export const newInstanceId = (): string => context().world.random.hex(16)
export const createJournal = (): never => { throw new Error('the simulator writes journals itself') }

const encoder = new TextEncoder()

export class Journal {
  readonly sender: Sender
  readonly owner: Process
  readonly path: string
  readonly capacity: number
  /** Damaged records, by seq. */
  readonly damaged = new Set<number>()
  /** Bytes before each record. */
  readonly places: number[] = [0]
  trimmed = 0
  acked = 0
  lost = 0
  refused = 0
  beatAt = 0
  run: string | null = null
  closed = false
  private unreported: Record<string, number> = {}

  constructor(sender: Sender, owner: Process, capacity: number) {
    this.sender = sender
    this.owner = owner
    this.capacity = capacity
    this.path = `${shmDir()}/${sender.instance}.jnl`
    this.run = sender.origin.run
    this.grown()
  }

  get backlog(): number {
    return this.places.at(-1)! - this.places[this.trimmed]!
  }

  log(values: Record<string, number>, stepOf: number, o: { weight?: number; time: number }): void {
    const names = Object.keys(values)
    if (this.backlog + 200 * names.length > this.capacity) {
      for (const name of names) this.unreported[name] = (this.unreported[name] ?? 0) + 1
      this.lost += names.length
      return
    }
    this.report(o.time)
    this.sender.log(values, stepOf, o)
    this.grown()
  }

  say(kind: Exclude<Kind, typeof Kind.values>, body: object, time: number): void {
    this.report(time)
    this.sender.say(kind, body, time)
    this.grown()
  }

  report(time: number): void {
    if (Object.keys(this.unreported).length === 0 || this.backlog + 400 > this.capacity) return
    this.sender.say(Kind.lost, { points: this.unreported, cause: 'overflow' }, time)
    this.unreported = {}
    this.grown()
  }

  pointsOf(seq: number): number {
    const record = this.sender.records[seq - 1]
    return record?.kind === Kind.values ? record.values.length : 0
  }

  private grown(): void {
    const { records } = this.sender
    while (this.places.length <= records.length) {
      const record = records[this.places.length - 1]!
      const bytes = record.kind === Kind.values ? 40 + 8 * record.values.length : 120
      this.places.push(this.places.at(-1)! + bytes)
    }
  }
}

export function listJournals(dir: string): string[] {
  step()
  const isHere = (path: string): boolean => path.startsWith(`${dir}/`) && path.endsWith('.jnl')
  return [...diskOf(dir).objects.keys()].filter(isHere).sort()
}

export function openReader(path: string): JournalReader {
  step()
  const journal = diskOf(path).objects.get(path) as Journal | undefined
  if (journal === undefined) throw Object.assign(new Error(`ENOENT ${path}`), { code: 'ENOENT' })
  return new SimReader(journal)
}

class SimReader implements JournalReader {
  readonly origin: Origin
  readonly path: string
  next: number
  readonly #journal: Journal
  /** Places that a trim may go to: where reads ended. */
  #marks: number[]

  constructor(journal: Journal) {
    this.#journal = journal
    this.origin = journal.sender.origin
    this.path = journal.path
    this.next = journal.trimmed + 1
    this.#marks = [this.next]
  }

  counters(): Counters {
    const { sender, lost, refused, acked, trimmed } = this.#journal
    return { seq: sender.seq, logged: sender.logged + lost, lost, refused, acked, trimmed }
  }

  first(): number {
    return this.#journal.trimmed + 1
  }

  read(sink: RecordSink, bytesMax: number): number {
    const { sender, damaged, places } = this.#journal
    const { world, laws } = context()
    const most = laws.shortReads && world.random.chance(0.3) ? world.random.between(1, 6) : Infinity
    const from = places[this.next - 1]!
    for (let n = 0; n < most && this.next <= sender.seq && !damaged.has(this.next); n++) {
      const record = sender.records[this.next - 1]!
      if (record.kind === Kind.values) {
        const { seq, layout, weight, time, values } = record
        sink.values(seq, layout, record.step, weight, time, Float64Array.from(values), 0, values.length)
      } else {
        sink.payload(record.seq, record.kind, record.time, encoder.encode(JSON.stringify(record.body)))
      }
      this.next++
      if (places[this.next - 1]! - from >= bytesMax) break
    }
    if (this.next > this.#marks.at(-1)!) this.#marks.push(this.next)
    return places[this.next - 1]! - from
  }

  seek(seq: number): void {
    this.next = Math.max(seq, this.first())
  }

  hole(): Hole | null {
    const { damaged } = this.#journal
    if (!damaged.has(this.next)) return null
    let to = this.next
    while (damaged.has(to + 1)) to++
    let points = 0
    for (let seq = this.next; seq <= to; seq++) points += this.#journal.pointsOf(seq)
    return { from: this.next, to, points }
  }

  skipHole(): void {
    const hole = this.hole()
    if (hole === null) return
    this.next = hole.to + 1
    this.#marks.push(this.next)
  }

  backlog(): number {
    return this.#journal.backlog
  }

  ack(seq: number): void {
    step()
    this.#journal.acked = Math.max(this.#journal.acked, seq)
    this.trim(seq)
  }

  trim(seq: number): void {
    step()
    const index = this.#marks.findLastIndex((mark) => mark - 1 <= seq)
    if (index < 0) return
    this.#marks.splice(0, index)
    const mark = this.#marks[0]!
    if (mark - 1 <= this.#journal.trimmed) return
    context().laws.trimmed(this.#journal, mark - 1)
    this.#journal.trimmed = mark - 1
    if (this.next < mark) this.next = mark
  }

  beat(now: number): void {
    step()
    this.#journal.beatAt = Math.max(this.#journal.beatAt, now)
  }

  setRun(run: string): void {
    step()
    this.#journal.run = run
  }

  runId(): string | null {
    return this.#journal.run
  }

  ownerAlive(): boolean {
    return !this.#journal.closed && this.#journal.owner.alive
  }

  remove(): void {
    const world = step()
    context().laws.removed(this.#journal)
    me().node.shm.objects.delete(this.path)
    world.tell(me().name, `removes the journal of ${this.origin.instance.slice(0, 8)}`)
  }

  close(): void {}
}
