/**
 * What a worker holds: log() and its siblings, written into the journal of this process.
 *
 * In: whatever user code passes. Out: records. Invariants: no method throws or waits for anybody; what is not
 * a point is counted and told once; a call costs no allocation while it has the keys of one of the last
 * shapes; the journal's begin and commit are never interleaved (calls from within getters wait for the outer
 * call to finish). It starts no agent and installs no hook: worker-run.ts does.
 */
import { Buffer } from 'node:buffer'
import { wallMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import type { JournalWriter } from '../journal/index.ts'
import { NAME_CODEPOINTS_MAX, RECORD_BYTES_MAX, REENTRANT_MAX, STEP_MAX } from '../limits.ts'
import { Kind, REDUCES, type Asset, type Bodies, type Reduce } from '../record/index.ts'
import { assetBody, isFacts } from './assets.ts'
import { cutText, jsonBytes, plain } from './plain.ts'
import { causeOf, Refusals, type Cause, type Note } from './refusals.ts'
import { Shapes, type Shape } from './shapes.ts'
import type { AssetOptions, AssetSource, LogOptions, Values } from './types.ts'

/** Shapes tried before the names are looked up: training, validation and a few rarer ones. */
const RECENT_MAX = 8
/** Room for the frame of a params record. */
const PARAMS_BYTES_MAX = RECORD_BYTES_MAX - 1024

export class Recorder {
  readonly refusals = new Refusals()
  readonly #journal: JournalWriter
  readonly #shapes: Shapes
  /** Newest first. */
  readonly #recent: Shape[] = []
  #last: Shape | null = null
  #busy = false
  #nested: (() => void)[] = []
  #nestedLeft = REENTRANT_MAX
  #ended = false
  /** Who we are, until a full disk has room for it. */
  #open: Bodies['open'] | null = null
  /** The last step given, -1 before the first. */
  #given = -1
  #counter = 0
  readonly #onLate: () => void

  /** `onLate` is told of each call after the end, when no timer tells of refusals any more. */
  constructor(journal: JournalWriter, onLate: () => void) {
    this.#journal = journal
    this.#onLate = onLate
    this.#shapes = new Shapes(({ id, names }) => { journal.define(id, names, wallMs()) })
  }

  log(values: Values, options?: LogOptions): void {
    if (this.#busy) return this.#nestLog(values, options)
    this.#busy = true
    this.#logNow(values, options)
    if (this.#nested.length > 0) this.#runNested()
    this.#busy = false
  }

  params(values: Readonly<Record<string, unknown>>): void {
    this.#between('params', values, () => {
      const copy = plain(values)
      if (typeof copy !== 'object' || copy === null || Array.isArray(copy)) return false
      if (jsonBytes(copy) <= PARAMS_BYTES_MAX) return this.#payload(Kind.params, { params: copy })
      // One by one, so that a single large value does not take the others with it.
      return Object.entries(copy).map(([name, value]) => {
        const params = Object.fromEntries([[name, value]])
        return jsonBytes(params) <= PARAMS_BYTES_MAX && this.#payload(Kind.params, { params })
      }).every(Boolean)
    })
  }

  /** `stream`: it was printed there. */
  text(line: string, stream?: 'stdout' | 'stderr'): void {
    const body = (): object => ({ ...cutText(String(line)), ...stream && { stream } })
    this.#between('text', line, () => this.#payload(Kind.text, body()))
  }

  /** The bytes are stored before anything is written, and while nothing is: a getter may still log. */
  asset(dir: string, source: AssetSource, options: AssetOptions = {}): void {
    let body: Asset | null = null
    try {
      const step = this.#given >= 0 ? this.#given : null
      if (!this.#ended) body = assetBody(dir, source, { step, ...options })
    } catch (error) {
      return this.refusals.fail('asset', messageOf(error))
    }
    this.#between('asset', null, () => this.#payload(Kind.asset, body!))
  }

  html(dir: string, text: string): void {
    try {
      this.asset(dir, Buffer.from(String(text)), { name: 'html', type: 'html' })
    } catch {
      this.refusals.note('asset', text)
    }
  }

  facts(what: 'other' | 'tags' | 'name', body: () => Bodies['facts']): void {
    this.#between(what, null, () => {
      const copy = plain(body())
      return isFacts(copy) && jsonBytes(copy) <= PARAMS_BYTES_MAX && this.#payload(Kind.facts, copy)
    })
  }

  define(metric: string, options: { reduce: Reduce }): void {
    this.#between('define', metric, () => {
      const { reduce } = options
      return isName(metric) && REDUCES.includes(reduce) && this.#payload(Kind.define, { metric, reduce })
    })
  }

  resume(options: { step: number }): void {
    this.#between('resume', options, () => {
      const { step } = options
      return isStep(step) && this.#payload(Kind.resume, { step: step + 0 })
    })
  }

  /** Who this is: the first record, unless the disk is full. */
  open(body: Bodies['open']): void {
    this.#open = body
    this.report()
  }

  /** Writes what was not written yet of who we are, and the counted refusals; called by the timer. */
  report(): void {
    if (this.#open !== null && this.#journal.payload(Kind.open, this.#open, wallMs())) this.#open = null
    const report = this.refusals.report()
    if (report !== null && this.#payload(Kind.refused, report)) this.refusals.written()
  }

  /**
   * Writes what is still to be written and the last record; later calls are counted as refused.
   * Also right in the middle of a log() call, when user code within it left the process.
   */
  end(exit: number | null, error: { type: string; message: string } | null): void {
    if (this.#ended) return
    this.#busy = true
    this.#runNested()
    this.#journal.tick(wallMs(), true)
    this.report()
    this.#ended = true
    const { logged } = this.#journal
    this.#payload(Kind.end, { exit, ...error && { error }, logged, refused: this.refusals.total })
    this.#busy = false
  }

  get busy(): boolean {
    return this.#busy
  }

  #logNow(values: Values, options: LogOptions | undefined): void {
    try {
      if (this.#ended) return this.#refuseLate(values)
      // Locals, not fields: a field that holds a double is a write to the heap.
      const step = this.#stepOf(values, options?.step)
      if (step < 0) return
      const given: unknown = options?.weight
      const weight = given === undefined || given === null ? NaN : this.#weightOf(given)
      const last = this.#last
      if (last !== null && typeof values === 'object') {
        const guess = last.next ?? last
        if (this.#tryShape(guess, values, step, weight)) {
          this.#last = guess
          return
        }
        for (const shape of this.#recent) {
          if (shape !== guess && this.#tryShape(shape, values, step, weight)) return this.#follow(shape)
        }
      }
      this.#logSlowly(values, step, weight)
    } catch {
      // Only code of the values runs unguarded in there: getters, traps of a proxy.
      this.refusals.add('threw', '', 1, values)
      this.#journal.countRefused(1)
    }
  }

  /** The step of this call, or -1 when the one that was given makes all of it void. */
  #stepOf(values: Values, step: unknown): number {
    if (isStep(step)) {
      // + 0 turns -0 into 0.
      return this.#given = step + 0
    }
    if (step === undefined || step === null) return this.#given >= 0 ? this.#given : this.#counter++
    this.#refuseAll('step', values, step)
    return -1
  }

  #weightOf(weight: unknown): number {
    if (typeof weight === 'number' && weight > 0 && weight < Infinity) return weight
    this.refusals.note('weight', weight)
    return 1
  }

  /**
   * Writes `values` if their names are this shape's, in its order, and all are numbers or booleans; else
   * nothing has happened. For-in and the comparison of interned names cost less than any lookup. A weight of
   * NaN is none.
   */
  #tryShape(shape: Shape, values: Values, step: number, weight: number): boolean {
    if (shape.id < 0) return false
    const names = shape.names
    const count = names.length
    const journal = this.#journal
    const at = journal.begin(count, !Number.isNaN(weight))
    if (at < 0) return false
    const f64 = journal.f64
    let i = 0
    for (const name in values) {
      if (i >= count || name !== names[i]) return false
      const value: unknown = values[name]
      if (typeof value === 'number') f64[at + i] = value
      else if (typeof value === 'boolean') f64[at + i] = value ? 1 : 0
      else return false
      i++
    }
    if (i !== count) return false
    journal.commit(shape.id, count, step, weight, wallMs())
    return true
  }

  /** After a wrong guess: remembers what this shape came after, so that alternating shapes are guessed. */
  #follow(shape: Shape): void {
    if (this.#last !== null) this.#last.next = shape
    this.#last = shape
    const at = this.#recent.indexOf(shape)
    if (at > 0) this.#recent.splice(at, 1)
    if (at !== 0) this.#recent.unshift(shape)
    if (this.#recent.length > RECENT_MAX) this.#recent.pop()
  }

  /** Any call: value by value, each with its own refusal; then by shape, in as many records as it takes. */
  #logSlowly(values: Values, step: number, weight: number): void {
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      return this.#refuseAll('values', values, values)
    }
    const names: string[] = []
    const numbers: number[] = []
    let keys = 0
    for (const name in values) {
      keys++
      const number = this.#numberOf(values, name)
      if (number === undefined) continue
      names.push(name)
      numbers.push(number)
    }
    if (keys === 0 && !isPlainObject(values)) return this.#refuseAll('values', values, values)
    if (names.length === 0) return
    const shape = this.#shapes.of(names)
    this.#commitAll(shape, numbers, step, weight)
    if (shape.id >= 0) this.#follow(shape)
  }

  #commitAll(shape: Shape, numbers: number[], step: number, weight: number): void {
    const journal = this.#journal
    const now = wallMs()
    let from = 0
    for (const { id, names } of shape.layouts) {
      const count = names.length
      const at = journal.begin(count, !Number.isNaN(weight))
      if (at >= 0) {
        const { f64 } = journal
        for (let i = 0; i < count; i++) f64[at + i] = numbers[from + i]!
        journal.commit(id, count, step, weight, now)
      } else {
        journal.drop(id, count)
      }
      from += count
    }
  }

  /** The number of one metric, or undefined after it was refused. */
  #numberOf(values: Values, name: string): number | undefined {
    let value: unknown
    try {
      value = values[name]
    } catch {
      return this.#refuse('threw', name, values)
    }
    if (typeof value !== 'number' && typeof value !== 'boolean') {
      return this.#refuse(causeOf(value), name, value)
    }
    if (!isName(name)) return this.#refuse('name', name, value)
    if (!this.#shapes.admit(name)) return this.#refuse('names', name, value)
    return Number(value)
  }

  #refuse(cause: Cause, name: string, value: unknown): undefined {
    this.refusals.add(cause, name, 1, value)
    this.#journal.countRefused(1)
  }

  /** All values of a call, each under its name as far as there are names. */
  #refuseAll(cause: Cause, values: unknown, shown: unknown): void {
    for (const name of namesOf(values)) {
      this.refusals.add(cause, name, 1, shown)
      if (!this.#ended) this.#journal.countRefused(1)
    }
  }

  #refuseLate(values: unknown): void {
    this.#refuseAll('ended', values, values)
    this.#onLate()
  }

  /** A payload from user code: never within a record of log(), never an exception. */
  #between(what: Exclude<Note, 'weight' | 'full'>, value: unknown, write: () => boolean): void {
    const run = (): void => {
      try {
        if (this.#ended) this.#refuseLate(value)
        else if (!write()) this.refusals.note(what, value)
      } catch {
        this.refusals.note(what, value)
      }
    }
    if (this.#busy) return this.#nest(run, value)
    this.#busy = true
    run()
    this.#runNested()
    this.#busy = false
  }

  #payload(kind: Kind, body: object): boolean {
    if (this.#journal.payload(kind, body, wallMs())) return true
    this.refusals.note('full', Buffer.byteLength(JSON.stringify(body)))
    return false
  }

  /** Apart from log(): a closure there would cost an allocation in every call. */
  #nestLog(values: Values, options: LogOptions | undefined): void {
    this.#nest(() => this.#logNow(values, options), values)
  }

  /** Bounded, since a getter that logs an object with itself would go on for ever. */
  #nest(call: () => void, value: unknown): void {
    if (this.#nestedLeft-- > 0) this.#nested.push(call)
    else this.#refuseAll('nested', value, value)
  }

  #runNested(): void {
    for (let i = 0; i < this.#nested.length; i++) this.#nested[i]!()
    this.#nested = []
    this.#nestedLeft = REENTRANT_MAX
  }
}

function isName(name: unknown): name is string {
  if (typeof name !== 'string' || name === '') return false
  return name.length <= NAME_CODEPOINTS_MAX
    || (name.length <= 2 * NAME_CODEPOINTS_MAX && [...name].length <= NAME_CODEPOINTS_MAX)
}

function isStep(step: unknown): step is number {
  return typeof step === 'number' && step >= 0 && step <= STEP_MAX && Math.floor(step) === step
}

/** The metrics of a call that is refused as a whole; '' stands for a call without any. */
function namesOf(values: unknown): string[] {
  try {
    if (typeof values !== 'object' || values === null || Array.isArray(values)) return ['']
    const names = Object.keys(values)
    return names.length > 0 ? names : ['']
  } catch {
    return ['']
  }
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}
