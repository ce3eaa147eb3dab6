/**
 * Counts who came and did not get in. Pure.
 *
 * In: what the monitor of a CURVE socket tells, which names no connection. Out: how many were denied.
 * A wrong key or mechanism is told as an error; what is no ZMTP at all, or says nothing, is only seen by its
 * handshake that never comes. So each arrival either shakes hands within the time, or counts as denied.
 */
export class Door {
  #denied = 0
  readonly #waiting: number[] = []
  readonly #patienceMs: number

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs
  }

  came(now: number): void {
    this.#waiting.push(now)
  }

  gotIn(): void {
    this.#waiting.pop()
  }

  refused(): void {
    this.#waiting.shift()
    this.#denied++
  }

  denied(now: number): number {
    while (this.#waiting.length > 0 && now - this.#waiting[0]! > this.#patienceMs) this.refused()
    return this.#denied
  }
}
