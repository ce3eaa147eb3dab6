import type { Entry, EntryDraft, Ledger } from '../../lib/ledger/index.ts'
import { decodeBatch } from '../../lib/wire/index.ts'
import type { EndedBody, NoteDraft } from '../../lib/aggregator/core-types.ts'
import { State } from '../../lib/aggregator/core-state.ts'
import type { Sender } from './sender.ts'

/** A ledger in memory; notes go through JSON as they do on disk. */
export class MemoryLedger implements Ledger {
  readonly id = 'f'.repeat(32)
  readonly path = '/runs/test-run/ledger.sqlite'
  readonly list: Entry[] = []
  readonly facts: Record<string, string> = {}

  append(entries: readonly EntryDraft[]): number {
    for (const entry of entries) {
      const pos = this.list.length + 1
      this.list.push(entry.type === 'batch' ? { ...entry, pos }
        : { ...entry, pos, body: JSON.parse(JSON.stringify(entry.body)) as unknown })
    }
    return this.list.length
  }

  * entries(fromPos = 1): Generator<Entry> {
    for (let i = fromPos - 1; i < this.list.length; i++) yield this.list[i]!
  }

  meta(): Record<string, string> {
    return this.facts
  }

  setMeta(): void {}
  term(): number { return 0 }
  fence(): void {}
  close(): void {}
}

export const SEAL_AFTER = 10_000
export const JOIN_TIMEOUT = 30_000

export const newState = (openRowsBytesMax = 2 ** 30, amends = false): State => new State({
  sealAfterMs: SEAL_AFTER, joinTimeoutMs: JOIN_TIMEOUT, openRowsBytesMax, decode: decodeBatch, amends,
})

/** An aggregator without sockets: append, then apply. `now` is the test's to move. */
export class Desk {
  readonly ledger: MemoryLedger
  state: State
  now = 10_000
  private readonly bytesMax: number
  private readonly amends: boolean

  /** `amends`: some backend wants rows. */
  constructor(ledger = new MemoryLedger(), bytesMax = 2 ** 30, amends = false) {
    this.ledger = ledger
    this.bytesMax = bytesMax
    this.amends = amends
    this.state = newState(bytesMax, amends)
    for (const entry of ledger.entries()) this.state.apply(entry)
  }

  commit(drafts: readonly EntryDraft[]): void {
    const before = this.ledger.list.length
    this.ledger.append(drafts)
    for (const entry of this.ledger.entries(before + 1)) this.state.apply(entry)
  }

  join(sender: Sender, first = 1, ledgerBefore: string | null = null): this {
    this.commit(this.state.join(sender.origin, first, this.now, { ledgerBefore }))
    return this
  }

  /** Everything of the sender up to `last` that is not in yet. */
  take(sender: Sender, last = sender.seq): this {
    const firstSeq = this.state.acked(sender.instance) + 1
    if (firstSeq > last) return this
    const data = sender.blob(firstSeq, last)
    this.commit([{ type: 'batch', at: this.now, instance: sender.instance, firstSeq, lastSeq: last, data }])
    return this
  }

  end(sender: Sender, more: Partial<EndedBody> = {}): this {
    const body: EndedBody = {
      instance: sender.instance, seq: sender.seq, logged: sender.logged, lost: 0, refused: 0, at: this.now,
      departure: { exit: 0, signal: null, cause: 'pidfd' }, ...more,
    }
    this.commit([{ type: 'note', at: this.now, kind: 'ended', body }])
    return this
  }

  note(kind: string, body: unknown): this {
    this.commit([{ type: 'note', at: this.now, kind, body }])
    return this
  }

  beat(sender: Sender, alive = true, backlog = 0): this {
    const { instance, logged } = sender
    this.state.heard([{ instance, alive, logged, lost: 0, backlog }], this.now)
    return this
  }

  /** `look` sees each decision before it is applied. */
  decide(look: (note: NoteDraft) => void = () => {}): NoteDraft[] {
    const notes = this.state.decide(this.now)
    notes.forEach(look)
    this.commit(notes)
    return notes
  }

  drain(): this {
    for (;;) {
      const notes = this.state.drain(this.now)
      if (notes.length === 0) return this
      this.commit(notes)
    }
  }

  restart(): this {
    const now = this.now
    const next = new Desk(this.ledger, this.bytesMax, this.amends)
    this.state = next.state
    this.now = now
    return this
  }
}
