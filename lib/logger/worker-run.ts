/**
 * The life of a run in a worker: its timer, its end, its exit hook.
 *
 * In: a journal, who we are, who looks after the agent. Out: the public Run. Invariants: the timer never
 * keeps the process alive; no signal handler is installed (a killed worker's tail is in the journal, the
 * agent finds it); the wait at the end is bounded by the exit timeout and left out under a live supervisor.
 */
import { writeSync } from 'node:fs'
import { sleep, sleepSync, monotonicMs, wallMs } from '../clock.ts'
import type { JournalWriter } from '../journal/index.ts'
import { EXIT_POLL_MS, LOGGER_TICK_MS, PROGRESS_AFTER_MS } from '../limits.ts'
import type { Bodies } from '../record/index.ts'
import { Capture } from './capture.ts'
import type { AgentKeeper } from './keeper.ts'
import { Recorder } from './recorder.ts'
import type { LogOptions, Run, Values } from './types.ts'

export interface RunFacts {
  rank: number
  worldSize: number
  localRank: number
  node: string
  /** Parent of the run directories. */
  dir: string
  /** From the environment; the agent may tell it later. */
  run: string | null
  /** The first record. */
  open: Bodies['open']
  exitTimeoutMs: number
  /** Whether what is printed is recorded. */
  capture: boolean
  /** Whether a live supervisor waits for us, so that we need not. */
  isSupervised: () => boolean
  /** Called once, when the run is over for this process. */
  onEnd: () => void
}

/** One line on stderr, at once; a closed or full stderr is not our user's problem. */
export function sayLine(rank: number | null, line: string): void {
  try {
    writeSync(2, `rankzero: ${rank === null ? '' : `rank ${rank}: `}${line}\n`)
  } catch {
    // Nowhere left to say it.
  }
}

export class WorkerRun implements Run {
  readonly rank: number
  readonly worldSize: number
  readonly localRank: number
  readonly node: string
  // Fields, not methods: `const { log } = run` must not throw either.
  readonly log: Run['log']
  readonly params: Run['params']
  readonly text: Run['text']
  readonly asset: Run['asset']
  readonly html: Run['html']
  readonly other: Run['other']
  readonly tags: Run['tags']
  readonly name: Run['name']
  readonly define: Run['define']
  readonly resume: Run['resume']
  readonly end: Run['end']
  readonly #facts: RunFacts
  readonly #journal: JournalWriter
  readonly #recorder: Recorder
  readonly #keeper: AgentKeeper
  readonly #capture: Capture | null
  readonly #timer: NodeJS.Timeout
  #error: { type: string; message: string } | null = null
  #ending: Promise<void> | null = null
  #closed = false
  readonly #onExit = (code: number): void => this.#exit(code)
  readonly #onUncaught = (error: unknown): void => { this.#error = describe(error) }

  constructor(facts: RunFacts, journal: JournalWriter, keeper: AgentKeeper) {
    const recorder = new Recorder(journal, () => this.#tell())
    recorder.open(facts.open)
    this.rank = facts.rank
    this.worldSize = facts.worldSize
    this.localRank = facts.localRank
    this.node = facts.node
    this.#facts = facts
    this.#journal = journal
    this.#recorder = recorder
    this.#keeper = keeper
    this.log = (values: Values, options?: LogOptions) => recorder.log(values, options)
    this.params = (values) => recorder.params(values)
    this.text = (line) => recorder.text(line)
    this.asset = (source, options) => recorder.asset(facts.dir, source, options)
    this.html = (text) => recorder.html(facts.dir, text)
    this.other = (key, value) => recorder.facts('other', () => ({ others: { [key]: value } }))
    this.tags = (tags) => recorder.facts('tags', () => ({ tags: [tags].flat(2) }))
    this.name = (text) => recorder.facts('name', () => ({ name: text }))
    this.define = (metric, options) => recorder.define(metric, options)
    this.resume = (options) => recorder.resume(options)
    this.end = () => this.#ending ??= this.#end()
    this.#capture = facts.capture ? new Capture((line, stream) => recorder.text(line, stream)) : null
    this.#timer = setInterval(() => this.#tick(), LOGGER_TICK_MS).unref()
    process.on('exit', this.#onExit)
    process.on('uncaughtExceptionMonitor', this.#onUncaught)
    keeper.look(wallMs())
  }

  get id(): string | null {
    return this.#journal.runId() ?? this.#facts.run
  }

  #tick(): void {
    this.#tell()
    this.#capture?.settle()
    this.#recorder.report()
    this.#journal.tick(wallMs())
    this.#keeper.look(wallMs())
  }

  #tell(): void {
    for (const line of this.#recorder.refusals.takeLines()) sayLine(this.rank, line)
  }

  async #end(): Promise<void> {
    // Called from within a getter during log(): that record comes first.
    if (this.#recorder.busy) await Promise.resolve()
    const exit = Number(process.exitCode ?? 0)
    this.#capture?.stop()
    this.#recorder.end(exit, null)
    this.#tell()
    const wait = this.#startWait()
    if (wait !== null) {
      while (!wait.isOver()) await sleep(EXIT_POLL_MS)
      wait.tell()
    }
    this.#close()
  }

  /** No event loop runs any more: everything here is synchronous. */
  #exit(code: number): void {
    this.#capture?.stop()
    this.#recorder.end(code, code === 0 ? null : this.#error)
    this.#tell()
    const wait = this.#startWait()
    if (wait !== null) {
      while (!wait.isOver()) sleepSync(EXIT_POLL_MS)
      wait.tell()
    }
    this.#close()
  }

  /**
   * The bounded wait for our last record to be safe; null when somebody else waits or nobody could deliver.
   */
  #startWait(): { isOver: () => boolean; tell: () => void } | null {
    if (this.#facts.isSupervised()) return null
    const journal = this.#journal
    const last = journal.seq()
    const begun = monotonicMs()
    const until = begun + this.#facts.exitTimeoutMs
    let quiet = !process.stderr.isTTY
    const left = (): number => last - journal.acked()
    const isOver = (): boolean => {
      if (left() <= 0 || monotonicMs() >= until) return true
      this.#keeper.ensure(wallMs())
      if (!this.#keeper.canDeliver) return true
      if (!quiet && monotonicMs() - begun > PROGRESS_AFTER_MS) {
        quiet = true
        sayLine(this.rank, `waiting for ${left()} records to be delivered, at most ${this.#seconds} s`)
      }
      return false
    }
    const tell = (): void => {
      if (left() <= 0 || !this.#keeper.canDeliver) return
      sayLine(this.rank, `${left()} of ${last} records were not delivered within ${this.#seconds} s. They `
        + `wait in ${journal.path}; an agent goes on, and rankzero sync delivers what it leaves.`)
    }
    return { isOver, tell }
  }

  get #seconds(): number {
    return this.#facts.exitTimeoutMs / 1000
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    process.off('exit', this.#onExit)
    process.off('uncaughtExceptionMonitor', this.#onUncaught)
    this.#journal.close()
    this.#facts.onEnd()
  }
}

const MESSAGE_LENGTH_MAX = 2000

/** Type and message of an uncaught exception; anything may be thrown, and looking at it may throw. */
function describe(error: unknown): { type: string; message: string } {
  try {
    const type = error instanceof Error ? error.name : typeof error
    const message = error instanceof Error ? error.message : String(error)
    return { type: String(type).slice(0, 200), message: String(message).slice(0, MESSAGE_LENGTH_MAX) }
  } catch {
    return { type: 'unknown', message: '' }
  }
}
