import { monotonicMs } from '../clock.ts'
import { errnoOf, messageOf, RankzeroError } from '../errors.ts'
import type { Entry, EntryDraft, Ledger } from '../ledger/index.ts'
import type { Batch } from '../wire/index.ts'
import {
  COMMIT_BYTES, COMMIT_INTERVAL_MS, COMMIT_INTERVAL_MS_MAX, COMMIT_MANY, COMMIT_PART, COMMIT_RETRY_MS,
} from '../limits.ts'

interface Queued {
  /** Null: a barrier. */
  draft: EntryDraft | null
  decoded: Batch | undefined
  done: () => void
}

/**
 * Group commit: what arrives within COMMIT_INTERVAL_MS shares one durable transaction, then is applied, then
 * acknowledged. Order of arrival is order in the ledger is order of application.
 *
 * A failed commit (disk full) keeps everything queued and tries again: nothing is acknowledged that is not
 * durable. The queue is bounded by the credits of the agents; `onFault` is told once per fault, with '' when
 * it is over. A ledger that another process has fenced is told by `onFenced`, and takes nothing ever again.
 */
export class Committer {
  private readonly ledger: Ledger
  private readonly apply: (entry: Entry, decoded: Batch | undefined) => void
  private readonly onFault: (fault: string) => void
  private readonly onFenced: (why: string) => void
  private queue: Queued[] = []
  private bytes = 0
  private timer: NodeJS.Timeout | null = null
  private fault = ''
  private retryAt = 0
  private intervalMs = COMMIT_INTERVAL_MS

  constructor(
    ledger: Ledger,
    apply: (entry: Entry, decoded: Batch | undefined) => void,
    onFault: (fault: string) => void,
    onFenced: (why: string) => void,
  ) {
    this.ledger = ledger
    this.apply = apply
    this.onFault = onFault
    this.onFenced = onFenced
  }

  /** `done` runs after the entry is durable and applied. `decoded` spares the state a second decoding. */
  push(draft: EntryDraft, done: () => void = () => {}, decoded?: Batch): void {
    if (draft.type === 'batch') this.bytes += draft.data.length
    this.enqueue({ draft, decoded, done })
  }

  /** `done` runs when everything pushed before is durable and applied. */
  barrier(done: () => void): void {
    this.enqueue({ draft: null, decoded: undefined, done })
  }

  settled(): Promise<void> {
    return new Promise((resolve) => this.barrier(resolve))
  }

  private enqueue(queued: Queued): void {
    this.queue.push(queued)
    if (this.bytes >= COMMIT_BYTES) this.flush()
    else this.timer ??= setTimeout(() => this.flush(), this.intervalMs)
  }

  /** Commits what is queued. False when the ledger could not take it; it is tried again by itself. */
  flush(): boolean {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    if (this.queue.length === 0) return true
    if (monotonicMs() < this.retryAt) {
      if (this.retryAt < Infinity) this.timer = setTimeout(() => this.flush(), COMMIT_RETRY_MS)
      return false
    }
    const group = this.queue
    const drafts = group.map(({ draft }) => draft).filter((draft) => draft !== null)
    let pos = 0
    const begun = monotonicMs()
    try {
      if (drafts.length > 0) pos = this.ledger.append(drafts) - drafts.length
    } catch (error) {
      this.failed(error)
      return false
    }
    this.queue = []
    this.bytes = 0
    this.pace(drafts.length, monotonicMs() - begun)
    this.report('')
    for (const { draft, decoded } of group) if (draft !== null) this.apply({ ...draft, pos: ++pos }, decoded)
    for (const { done } of group) done()
    return true
  }

  /** The disk is waited for a part of the time only: the more comes meanwhile, the larger the next group. */
  private pace(entries: number, tookMs: number): void {
    const rest = entries < COMMIT_MANY ? 0 : tookMs / COMMIT_PART
    this.intervalMs = Math.min(COMMIT_INTERVAL_MS_MAX, Math.max(COMMIT_INTERVAL_MS, rest))
  }

  private failed(error: unknown): void {
    if (error instanceof RankzeroError && error.code === 'FENCED') {
      this.retryAt = Infinity
      return this.onFenced(error.message)
    }
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
