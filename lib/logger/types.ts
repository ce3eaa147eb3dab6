/** The public types of a run. */
import type { Reduce } from '../record/index.ts'

/**
 * Metrics of one call: numbers, or booleans as 0 and 1. Anything else is counted, told once, and left out.
 */
export type Values = Readonly<Record<string, number | boolean>>

export interface LogOptions {
  /**
   * Training step, a whole number 0..2^53-1; other steps void the call. Without it: the last step given to
   * log(); before any, a counter from 0, +1 per call.
   */
  step?: number
  /**
   * Weight of these values in the mean over ranks, e.g. samples of this batch; finite and > 0, else it counts
   * as 1.
   */
  weight?: number
}

export interface InitOptions {
  project?: string
  name?: string
  /** Experiment key; one run at a time holds it. */
  key?: string
  /** Hyperparameters: anything that JSON can say. */
  config?: Readonly<Record<string, unknown>>
  /** Whether lines that this process prints become texts as well; `rankzero console` shows them. */
  capture?: boolean
  /** Global rank, 0 <= rank < worldSize; default: what the launcher says (`rankzero doctor` shows which). */
  rank?: number
  /** At most 2^20. */
  worldSize?: number
  localRank?: number
}

/** What an asset is: bytes of a file (its path), bytes, or a reference to what is elsewhere. */
export type AssetSource = string | Uint8Array | AssetReference

/** Only the URI is logged. Of a `file:` URI, size and digest are read when they are not given. */
export interface AssetReference {
  uri: string
  /** Bytes. */
  size?: number
  /** 64 lower-case hex digits. */
  sha256?: string
}

export interface AssetOptions {
  /** Default: the file's name, or the last part of the URI. */
  name?: string
  /** What it is to the tracker: `asset` (default), `image`, `model-element`, … */
  type?: string
  /** Default: the last step given to log(), if any. */
  step?: number
  /** Anything that JSON can say. */
  metadata?: Readonly<Record<string, unknown>>
}

/** The session as one worker sees it. No method throws, none waits for another process but `end`. */
export interface Run {
  readonly rank: number
  readonly worldSize: number
  readonly localRank: number
  /** Host name. */
  readonly node: string
  /** Run id; null until it is known here. */
  readonly id: string | null
  /** Logs one value per metric. What it returned from survives the death of this process. */
  log(values: Values, options?: LogOptions): void
  /** Parameters of the experiment; ranks that agree are shown as one. */
  params(values: Readonly<Record<string, unknown>>): void
  /** One line of text; over about 1 MiB it is cut and marked. */
  text(line: string): void
  /**
   * A file, or other bytes, of the experiment. Takes as long as a copy of it, and then it is safe here; what
   * cannot be read, or changes meanwhile, is told on stderr. Equal ones of several ranks are one.
   */
  asset(source: AssetSource, options?: AssetOptions): void
  /** The page of the experiment: the newest one holds. */
  html(text: string): void
  /** A fact of the experiment that is no parameter; ranks that agree are shown as one. */
  other(key: string, value: unknown): void
  tags(tags: readonly string[]): void
  /** Names the experiment; flags and variables do not overrule it. */
  name(text: string): void
  /** How a metric (`*` matches any characters) is shown over ranks. */
  define(metric: string, options: { reduce: Reduce }): void
  /** Declares once that training went back to `step`. */
  resume(options: { step: number }): void
  /**
   * Says that this worker is done. Resolves when its records are safe at the aggregator, after at most the
   * exit timeout (RANKZERO_EXIT_TIMEOUT, 10 s); under `rankzero run`, at once.
   */
  end(): Promise<void>
}
