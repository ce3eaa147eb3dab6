/**
 * The plan of lib/aggregator/SCALE.md, as far as it is a matter of records: what an agent would send to each
 * of K aggregators, and K desks that get it.
 */
import { createHash } from 'node:crypto'
import type { EndedBody, NoteDraft } from '../../lib/aggregator/core-types.ts'
import type { EntryDraft } from '../../lib/ledger/index.ts'
import { Kind, KIND_MAX } from '../../lib/record/index.ts'
import { Desk } from './desk.ts'
import { Sender, type LoggedRecord } from './sender.ts'

/** Which partition has a metric: 0 to K - 1. */
export type PlaceOf = (metric: string) => number

/** First four bytes of the SHA-256 of the name, modulo K; `salt` gives each test another split. */
export const hashed = (partitions: number, salt: number): PlaceOf => (metric) =>
  createHash('sha256').update(`${salt}${metric}`).digest().readUInt32LE() % partitions

/** Of a later version, so readers pass it on: holds the seq of a record that says nothing to a partition. */
const FILLER = KIND_MAX as typeof Kind.event
/** Said to all: they bear on metrics of any partition. */
const SHARED: readonly Kind[] = [Kind.define, Kind.resume]

/** What one partition is told of an instance: all seqs and times, and the points of its own metrics. */
class Line extends Sender {
  private readonly of: Sender
  private readonly partition: number
  private readonly placeOf: PlaceOf

  constructor(of: Sender, partition: number, placeOf: PlaceOf) {
    super(of.origin)
    this.of = of
    this.partition = partition
    this.placeOf = placeOf
  }

  grow(): this {
    for (const record of this.of.records.slice(this.records.length)) this.records.push(this.part(record))
    return this
  }

  /** Of counts by metric. */
  mine(counts: Record<string, number>): Record<string, number> {
    const isMine = ([metric]: [string, number]): boolean => this.placeOf(metric) === this.partition
    return Object.fromEntries(Object.entries(counts).filter(isMine))
  }

  private part(record: LoggedRecord): LoggedRecord {
    const { seq, time } = record
    const filler = { seq, time, kind: FILLER, body: {} }
    if (record.kind === Kind.values) {
      const names = this.of.layouts[record.layout]!
      const values = record.values.filter((_, i) => this.placeOf(names[i]!) === this.partition)
      this.logged += values.length
      return values.length === 0 ? filler : { ...record, values }
    }
    if (record.kind === Kind.layout) {
      const { id, names } = record.body as { id: number; names: string[] }
      const mine = names.filter((name) => this.placeOf(name) === this.partition)
      return mine.length === 0 ? filler : { ...record, body: { id, names: mine } }
    }
    if (record.kind === Kind.lost) {
      const points = this.mine((record.body as { points: Record<string, number> }).points)
      for (const count of Object.values(points)) this.logged += count
      return { ...record, body: { ...record.body, points } }
    }
    if (record.kind === Kind.end) return { ...record, body: { ...record.body, logged: this.logged } }
    return this.partition === 0 || SHARED.includes(record.kind) ? record : filler
  }
}

/** The lines of instances, made when they are first asked for. */
export class Lines {
  private readonly byInstance = new Map<string, Line[]>()
  private readonly partitions: number
  private readonly placeOf: PlaceOf

  constructor(partitions: number, placeOf: PlaceOf) {
    this.partitions = partitions
    this.placeOf = placeOf
  }

  of(sender: Sender): Line[] {
    let lines = this.byInstance.get(sender.instance)
    if (lines === undefined) {
      lines = Array.from({ length: this.partitions }, (_, at) => new Line(sender, at, this.placeOf))
      this.byInstance.set(sender.instance, lines)
    }
    return lines.map((line) => line.grow())
  }
}

/** One desk, and K beside it that get the same at the same time, each its part; each decides for itself. */
export class SplitDesk extends Desk {
  readonly parts: Desk[]
  /** Of all that were committed or heard of. */
  senderOf: (instance: string) => Sender = () => { throw new Error('nobody has joined') }
  private readonly lines: Lines

  constructor(partitions: number, placeOf: PlaceOf) {
    super()
    this.parts = Array.from({ length: partitions }, () => new Desk())
    this.lines = new Lines(partitions, placeOf)
  }

  /** Decisions are not passed on. */
  override commit(drafts: readonly EntryDraft[]): void {
    super.commit(drafts)
    const isSaid = (draft: EntryDraft): boolean =>
      draft.type === 'batch' || draft.kind === 'joined' || draft.kind === 'ended'
    this.each((part, at) => { part.commit(drafts.filter(isSaid).map((draft) => this.part(draft, at))) })
  }

  /** Without a backlog: what is on its way is so to some partitions only, and waited for only there. */
  override beat(sender: Sender, alive = true): this {
    this.each((part, at) => { part.beat(this.lines.of(sender)[at]!, alive) })
    return super.beat(sender, alive)
  }

  override decide(look?: (note: NoteDraft) => void): NoteDraft[] {
    this.each((part) => { part.decide() })
    return super.decide(look)
  }

  override drain(): this {
    this.each((part) => { part.drain() })
    return super.drain()
  }

  override restart(): this {
    this.each((part) => { part.restart() })
    return super.restart()
  }

  private each(act: (part: Desk, at: number) => void): void {
    this.parts.forEach((part, at) => {
      part.now = this.now
      act(part, at)
    })
  }

  private part(draft: EntryDraft, at: number): EntryDraft {
    if (draft.type === 'batch') {
      const line = this.lines.of(this.senderOf(draft.instance))[at]!
      return { ...draft, data: line.blob(draft.firstSeq, draft.lastSeq) }
    }
    if (draft.kind !== 'ended') return draft
    const body = draft.body as EndedBody
    return { ...draft, body: { ...body, logged: this.lines.of(this.senderOf(body.instance))[at]!.logged } }
  }
}
