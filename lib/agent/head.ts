import { messageOf } from '../errors.ts'
import { procStart } from '../journal/index.ts'
import type { Origin } from '../record/index.ts'
import { Starter } from './core-starter.ts'
import type { Notes } from './notes.ts'
import type { Seeker } from './seek.ts'
import type { Uplink } from './uplink.ts'

/** Sees to it that there is a head: starts one where the run's own rank 0, or its supervisor, is or was. */
export class HeadKeeper {
  readonly #starter = new Starter()
  readonly #uplink: Uplink
  readonly #seeker: Seeker
  readonly #notes: Notes
  readonly #start: (wide: boolean, run: string | null) => void
  /** Stays true: the head is needed until all ranks of this node are delivered, also after rank 0 is. */
  #mayStart = false

  constructor(
    uplink: Uplink, seeker: Seeker, notes: Notes, start: (wide: boolean, run: string | null) => void,
  ) {
    this.#uplink = uplink
    this.#seeker = seeker
    this.#notes = notes
    this.#start = start
  }

  /** In a job of several nodes each may have a supervisor: that of the head is no guest. */
  seen({ role, rank, guest }: Origin): void {
    if (role === 'supervisor' ? guest !== true : rank === 0) this.#mayStart = true
  }

  /** Its process is there, connected or not. */
  alive(): boolean {
    const { local: head } = this.#seeker
    return head !== null && head.procStart !== 0 && procStart(head.pid) === head.procStart
  }

  /** `wanted`: there is something that a head would take; of `run`, when that is known. */
  look(now: number, wanted: boolean, run: string | null): void {
    const there = this.#uplink.core.live || this.alive()
    const here = (this.#mayStart || this.#seeker.isNamed) && (there || this.#seeker.mayStart(now))
    if (!this.#starter.due(now, there, wanted && here)) return
    this.#notes.say('starts an aggregator: none answers')
    try {
      this.#start(this.#seeker.several, run)
    } catch (error) {
      this.#notes.once(`cannot start an aggregator: ${messageOf(error)}; ` +
        'data waits until `rankzero sync` delivers it')
    }
  }
}
