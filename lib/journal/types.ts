/** What the journal offers to the logger (writer) and to agent, sync and doctor (reader). */
import type { Kind, Origin, RecordSink } from '../record/index.ts'

export interface JournalOptions {
  origin: Origin
  env: NodeJS.ProcessEnv
  /** Outstanding segment bytes after which loss is counted. */
  overflowCap: number
  ringBytes?: number
  /** Ranks on this node: all of their rings must fit. */
  localWorldSize: number
  /** Told once for each place that another user could write in, which is passed over. */
  say?: (line: string) => void
}

/**
 * Written by one thread of one process. A call to log() is `begin`, stores into `f64`, `commit`; nothing else
 * of the writer may be called in between. No method throws.
 */
export interface JournalWriter {
  readonly instance: string
  /** Records go to a mapped ring first; without it every record is one write(2) to a segment. */
  readonly mapped: boolean
  /** '' while no directory takes it: then values are counted as lost, and other records wait. */
  readonly path: string
  /** Where values go between begin and commit; read it anew after each begin. */
  readonly f64: Float64Array
  /** Index into `f64` for the first value, or -1: no room, call `drop`. */
  begin(count: number, weighted: boolean): number
  commit(layout: number, count: number, step: number, weight: number, time: number): void
  /** Counts `count` points of this layout as lost; they are reported in-band when there is room. */
  drop(layout: number, count: number): void
  /** Names a layout; false when the names do not fit in one record (split them). */
  define(id: number, names: readonly string[], time: number): boolean
  /** Writes a JSON record; false when there is no room or it is larger than a record may be. */
  payload(kind: Kind, body: object, time: number): boolean
  /**
   * Called about once a second, and once before the end (`last`): writes reports of losses, in file mode the
   * counters of the header, and looks for a place where there is none yet.
   */
  tick(now: number, last?: boolean): void
  countRefused(n: number): void
  /** Last seq that is durable at the aggregator. */
  acked(): number
  /** Last seq written. */
  seq(): number
  /** The agent's last beat, ms since the epoch; 0 before the first. */
  beat(): number
  runId(): string | null
  backlogBytes(): number
  /** Points that log() accepted, lost ones included. */
  readonly logged: number
  readonly lost: number
  /** Releases lock and mapping; idempotent. The files stay for the agent. */
  close(): void
}

export interface Counters {
  seq: number
  logged: number
  lost: number
  refused: number
  acked: number
  trimmed: number
}

/** Records that can never be read again; `points` is what they held, as far as the header's counters tell. */
export interface Hole {
  from: number
  to: number
  points: number
}

export interface JournalReader {
  readonly origin: Origin
  readonly path: string
  counters(): Counters
  /** First seq still available. */
  first(): number
  /**
   * Delivers committed records with consecutive seq; returns the bytes they took, 0 when there is nothing
   * now.
   */
  read(sink: RecordSink, bytesMax: number): number
  /** Seq that read() delivers next. */
  readonly next: number
  /** Continues at `seq` > trimmed, before or after `next`. */
  seek(seq: number): void
  /** What is damaged at `next`; ask when read() returned 0. Cheap when all is well. */
  hole(): Hole | null
  skipHole(): void
  /** Bytes not yet trimmed. */
  backlog(): number
  /** Up to `seq` is durable at the head: told to the owner, and trimmed. */
  ack(seq: number): void
  /**
   * Up to `seq` is safe elsewhere: frees ring and segments, in steps of the read() calls that were made.
   * `next` goes on behind it when it was before.
   */
  trim(seq: number): void
  beat(now: number): void
  setRun(run: string): void
  /** As `setRun` wrote it; also after the journal's files are gone. */
  runId(): string | null
  ownerAlive(): boolean
  /** Deletes journal, lock file and segments; for a dead owner whose records are all safe. */
  remove(): void
  close(): void
}
