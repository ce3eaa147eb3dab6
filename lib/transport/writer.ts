import { MESSAGE_FRAMES_MAX } from '../limits.ts'

/** Sends one message of several frames to one peer; rejects with an errno when it cannot. */
export type SendOne<P> = (peer: P, frames: Uint8Array[]) => Promise<void>

interface Queued<P> {
  peer: P
  frame: Uint8Array
}

/**
 * The one writer loop of a socket. zeromq.js allows one send at a time and throws EBUSY synchronously
 * otherwise; it has no queue of its own on purpose. This queue is bounded, so that what a peer does not take
 * stays with the caller.
 *
 * Frames for one peer that are pushed in one go are one message: a message costs more than what is in it.
 */
export class Writer<P> {
  #queue: Queued<P>[] = []
  readonly #send: SendOne<P>
  readonly #failed: (peer: P, error: unknown, frames: number) => void
  readonly #max: number
  #busy = false
  #closed = false

  constructor(max: number, send: SendOne<P>, failed: (peer: P, error: unknown, frames: number) => void) {
    this.#max = max
    this.#send = send
    this.#failed = failed
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** False: full or closed, the message was not taken. `peer` is compared by identity. */
  push(peer: P, frame: Uint8Array): boolean {
    if (this.#closed || this.#queue.length >= this.#max) return false
    this.#queue.push({ peer, frame })
    if (!this.#busy) {
      this.#busy = true
      queueMicrotask(() => void this.#run())
    }
    return true
  }

  close(): void {
    this.#closed = true
    this.#queue.length = 0
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const { peer } = this.#queue[0]!
      let count = 1
      while (count < MESSAGE_FRAMES_MAX && this.#queue[count]?.peer === peer) count++
      const frames = this.#queue.splice(0, count).map(({ frame }) => frame)
      try {
        await this.#send(peer, frames)
      } catch (error) {
        if (!this.#closed) this.#failed(peer, error, count)
      }
    }
    this.#busy = false
  }
}
