/**
 * Drives the outboxes of a run, one per backend that rows are sent to: the edge of session/core-outbox.ts.
 *
 * In: the ledger, that a tick has passed, that the run is over. Out: `outbox` notes, calls of backends.
 * Invariants: each backend reads the rows at its own pace and is called by itself, so none waits for another;
 * reading gives way to others after a slice; nothing is sent that is not decided in the ledger.
 */
import type { Backend, StreamEvent, StreamRow, Writer } from '../backend/index.ts'
import { monotonicMs, sleep } from '../clock.ts'
import { messageOf } from '../errors.ts'
import type { Ledger } from '../ledger/index.ts'
import { END_POLL_MS } from '../limits.ts'
import { OUTBOX_STALL_MS } from '../limits-outbox.ts'
import type { Row } from '../record/row.ts'
import type { BackendStatus, CallsStatus } from '../record/run-status.ts'
import type { Figures } from '../session/core-thin.ts'
import { readAssets } from './asset-reader.ts'
import { Courier, type CourierOptions } from './courier.ts'
import { besideOf, leftoversOf, sentTo } from './leftovers.ts'
import { readEvents } from './herald.ts'
import { readRows } from './row-reader.ts'
import { readSystems } from './system-reader.ts'
import { readTexts } from './text-reader.ts'

export interface OutboxesOptions extends CourierOptions {
  ledger: Ledger
  /** `sync` delivers also what was to stay offline. */
  closing: boolean
  /** Resolves when all that was committed is durable and applied. */
  barrier: () => Promise<void>
}

/** What `status` says beside what the notes tell. */
export interface OutboxView {
  name: string
  fault: string
  /** Texts and samples are no points: how they stand only shows in whether everything is delivered. */
  besideEnded: boolean
  /** What it took and does not show. */
  missing: string | null
  /** Null: it has no place for any. */
  assets: Required<NonNullable<BackendStatus['assets']>> | null
  offline: boolean
  /** What it has not taken, as a file. */
  archive: string | null
  /** Of the oldest row that waits to be sent, ms. */
  ageMs: number | null
  use: { used: number; max: number; windowMs: number } | null
  warning: string
  calls: CallsStatus | null
}

export class Outboxes {
  /** Those of texts and samples before those of rows, since the backend's end comes with the rows'. */
  private readonly couriers: Courier<unknown>[] = []
  private readonly backends: readonly Backend[]
  private readonly options: OutboxesOptions
  private verifying = false
  /** What was looked for in vain, by backend. */
  private readonly missing = new Map<string, string>()
  /** Warnings that the diary has, without their numbers. */
  private readonly warned = new Set<string>()

  constructor(backends: readonly Backend[], options: OutboxesOptions) {
    this.options = options
    this.backends = backends.filter(({ rows, events }) => rows !== null || events !== undefined)
    for (const backend of this.backends) {
      const { name, rows, events, texts, systems, assets } = backend
      if (this.isOffline(backend)) continue
      if (texts !== undefined) {
        this.couriers.push(besideCourier(name, 'texts', texts, readTexts, options))
      }
      if (systems !== undefined) {
        this.couriers.push(besideCourier(name, 'systems', systems, readSystems, options))
      }
      if (assets !== undefined) {
        this.couriers.push(besideCourier(name, 'assets', assets, readAssets, options))
      }
      if (rows !== null) this.couriers.push(rowCourier(name, rows, options))
      if (events !== undefined) this.couriers.push(eventCourier(name, events, options))
    }
  }

  views(): OutboxView[] {
    return this.backends.map((backend) => {
      const { name } = backend
      const own = this.couriers.filter((courier) => courier.backend === name)
      const since = own.find(({ isOfRows }) => isOfRows)?.outbox.waitsSince ?? null
      const { fault: beside = '', warning = '', calls = null, ...use } = backend.use?.() ?? {}
      return {
        name, fault: own.find(({ outbox }) => outbox.fault !== '')?.outbox.fault ?? beside,
        besideEnded: own.every(({ outbox, isOfRows }) => isOfRows || outbox.standing.ended !== null),
        assets: this.assetsOf(backend), missing: this.missing.get(name) ?? null,
        offline: this.isOffline(backend),
        archive: backend.archive?.path() ?? null,
        ageMs: since === null ? null : Math.round(monotonicMs() - since),
        use: 'used' in use && own.length > 0 ? use : null, warning, calls,
      }
    })
  }

  private assetsOf({ name, assets }: Backend): OutboxView['assets'] {
    if (assets === undefined) return null
    const { state } = this.options
    const { bytes, aside } = assets.progress?.() ?? { bytes: 0, aside: 0 }
    const { settled, rejectedItems } = state.standing(besideOf(name, 'assets'))
    return { pending: state.beside.assetCount - settled + aside, rejected: rejectedItems, bytes }
  }

  private isOffline({ offline }: Backend): boolean {
    return offline === true && !this.options.closing
  }

  /** Of one that is not called, nothing is. */
  private isDone({ name }: Backend): boolean {
    const own = this.couriers.filter(({ backend }) => backend === name)
    return own.length > 0 && own.every(({ outbox }) => outbox.done)
  }

  tick(): void {
    for (const courier of this.couriers) courier.tick()
    for (const backend of this.backends) {
      const { name } = backend
      const { warning = '' } = backend.use?.() ?? {}
      const what = `${name} ${warning.replace(/\d+/g, '')}`
      if (warning === '' || this.warned.has(what)) continue
      this.warned.add(what)
      this.options.report(`backend ${name}: ${warning}`)
    }
  }

