import { HEAD_START_AFTER_MS, HEAD_START_PAUSE_MS_MAX } from '../limits.ts'

/**
 * When to start a head: none answers or lives for HEAD_START_AFTER_MS, then again with doubling pauses. Pure.
 */
export class Starter {
  #missingSince: number | null = null
  #startedAt = -Infinity
  #pause = HEAD_START_AFTER_MS

  /** `there`: connected, or its process lives. `wanted`: this agent may start one. */
  due(now: number, there: boolean, wanted: boolean): boolean {
    if (there) {
      this.#missingSince = null
      this.#pause = HEAD_START_AFTER_MS
      return false
    }
    this.#missingSince ??= now
    if (!wanted || now - this.#missingSince < HEAD_START_AFTER_MS) return false
    if (now - this.#startedAt < this.#pause) return false
    this.#startedAt = now
    this.#pause = Math.min(HEAD_START_PAUSE_MS_MAX, 2 * this.#pause)
    return true
  }
}
