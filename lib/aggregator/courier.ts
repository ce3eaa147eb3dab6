import { createHash } from 'node:crypto'
import type { Outcome, Writer } from '../backend/index.ts'
import { monotonicMs, wallMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { COMMIT_RETRY_MS } from '../limits.ts'
import { OUTBOX_SLICE_MS } from '../limits-outbox.ts'
import { Outbox, type OutboxEffect, type OutboxEvent, type Part } from '../session/core-outbox.ts'
import type { OutboxNote } from '../session/core-standing.ts'
import type { State } from './core-state.ts'

export interface CourierOptions {
  state: State
  /** `done` when the note is durable and applied. */
  commit: (note: OutboxNote, done: () => void) => void
  report: (line: string) => void
  /** Shows backends how things stand now: the last that they tell is said with the end. */
  paint: () => void
}

/** Of one kind of items to one backend. */
export interface Route<Item> {
  backend: string
  /** Of its notes. */
  name: string
  /** Or of events, for a backend that gets no rows: what else it gets ends before. */
  isOfRows: boolean
  writer: Writer<Item>
  read: (from: number) => Generator<Item | 'busy' | 'idle', never>
  about: (item: Item) => Omit<Part, 'data' | 'values'>
}

/** Brings the items of one kind to one backend: carries out what its outbox says, and reads for it. */
export class Courier<Item> {
  readonly backend: string
  readonly isOfRows: boolean
  readonly outbox: Outbox
  private readonly name: string
  private readonly route: Route<Item>
  private readonly options: CourierOptions
  private items: Generator<Item | 'busy' | 'idle', never>
  private readableAt = -Infinity
  /** A turn is taken at the next opportunity. */
  private due: NodeJS.Immediate | null = null
  private call: AbortController | null = null
  private over: string | null = null
  private fault = ''
  private closed = false
  private hasRead = false

  constructor(route: Route<Item>, options: CourierOptions) {
    const { backend, name, isOfRows, writer } = route
    this.backend = backend
    this.isOfRows = isOfRows
    this.name = name
    this.route = route
    this.options = options
    const pack = (parts: readonly Uint8Array[], at: number): { bytes: Uint8Array; digest: string } => {
      const bytes = writer.pack(parts, at)
      return { bytes, digest: createHash('sha256').update(bytes).digest('hex') }
    }
    const standing = options.state.standing(name)
    this.outbox = new Outbox({ backend: name, can: writer.can, pack, random: Math.random }, standing)
    this.items = route.read(this.outbox.next)
  }

  /** Another one whenever anything has moved. */
  get mark(): string {
    const { standing, next } = this.outbox
    return `${standing.settled} ${next} ${this.route.writer.progress?.().bytes ?? 0}`
  }

  /** Everything that there is has been read, and is settled. */
  get isIdle(): boolean {
    return this.hasRead && this.due === null && this.outbox.isIdle
  }

  tick(): void {
    this.tell({ type: 'tick', pace: this.route.writer.pace?.() })
    this.read()
  }

  finish(status: string): void {
    this.over = status
    this.tick()
  }

  close(): void {
    this.closed = true
    if (this.due !== null) clearImmediate(this.due)
    this.call?.abort()
  }

  /** Takes rows while there is room and the slice lasts; then others have their turn. */
  private read(): void {
    if (this.due !== null) return
    this.hasRead = false
    const until = monotonicMs() + OUTBOX_SLICE_MS
    while (this.outbox.wants) {
      const read = this.nextItem()
      if (read === null) return
      this.hasRead = read === 'idle'
      if (read === 'idle') {
        if (this.over === null) return
        return this.tell({ type: 'finish', last: this.outbox.next - 1, status: this.over })
      }
      if (read !== 'busy') {
        const { writer, about } = this.route
        const part = { ...about(read as Item), ...writer.encode(read as Item) }
        this.tell({ type: 'row', part })
      }
      if (monotonicMs() >= until) return this.again()
    }
  }

  /** Null: the ledger cannot be read now. */
  private nextItem(): Item | 'busy' | 'idle' | null {
    if (monotonicMs() < this.readableAt) return null
    try {
      return this.items.next().value
    } catch (error) {
      this.options.report(`backend ${this.name} gets nothing: ${messageOf(error)}`)
      this.readableAt = monotonicMs() + COMMIT_RETRY_MS
      this.items = this.route.read(this.outbox.next)
      return null
    }
  }

  private again(): void {
    if (!this.closed) this.due ??= setImmediate(() => {
      this.due = null
      this.read()
    })
  }

  private tell(event: OutboxEvent): void {
    if (this.closed) return
    for (const effect of this.outbox.handle(event, monotonicMs(), wallMs())) this.carryOut(effect)
    const { fault } = this.outbox
    if (fault === this.fault) return
    this.fault = fault
    this.options.report(fault === '' ? `backend ${this.name} takes what comes again`
      : `backend ${this.name}: ${fault}; what it does not take waits in the ledger`)
  }

  private carryOut(effect: OutboxEffect): void {
    const { writer } = this.route
    switch (effect.do) {
      case 'commit':
        return this.options.commit(effect.note, () => {
          this.tell({ type: 'noted' })
          this.again()
        })
      case 'giveUp': return this.call?.abort()
      case 'open': return this.start(effect.call, () => writer.open(effect.cursor))
      case 'send': return this.start(effect.call, (signal) => writer.write(effect.bytes, signal))
      case 'end':
        this.options.paint()
        return this.start(effect.call, (signal) => writer.end(effect.status, signal))
    }
  }

  private start(call: number, work: (signal: AbortSignal) => Promise<Outcome>): void {
    const abort = this.call = new AbortController()
    const answered = (outcome: Outcome): void => {
      if (!abort.signal.aborted) this.tell({ type: 'result', call, outcome })
    }
    work(abort.signal).then(answered, (error: unknown) =>
      answered({ is: 'unsure', message: messageOf(error) }))
  }
}
