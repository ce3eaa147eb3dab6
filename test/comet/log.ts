/** Every request that arrived, in order, without any key; and how many calls fell into a window of time. */

export interface Entry {
  /** From 1. */
  n: number
  /** Epoch ms of arrival, and ms until the answer was handed over; null while it is not. */
  at: number
  ms: number | null
  method: string
  path: string
  /** The start of the key that came with it; never the whole. */
  key: string | null
  experiment: string | null
  /** What it counts as for budgets; null: free. */
  kind: string | null
  /** Bytes of the body on the wire, and points, lines or values in it. */
  bytes: number
  items: number
  /** sha256 of the unpacked body: a request that is sent again has the same. */
  digest: string | null
  /** 0: there was no answer. */
  status: number
  code: number | null
  msg: string | null
  /** Whether its content was stored; with a fault after it, the client can't know. */
  stored: boolean
  /** What was done to it instead of an answer, or after it; `cut`: its connection ended first. */
  fault: string | null
  /** Of oddities.ts: taken, but not what a good client sends. */
  odd: string[]
}

export interface Calls {
  total: number
  items: number
  /** The most calls, and the most items, in any window of that length. */
  worst: number
  worstItems: number
}

export interface Filter {
  /** Part of `METHOD path`. */
  match?: string
  kind?: string
  /** Counted calls only: without those that are free. */
  counted?: boolean
}

const ENTRIES_MAX = 500_000

export class RequestLog {
  readonly entries: Entry[] = []
  #count = 0

  begin(method: string, path: string): Entry {
    const entry: Entry = {
      n: ++this.#count, at: Date.now(), ms: null, method, path, key: null, experiment: null, kind: null,
      bytes: 0, items: 0, digest: null, status: 0, code: null, msg: null, stored: false, fault: null, odd: [],
    }
    if (this.entries.length >= ENTRIES_MAX) throw new Error(`${ENTRIES_MAX} requests in the log: clear() it`)
    this.entries.push(entry)
    return entry
  }

  clear(): void {
    this.entries.length = 0
  }

  select({ match, kind, counted }: Filter = {}): Entry[] {
    return this.entries.filter((entry) =>
      (match === undefined || `${entry.method} ${entry.path}`.includes(match))
      && (kind === undefined || entry.kind === kind)
      && (counted !== true || entry.kind !== null))
  }

  calls(windowMs: number, filter: Filter = { counted: true }): Calls {
    const entries = this.select(filter)
    const calls: Calls = { total: entries.length, items: 0, worst: 0, worstItems: 0 }
    let first = 0
    let items = 0
    for (const [index, entry] of entries.entries()) {
      calls.items += entry.items
      items += entry.items
      while (entries[first]!.at <= entry.at - windowMs) items -= entries[first++]!.items
      calls.worst = Math.max(calls.worst, index - first + 1)
      calls.worstItems = Math.max(calls.worstItems, items)
    }
    return calls
  }
}

/** Enough to tell keys apart, too little to use one. */
export const keyStart = (key: string): string => `${key.slice(0, 4)}…`
