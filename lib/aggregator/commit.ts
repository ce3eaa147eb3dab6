import { monotonicMs } from '../clock.ts'
import { errnoOf, messageOf } from '../errors.ts'
import type { Entry, EntryDraft, Ledger } from '../ledger/index.ts'
import { COMMIT_BYTES, COMMIT_INTERVAL_MS, COMMIT_RETRY_MS } from '../limits.ts'

/**
 * Group commit: what arrives within COMMIT_INTERVAL_MS shares one durable transaction, then is applied, then
 * acknowledged. Order of arrival is order in the ledger is order of application.
 *
 * A failed commit (disk full) keeps everything queued and tries again: nothing is acknowledged that is not durable.
 * The queue is bounded by the credits of the agents; `onFault` is told once per fault, with '' when it is over.
 */
export class Committer {
  private readonly ledger: Ledger
  private readonly apply: (entry: Entry) => void
  private readonly onFault: (fault: string) => void
  private queue: { draft: EntryDraft | null; done: () => void }[] = []
  private bytes = 0
  private timer: NodeJS.Timeout | null = null
  private fault = ''
  private retryAt = 0

  constructor(ledger: Ledger, apply: (entry: Entry) => void, onFault: (fault: string) => void) {
    this.ledger = ledger
    this.apply = apply
    this.onFault = onFault
  }

  get idle(): boolean {
    return this.queue.length === 0
  }

  /** `done` runs after the entry is durable and applied. */
  push(draft: EntryDraft, done: () => void = () => {}): void {
    if (draft.type === 'batch') this.bytes += draft.data.length
    this.enqueue(draft, done)
  }

  /** `done` runs when everything pushed before is durable and applied. */
  barrier(done: () => void): void {
    this.enqueue(null, done)
  }

  private enqueue(draft: EntryDraft | null, done: () => void): void {
    this.queue.push({ draft, done })
    if (this.bytes >= COMMIT_BYTES) this.flush()
    else this.timer ??= setTimeout(() => this.flush(), COMMIT_INTERVAL_MS)
  }

  /** Commits what is queued. False when the ledger could not take it; it is tried again by itself. */
  flush(): boolean {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    if (this.queue.length === 0) return true
    if (monotonicMs() < this.retryAt) {
      this.timer = setTimeout(() => this.flush(), COMMIT_RETRY_MS)
      return false
    }
    const group = this.queue
    const drafts = group.map(({ draft }) => draft).filter((draft) => draft !== null)
    let last = 0
    try {
      if (drafts.length > 0) last = this.ledger.append(drafts)
    } catch (error) {
      this.failed(error)
      return false
    }
    this.queue = []
    this.bytes = 0
    this.report('')
    drafts.forEach((draft, index) => this.apply({ ...draft, pos: last - drafts.length + 1 + index }))
    for (const { done } of group) done()
    return true
  }

  private failed(error: unknown): void {
    this.report(`${messageOf(error)} ${errnoOf(error)}`.trim())
    this.retryAt = monotonicMs() + COMMIT_RETRY_MS
    this.timer = setTimeout(() => this.flush(), COMMIT_RETRY_MS)
  }

  private report(fault: string): void {
    if (fault === this.fault) return
    this.fault = fault
    this.onFault(fault)
  }
}
