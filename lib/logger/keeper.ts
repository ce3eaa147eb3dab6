/** Keeps an agent running for this journal: looks at its beat, starts one when there is none. */
import { AGENT_START_PAUSE_MS_MAX, BEAT_STALE_MS } from '../limits.ts'
import type { JournalWriter } from '../journal/index.ts'
import { spawnDaemon } from '../spawn.ts'

export interface KeeperOptions {
  /** How our command line is called; null: there is none. */
  cli: string[] | null
  meeting: string
  run: string | null
  dir: string
  env: Record<string, string | undefined>
  /** When the first agent may be started (ms, wall clock): later where somebody else is expected to do it. */
  firstStartAt: number
  say: (line: string) => void
}

export class AgentKeeper {
  readonly #journal: JournalWriter
  readonly #options: KeeperOptions
  #startedAt = -Infinity
  #pause = 0
  #told = false

  constructor(journal: JournalWriter, options: KeeperOptions) {
    this.#journal = journal
    this.#options = options
  }

  /** Whether anybody could deliver what is in the journal while this process waits. */
  get canDeliver(): boolean {
    return this.#options.cli !== null || this.#journal.beat() > 0
  }

  /**
   * Starts an agent when none has stamped its beat for BEAT_STALE_MS; then again with doubling pauses. None
   * while no directory takes the journal: there is nothing to deliver.
   */
  look(now: number): void {
    if (now >= this.#options.firstStartAt && this.#journal.path !== '') this.ensure(now)
  }

  /** As `look`, without waiting for somebody else to do it. */
  ensure(now: number): void {
    // A distance, so that a clock that is set back does not make an old beat young for ever.
    if (Math.abs(now - this.#journal.beat()) < BEAT_STALE_MS) {
      this.#pause = 0
      return
    }
    if (Math.abs(now - this.#startedAt) < this.#pause) return
    this.#pause = Math.min(AGENT_START_PAUSE_MS_MAX, Math.max(BEAT_STALE_MS, 2 * this.#pause))
    this.#startedAt = now
    const { cli, meeting, run, dir, env, say } = this.#options
    if (cli !== null) {
      spawnDaemon(cli, ['agent', '--meeting', meeting, '--dir', dir, ...run ? ['--run', run] : []], {
        env: { ...env, RANKZERO_DIR: dir, RANKZERO_CLI: JSON.stringify(cli) }, ready: false,
      })
    } else if (!this.#told) {
      this.#told = true
      say(`the rankzero command was not found, so nothing is delivered now: records wait in `
        + `${this.#journal.path}. Set RANKZERO_CLI to its path, or run rankzero sync later.`)
    }
  }
}
