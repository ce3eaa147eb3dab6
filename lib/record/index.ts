/**
 * Room record: the vocabulary of what is logged. Types and small total functions only.
 *
 * In: nothing. Out: the names that journal, wire, ledger and aggregator share.
 * Invariants: seq counts the records of one instance from 1 without gaps; a value is an IEEE double.
 * It does not encode bytes (journal, wire) and does not decide anything (aggregator).
 */

/** One life of one logger: 128 random bits as 32 lower-case hex digits. */
export type InstanceId = string

/** Record kinds; the numbers are in the journal and wire formats. `pad` fills a ring's end and has no seq. */
export const Kind = {
  pad: 0,
  /** Defines a layout: body `{ id, names }`. May be repeated; equal ids always have equal names. */
  layout: 1,
  /** One log() call: step, time, weight, and one double per name of its layout. */
  values: 2,
  params: 3,
  text: 4,
  define: 5,
  resume: 6,
  lost: 7,
  refused: 8,
  event: 9,
  end: 10,
  /** First record of an instance: what init() was told. */
  open: 11,
  asset: 12,
  /** What is said of the experiment beside parameters. */
  facts: 13,
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

/** Readers pass on what they do not know, up to this kind: a later version's. */
export const KIND_MAX = 63

export type Reduce = 'mean' | 'sum' | 'min' | 'max' | 'last' | 'rank0'
export const REDUCES: readonly Reduce[] = ['mean', 'sum', 'min', 'max', 'last', 'rank0']

/** JSON bodies of the payload kinds. Unknown fields are kept and ignored. */
export interface Bodies {
  open: { project?: string; name?: string; key?: string; source: string; config?: Record<string, unknown> }
  layout: { id: number; names: string[] }
  params: { params: Record<string, unknown> }
  /** `stream`: captured from there; without it, said by `run.text`. */
  text: { line: string; cut?: boolean; stream?: 'stdout' | 'stderr' }
  define: { metric: string; reduce: Reduce }
  resume: { step: number }
  /** Points that log() accepted and that no room was left for, since the last such record. */
  lost: { points: Record<string, number>; cause: string }
  /** Values that are no points, since the last such record, by metric and by cause. */
  refused: { values: Record<string, number>; causes: Record<string, number> }
  /** What a supervisor saw; see SupervisorEvent. */
  event: SupervisorEvent
  asset: Asset
  facts: { name?: string; tags?: string[]; others?: Record<string, unknown> }
  /** `logged` counts all points that log() accepted, lost ones included. */
  end: { exit: number | null; error?: { type: string; message: string }; logged: number; refused: number }
}

/** A file, or other bytes, under a name; its content is in the store (artifact/), or elsewhere (`uri`). */
export interface Asset {
  name: string
  /** `asset`, `image`, `model-element`, `html`, … */
  type: string
  /** Null: of no step. */
  step: number | null
  metadata?: Record<string, unknown>
  /** Null: not known, of a reference. */
  size: number | null
  sha256: string | null
  uri?: string
}

/** Types that are the same at every step; pictures, histograms and others are looked at step by step. */
const OF_NO_STEP = ['asset', 'model-element', 'html']

/** What makes two assets one: name, type, step where it counts, and the digest of the content, or the URI. */
export const identityOf = ({ name, type, step, sha256, uri }: Asset): string =>
  JSON.stringify([name, type, OF_NO_STEP.includes(type) ? null : step, uri ?? sha256])

export type SupervisorEvent =
  | { type: 'started'; command: string; nproc: number | null }
  | {
    type: 'worker-exit'; rank: number; pid: number; exit: number | null; signal: string | null
    /** We sent the signal, because another worker had failed or the job was ended. */
    stopped: boolean
  }
  | { type: 'signal'; signal: string }
  | { type: 'command-exit'; exit: number | null; signal: string | null }

/** Who logs: fixed for the life of an instance; in the journal header, in HELLO and in the ledger. */
export interface Origin {
  instance: InstanceId
  /** Finds the run (DESIGN 4); 32 hex digits. */
  meeting: string
  /** Run id when the logger knew it (RANKZERO_RUN), else null. */
  run: string | null
  /** `agent`: the agent's own instance, with the system metrics of its node. */
  role: 'worker' | 'supervisor' | 'agent'
  rank: number
  worldSize: number
  localRank: number
  /** Ranks of this node, where the launcher says it. */
  localWorldSize?: number | null
  /** Host name. */
  node: string
  bootId: string
  /** Inode of the pid namespace, 0 when unknown. */
  pidns: number
  pid: number
  /** Field 22 of /proc/<pid>/stat, clock ticks since boot; 0 when unknown. */
  procStart: number
  /** Wall clock at open, ms since the epoch. */
  startedAt: number
  /** Parent of the run directories (absolute). */
  dir: string
  /** How to start an agent: argv as a JSON array, or ''. */
  cli: string
  /** RANKZERO_HEAD, `host` or `host:port`: the head is there and nowhere else. */
  head?: string
  /** What started this process, `<pid>:<start time>:<boot id>`, where a next job may meet here too. */
  launch?: string
  /** Where torchelastic has an exception of this process written, beside its output. */
  errorFile?: string
  /** A supervisor that is not the head's. */
  guest?: true
  /** Of a supervisor: how many of them this job has, as far as known. */
  supervisors?: number
  /** Hosts that may lead to the head; absent where the job is known to be on one node. */
  candidates?: string[]
}

/** How an instance left, as far as known. `cause` names who knew. */
export interface Departure {
  exit: number | null
  signal: string | null
  cause: 'end-record' | 'parent' | 'pidfd' | 'error-file' | 'node-lost' | 'unknown'
  error?: { type: string; message: string }
  /** Where its output, or its exception, is. */
  log?: string
}

/** Takes the records of a journal in seq order. Views passed in are valid only during the call. */
export interface RecordSink {
  /** `values[at .. at+count)` in layout order; `weight` is NaN when none was given. */
  values(
    seq: number, layout: number, step: number, weight: number, time: number,
    values: Float64Array, at: number, count: number,
  ): void
  /** `body` is UTF-8 JSON. */
  payload(seq: number, kind: Kind, time: number, body: Uint8Array): void
}

/** Points lost, per metric name; '' stands for a metric that is no longer known. */
export type LostPoints = Record<string, number>

/** JSON cannot carry these; they travel as strings (DESIGN 13). */
export function jsonNumber(value: number): number | 'NaN' | 'Infinity' | '-Infinity' {
  if (Number.isFinite(value)) return value
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity'
}

/** A glob over metric names: `*` matches any run of characters, '/' too. */
export function globToRegExp(glob: string): RegExp {
  const body = glob.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('[\\s\\S]*')
  return new RegExp(`^${body}$`, 'u')
}
