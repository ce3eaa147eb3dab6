import { messageOf } from '../errors.ts'
import { procStart } from '../journal/index.ts'
import type { Origin } from '../record/index.ts'
import { Starter } from './core-starter.ts'
import type { Adopter } from './adopt.ts'
import type { Notes } from './notes.ts'
import type { Seeker } from './seek.ts'
import type { Uplink } from './uplink.ts'

export interface HeadStart {
  /** Ranks of other nodes may need it. */
  wide: boolean
  /** The one that is to be taken up again; null: none is known. */
  run: string | null
  /** Its head was on another node, and is gone. */
  adopt: boolean
}

/**
 * Sees to it that there is a head: starts one where the run's own rank 0, or its supervisor, is or was; and
 * where another node's is gone for good (core-adopt.ts).
 */
export class HeadKeeper {
  readonly #starter = new Starter()
  readonly #uplink: Uplink
  readonly #seeker: Seeker
  readonly #notes: Notes
  readonly #adopter: Adopter
  readonly #start: (how: HeadStart) => void
  /** Stays true: the head is needed until all ranks of this node are delivered, also after rank 0 is. */
  #mayStart = false
  #seenAt = -Infinity

  constructor(
    uplink: Uplink, seeker: Seeker, adopter: Adopter, notes: Notes, start: (how: HeadStart) => void,
  ) {
    this.#uplink = uplink
    this.#seeker = seeker
    this.#adopter = adopter
    this.#notes = notes
    this.#start = start
  }

  /** In a job of several nodes each may have a supervisor: that of the head is no guest. */
  seen({ role, rank, guest }: Origin): void {
    if (role === 'supervisor' ? guest !== true : rank === 0) this.#mayStart = true
  }

  /** When it was last there or started, connected or not, or on another node where only silence tells. */
  seenAt(now: number): number {
    if (this.#alive() || this.#seeker.elsewhere || this.#seeker.elected) this.#seenAt = now
    return this.#seenAt
  }

  #alive(): boolean {
    const { local: head } = this.#seeker
    return head !== null && head.procStart !== 0 && procStart(head.pid) === head.procStart
  }

  /** `wanted`: there is something that a head would take. `run`: the one that we serve, once known. */
  look(now: number, wanted: boolean, run: string | null): void {
    const { live } = this.#uplink.core
    const there = live || this.#alive()
    const adopt = this.#adopter.due(now, run, live, this.#seeker.local?.run) ? run : null
    const { proved } = this.#adopter
    if (proved !== null) {
      this.#notes.once(`sees the lock of run ${proved} on another node: takes it over if that node is gone`)
    }
    const here = (this.#mayStart || this.#seeker.isNamed) && (there || this.#seeker.mayStart(now))
    if (!this.#starter.due(now, there, wanted && (here || adopt !== null))) return
    if (adopt === null && this.#seeker.elected) {
      // It has not told yet where it is; another would only lose the election.
      this.#starter.due(now, true, false)
      return
    }
    this.#notes.say(adopt === null ? 'starts an aggregator: none answers'
      : `takes run ${adopt} over: its head on another node is silent, and its lock is free`)
    this.#seenAt = now
    try {
      this.#start({ wide: adopt !== null || this.#seeker.several, run, adopt: adopt !== null })
    } catch (error) {
      this.#notes.once(`cannot start an aggregator: ${messageOf(error)}; ` +
        'data waits until `rankzero sync` delivers it')
    }
  }
}
