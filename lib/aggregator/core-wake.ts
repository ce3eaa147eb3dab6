import { HEIR_AFTER_MS, MEMBER_SILENT_MS } from '../limits.ts'

/** Time that we slept through ourselves (stopped, suspended) is no silence of others. Pure. */
export class Wake {
  /** Awake without a break since then (ms, as of `now`). */
  since: number
  private ticked: number

  constructor(now: number) {
    this.since = this.ticked = now
  }

  /** Who was last heard of before that is silent. */
  silentBefore(now: number): number {
    if (now - this.ticked > HEIR_AFTER_MS) this.since = now
    this.ticked = now
    return now - this.since > MEMBER_SILENT_MS ? now - MEMBER_SILENT_MS : -Infinity
  }
}
