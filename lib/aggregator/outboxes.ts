/**
 * Drives the outboxes of a run, one per backend that rows are sent to: the edge of session/core-outbox.ts.
 *
 * In: the ledger, that a tick has passed, that the run is over. Out: `outbox` notes, calls of backends.
 * Invariants: each backend reads the rows at its own pace and is called by itself, so none waits for another;
 * reading gives way to others after a slice; nothing is sent that is not decided in the ledger.
 */
import { createHash } from 'node:crypto'
import type { Backend, Outcome, RowWriter } from '../backend/index.ts'
import { monotonicMs, sleep, wallMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import type { Ledger } from '../ledger/index.ts'
import { COMMIT_RETRY_MS, END_POLL_MS, OUTBOX_SLICE_MS, OUTBOX_STALL_MS } from '../limits.ts'
import { Outbox, type OutboxEffect, type OutboxEvent, type OutboxNote } from '../session/core-outbox.ts'
import type { State } from './core-state.ts'
import { readRows, type Read } from './row-reader.ts'

export interface OutboxesOptions {
  ledger: Ledger
  state: State
  /** `done` when the note is durable and applied. */
  commit: (note: OutboxNote, done: () => void) => void
  report: (line: string) => void
}

/** What `status` says beside what the notes tell. */
export interface OutboxView {
  name: string
  fault: string
}

export class Outboxes {
  private readonly couriers: Courier[]

  constructor(backends: readonly Backend[], options: OutboxesOptions) {
    this.couriers = backends.filter(({ rows }) => rows !== null)
      .map((backend) => new Courier(backend.name, backend.rows!, options))
  }

  views(): OutboxView[] {
    return this.couriers.map(({ name, outbox: { fault } }) => ({ name, fault }))
  }

  tick(): void {
    for (const courier of this.couriers) courier.tick()
  }

  /**
   * No more rows come. Until everything is delivered and each backend knows the status, as long as `maxMs`
   * allows and anything moves; what is left then is pending.
   */
  async finish(status: string, maxMs: number): Promise<void> {
    const begun = monotonicMs()
    let mark = ''
    for (let moved = begun; ; await sleep(END_POLL_MS)) {
      for (const courier of this.couriers) courier.finish(status)
      if (this.couriers.every(({ outbox: { done } }) => done)) return
      const now = monotonicMs()
      const next = this.couriers.map(({ outbox: { standing, next } }) => `${standing.settled} ${next}`).join()
      if (next !== mark) moved = now
      mark = next
      if (now - begun >= maxMs || now - moved >= OUTBOX_STALL_MS) return
    }
  }

  /** Sends nothing more. What is on its way counts as perhaps stored. */
  close(): void {
    for (const courier of this.couriers) courier.close()
  }
}

class Courier {
  readonly name: string
  readonly outbox: Outbox
  private readonly writer: RowWriter
  private readonly options: OutboxesOptions
  private rows: Generator<Read, never>
  private readableAt = -Infinity
  /** A turn is taken at the next opportunity. */
  private due: NodeJS.Immediate | null = null
  private call: AbortController | null = null
  private over: string | null = null
  private fault = ''

  constructor(name: string, writer: RowWriter, options: OutboxesOptions) {
    this.name = name
    this.writer = writer
    this.options = options
    const pack = (parts: readonly Uint8Array[], at: number): { bytes: Uint8Array; digest: string } => {
      const bytes = writer.pack(parts, at)
      return { bytes, digest: createHash('sha256').update(bytes).digest('hex') }
    }
    const standing = options.state.standing(name)
    this.outbox = new Outbox({ backend: name, can: writer.can, pack, random: Math.random }, standing)
    this.rows = readRows(options.ledger, this.outbox.next)
  }

  tick(): void {
    this.tell({ type: 'tick' })
    this.read()
  }

  finish(status: string): void {
    this.over = status
    this.tick()
  }

  close(): void {
    if (this.due !== null) clearImmediate(this.due)
    this.call?.abort()
  }

  /** Takes rows while there is room and the slice lasts; then others have their turn. */
  private read(): void {
    if (this.due !== null) return
    const until = monotonicMs() + OUTBOX_SLICE_MS
    while (this.outbox.wants) {
      const read = this.nextRow()
      if (read === null) return
      if (read === 'idle') {
        if (this.over === null) return
        return this.tell({ type: 'finish', last: this.outbox.next - 1, status: this.over })
      }
      if (read !== 'busy') {
        const { n, of, amends } = read
        this.tell({ type: 'row', part: { n, data: this.writer.encode(read), points: of.length, amends } })
      }
      if (monotonicMs() >= until) return this.again()
    }
  }

  /** Null: the ledger cannot be read now. */
  private nextRow(): Read | null {
    if (monotonicMs() < this.readableAt) return null
    try {
      return this.rows.next().value
    } catch (error) {
      this.options.report(`backend ${this.name} gets no rows: ${messageOf(error)}`)
      this.readableAt = monotonicMs() + COMMIT_RETRY_MS
      this.rows = readRows(this.options.ledger, this.outbox.next)
      return null
    }
  }

  private again(): void {
    this.due ??= setImmediate(() => {
      this.due = null
      this.read()
    })
  }

  private tell(event: OutboxEvent): void {
    for (const effect of this.outbox.handle(event, monotonicMs(), wallMs())) this.carryOut(effect)
    const { fault } = this.outbox
    if (fault === this.fault) return
    this.fault = fault
    this.options.report(fault === '' ? `backend ${this.name} takes rows again`
      : `backend ${this.name}: ${fault}; what it does not take waits in the ledger`)
  }

  private carryOut(effect: OutboxEffect): void {
    const { writer } = this
    switch (effect.do) {
      case 'commit':
        return this.options.commit(effect.note, () => {
          this.tell({ type: 'noted' })
          this.again()
        })
      case 'giveUp': return this.call?.abort()
      case 'open': return this.start(effect.call, () => writer.open(effect.cursor))
      case 'send': return this.start(effect.call, (signal) => writer.write(effect.bytes, signal))
      case 'end': return this.start(effect.call, (signal) => writer.end(effect.status, signal))
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
