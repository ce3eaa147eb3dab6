/**
 * What log() would not take: counted per metric and per cause, told once per cause. Nothing here writes
 * anywhere: the logger's timer and its end take the record and the lines away.
 */

/** Each cause of a refusal: what is wrong with the value, and what to do. */
const CAUSES = {
  string: ['a string is no number', 'Log numbers or booleans; use run.text or run.params for words.'],
  null: ['null is no number', 'Leave the metric out when there is no value.'],
  undefined: ['undefined is no number', 'Leave the metric out when there is no value.'],
  bigint: ['a BigInt is not taken', 'Convert it with Number() where that is exact enough.'],
  object: ['an object or a function is no number', 'Log its numbers as metrics of their own.'],
  symbol: ['a symbol is no number', 'Log numbers or booleans.'],
  threw: ['reading it threw an exception', 'Look at the getter or proxy that was passed to log().'],
  name: ['a name must have 1 to 1,024 characters', 'Shorten the name of the metric.'],
  names: ['there are too many different names', 'Put what varies into the step, not into the name.'],
  values: ['log() was not given an object of metrics', 'Call run.log({ loss: 0.5 }, { step }).'],
  step: ['a step must be a whole number from 0 to 2^53-1', 'Pass { step } as such a number.'],
  nested: ['too many log() calls from within getters of one call', 'Do not log from a getter.'],
  ended: ['run.end() was called before', 'Call init() again, or log before the end.'],
} as const satisfies Record<string, readonly [string, string]>

/** What is told but is no value: its effect on the session is in the text. */
const NOTES = {
  weight: ['a weight must be a finite number above 0; it counts as 1', 'Pass { weight } as such a number.'],
  text: ['the line cannot be written and is left out', 'Pass run.text a string.'],
  params: ['these parameters cannot be written; left out', 'Pass run.params a plain object, below 1 MB.'],
  define: ['the definition is left out', 'Pass a name and reduce: mean, sum, min, max, last or rank0.'],
  resume: ['the rewind is left out', 'Call run.resume({ step }) with a whole number from 0 to 2^53-1.'],
  asset: ['it is left out', 'See whether it can be read, and its name, type and metadata be written.'],
  other: ['it is left out', 'Call run.other(key, value) with a value that JSON can say.'],
  tags: ['they are left out', 'Pass run.tags a list of up to 1,000 strings.'],
  name: ['it is left out', 'Pass run.name a string.'],
  full: ['the journal is full: it is left out', 'See whether an agent runs: rankzero doctor.'],
} as const satisfies Record<string, readonly [string, string]>

export type Cause = keyof typeof CAUSES
export type Note = keyof typeof NOTES

/** Metrics counted by name in one report; the rest goes under ''. */
const METRICS_MAX = 1000
/** Characters of a metric's name in a message or a report. */
const NAME_SHOWN_MAX = 200
const VALUE_SHOWN_MAX = 40
/** Of a reason; and so many of them are told. */
const WHY_SHOWN_MAX = 1000
const TOLD_MAX = 100

export class Refusals {
  /** Since the start. */
  total = 0
  #values = new Map<string, number>()
  #causes = new Map<string, number>()
  #told = new Set<string>()
  #lines: string[] = []

  /** Counts `n` values of a metric ('' for a whole call). `value` is looked at for the one message only. */
  add(cause: Cause, metric: string, n: number, value: unknown): void {
    this.total += n
    const short = shorten(metric, NAME_SHOWN_MAX)
    const name = this.#values.has(short) || this.#values.size < METRICS_MAX ? short : ''
    this.#values.set(name, (this.#values.get(name) ?? 0) + n)
    this.#causes.set(cause, (this.#causes.get(cause) ?? 0) + n)
    if (this.#told.has(cause)) return
    this.#told.add(cause)
    const [what, remedy] = CAUSES[cause]
    const where = metric === '' ? 'log()' : `log() of '${short}'`
    this.#lines.push(`${where} with ${shown(value)}: ${what}. It is refused; further such values `
      + `are only counted. ${remedy}`)
  }

  note(note: Note, value: unknown): void {
    if (this.#told.has(note)) return
    this.#told.add(note)
    const [what, remedy] = NOTES[note]
    this.#lines.push(`${note} ${shown(value)}: ${what}. ${remedy}`)
  }

  /** As `note`, with a reason, which is told each time that it is another. */
  fail(note: Note, why: string): void {
    if (this.#told.size >= TOLD_MAX) return this.note(note, why)
    if (this.#told.has(`${note} ${why}`)) return
    this.#told.add(`${note} ${why}`)
    this.#lines.push(`${note}: ${shorten(why, WHY_SHOWN_MAX)}; it is left out. Training goes on.`)
  }

  /** The messages not told yet. */
  takeLines(): string[] {
    return this.#lines.splice(0)
  }

  /** The report since the last `written`, or null when there is nothing to report. */
  report(): { values: Record<string, number>; causes: Record<string, number> } | null {
    if (this.#causes.size === 0) return null
    return { values: Object.fromEntries(this.#values), causes: Object.fromEntries(this.#causes) }
  }

  written(): void {
    this.#values.clear()
    this.#causes.clear()
  }
}

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text
}

/** A value in a few characters; never runs code of the value. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shorten(value, VALUE_SHOWN_MAX))
  if (typeof value === 'bigint') return shorten(`${value}n`, VALUE_SHOWN_MAX)
  if (typeof value === 'object') return value === null ? 'null' : 'an object'
  return typeof value === 'function' || typeof value === 'symbol' ? `a ${typeof value}` : String(value)
}

/** The cause for what is neither number nor boolean. */
export function causeOf(value: unknown): Cause {
  switch (typeof value) {
    case 'string': return 'string'
    case 'bigint': return 'bigint'
    case 'undefined': return 'undefined'
    case 'symbol': return 'symbol'
    default: return value === null ? 'null' : 'object'
  }
}
