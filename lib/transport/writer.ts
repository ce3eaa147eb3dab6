/** Sends one message; rejects with an errno when it cannot. */
export type SendOne<M> = (message: M) => Promise<void>

/**
 * The one writer loop of a socket. zeromq.js allows one send at a time and throws EBUSY synchronously
 * otherwise; it has no queue of its own on purpose. This queue is bounded, so that what a peer does not take
 * stays with the caller.
 */
export class Writer<M> {
  readonly #queue: M[] = []
  readonly #send: SendOne<M>
  readonly #failed: (message: M, error: unknown) => void
  readonly #max: number
  #busy = false
  #closed = false

  constructor(max: number, send: SendOne<M>, failed: (message: M, error: unknown) => void) {
    this.#max = max
    this.#send = send
    this.#failed = failed
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** False: full or closed, the message was not taken. */
  push(message: M): boolean {
    if (this.#closed || this.#queue.length >= this.#max) return false
    this.#queue.push(message)
    if (!this.#busy) void this.#run()
    return true
  }

  close(): void {
    this.#closed = true
    this.#queue.length = 0
  }

  async #run(): Promise<void> {
    this.#busy = true
    for (let message = this.#queue.shift(); message !== undefined; message = this.#queue.shift()) {
      try {
        await this.#send(message)
      } catch (error) {
        if (!this.#closed) this.#failed(message, error)
      }
    }
    this.#busy = false
  }
}