  /** Something waits to be sent, so what is shown of it changes with time. */
  get isBehind(): boolean {
    return this.verifying || this.couriers.some(({ outbox: { waitsSince } }) => waitsSince !== null)
  }

  /**
   * No more rows come. Until everything is delivered and each backend knows the status, as long as `maxMs`
   * allows and anything moves, or pauses as it was told to; what is left then is pending, and nothing is sent
   * any more.
   */
  async finish(status: string, maxMs: number): Promise<void> {
    await this.deliverLast(status, maxMs)
    for (const courier of this.couriers) courier.close()
    // What is left begins where the notes of the last calls end.
    await this.options.barrier()
    for (const backend of this.backends) await this.leave(backend, status)
  }

  private async deliverLast(status: string, maxMs: number): Promise<void> {
    const begun = monotonicMs()
    for (const backend of this.backends) backend.hurry?.()
    let mark = ''
    for (let moved = begun; ; await sleep(END_POLL_MS)) {
      for (const courier of this.couriers) this.finishOne(courier, status)
      if (this.couriers.every((courier) => this.isSettled(courier))) return
      const now = monotonicMs()
      const next = this.couriers.map(({ mark }) => mark).join()
      const isPaused = this.couriers.some(({ outbox }) => outbox.isPaused(now))
      if (next !== mark || isPaused) moved = now
      mark = next
      if (now - begun >= maxMs || now - moved >= OUTBOX_STALL_MS) return
    }
  }

  /** It is done, or does not go on before somebody does something; rows then wait with their end for that. */
  private isSettled({ backend, isOfRows, isIdle, outbox }: Courier<unknown>): boolean {
    if (outbox.done || outbox.isStuck) return true
    return isOfRows && isIdle
      && this.couriers.some((other) => other.backend === backend && other.outbox.isStuck)
  }

  /**
   * What is left goes into an archive, where the backend has one, and its tracker hears that the run is over;
   * an archive that is not needed any more goes.
   */
  private async leave(backend: Backend, status: string): Promise<void> {
    const { name, archive } = backend
    const { ledger, state, report } = this.options
    try {
      if (this.isDone(backend)) {
        archive?.remove()
        if (this.options.closing) await this.verify(backend)
        return
      }
      if (!this.isOffline(backend)) await backend.leave?.(status)
      await archive?.write(leftoversOf(ledger, backend, (each) => state.standing(each)), status)
    } catch (error) {
      report(`backend ${name}: ${messageOf(error)}`)
    }
  }

  /** For `sync`: whoever says that all is there has looked. */
  private async verify(backend: Backend): Promise<void> {
    const { name, verify } = backend
    if (verify === undefined) return
    const { ledger, state, report } = this.options
    this.verifying = true
    const missing = await verify(sentTo(ledger, backend, state.standing(name)))
    this.verifying = false
    if (missing === null) return report(`backend ${name} has all that it took`)
    this.missing.set(name, missing)
    report(`backend ${name}: ${missing}`)
  }

  /** Rows are told of the end, and so the backend, when everything else is there. */
  private finishOne(courier: Courier<unknown>, status: string): void {
    const { backend, isOfRows } = courier
    const beside = this.couriers.filter((other) => other.backend === backend && !other.isOfRows)
    if (isOfRows && beside.some(({ outbox }) => !outbox.done)) courier.tick()
    else courier.finish(status)
  }

  /** Sends nothing more. What is on its way counts as perhaps stored. */
  close(): void {
    for (const courier of this.couriers) courier.close()
    for (const backend of this.backends) backend.close?.()
  }
}

const rowCourier = (backend: string, writer: Writer<StreamRow>, options: OutboxesOptions): Courier<unknown> =>
  new Courier<StreamRow>({
    backend, name: backend, isOfRows: true, writer,
    read: (from) => readRows(options.ledger, from, writer.can.ranks),
    about: (row) => {
      const { n, at, of, amends } = row
      return { n, at, points: of.length, amends, figures: figuresOf(row) }
    },
  }, options) as Courier<unknown>

/** For what is no point. */
const besideCourier = <Item extends { n: number; time: number }>(
  backend: string, what: 'texts' | 'systems' | 'assets', writer: Writer<Item>,
  read: (ledger: Ledger, from: number) => Generator<Item | 'busy' | 'idle', never>, options: OutboxesOptions,
): Courier<unknown> => new Courier<Item>({
    backend, name: besideOf(backend, what), isOfRows: false, writer,
    about: ({ n, time }) => ({ n, at: time, points: 0, amends: false, figures: null }),
    read: (from) => read(options.ledger, from),
  }, options) as Courier<unknown>

const eventCourier = (
  backend: string, writer: Writer<StreamEvent>, options: OutboxesOptions,
): Courier<unknown> => new Courier<StreamEvent>({
    backend, name: besideOf(backend, 'events'), isOfRows: true, writer,
    // An event counts as a point does elsewhere.
    about: ({ n, event: { at } }) => ({ n, at, points: 1, amends: false, figures: null }),
    read: (from) => readEvents(options.state.told.events, from),
  }, options) as Courier<unknown>

function figuresOf({ row, nth, sinceMs }: StreamRow): Figures {
  const { metric, value, min, max, nan, inf } = row
  const number = (each: Row['value']): number => typeof each === 'number' ? each : NaN
  const figures = { value: number(value), min: number(min), max: number(max), odd: nan + inf > 0 }
  return { metric, ...figures, nth, sinceMs }
}
