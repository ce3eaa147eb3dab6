import { randomUUID } from 'node:crypto'
import type { StreamEvent } from '../backend/index.ts'
import type { RunEvent } from '../record/run-event.ts'
import type { RunStatus } from '../record/run-status.ts'
import { eventsDue } from './core-events.ts'
import type { State } from './core-state.ts'

export interface HeraldOptions {
  state: State
  /** Some backend takes events. */
  isHeard: boolean
  closing: boolean
  clock: () => number
  commit: (event: RunEvent) => void
  /** Resolves when all that was committed is durable and applied. */
  barrier: () => Promise<void>
}

/**
 * Decides that something is to be told, with its id, in the ledger, before anybody is: so whoever is told
 * again after a restart hears of the same event.
 */
export class Herald {
  private readonly options: HeraldOptions
  private stood: boolean | null = null
  /** Decisions that are not applied yet must not be made again. */
  private busy = false

  constructor(options: HeraldOptions) {
    this.options = options
  }

  look(picture: RunStatus): void {
    if (this.busy || !this.options.isHeard) return
    void this.tell(picture, null)
    this.stood = picture.health.hang !== null
  }

  /** The run is over. */
  async end(picture: RunStatus, status: string): Promise<void> {
    if (!this.options.isHeard) return
    await this.options.barrier()
    await this.tell(picture, status)
  }

  private async tell(picture: RunStatus, status: string | null): Promise<void> {
    const { state, closing, clock, commit, barrier } = this.options
    const { stood } = this
    const now = clock()
    const { events: told, before, began } = state.told
    const due = eventsDue({ picture, told, before, began, stood, closing, status, now })
    if (due.length === 0) return
    this.busy = true
    due.forEach((one, i) => commit({ id: randomUUID(), n: told.length + 1 + i, at: now, ...one }))
    await barrier()
    this.busy = false
  }
}

/** The events of a run as a stream for backends, numbered from 1, without end (see row-reader.ts). */
export function* readEvents(told: readonly RunEvent[], from: number): Generator<StreamEvent | 'idle', never> {
  for (let n = from; ;) {
    const event = told[n - 1]
    if (event === undefined) yield 'idle'
    else yield { n: n++, event }
  }
}
