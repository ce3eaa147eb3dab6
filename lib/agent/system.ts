/**
 * Agent, system metrics: an instance of the agent's own that logs its node every interval (DESIGN 13).
 *
 * In: the workers of this node, the start of the run from WELCOME, time. Out: a feed like that of a journal.
 * Invariants: steps are whole seconds since the start of the run, on the grid of the interval, so that nodes
 * align; nothing is sampled before the first WELCOME and without a live worker; nobody waits for this
 * instance, and nothing of it goes to disk. A started agent begins a new one.
 */
import { monotonicMs, wallMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { bootId, newInstanceId, pidNamespace, procStart } from '../journal/index.ts'
import { SYSTEM_WAIT_MS } from '../limits.ts'
import type { InstanceId, Origin } from '../record/index.ts'
import type { Welcome } from '../wire/index.ts'
import { Feed } from './feed.ts'
import type { Notes } from './notes.ts'
import { Sampler } from './sampler.ts'
import type { Spool } from './spool.ts'
import { SystemSource } from './system-source.ts'

export interface SystemOptions {
  meeting: string
  /** Parent of the run directories. */
  dir: string
  node: string
  env: NodeJS.ProcessEnv
  /** 0: off. */
  intervalMs: number
  notes: Notes
  spool: Spool
}

export class SystemMetrics {
  readonly #options: SystemOptions
  readonly #pidns = pidNamespace()
  #sampler: Sampler | null = null
  #source: SystemSource | null = null
  #feed: Feed | null = null
  /** Of the first worker of this node. */
  #firstAt: number | null = null
  #hasLocalZero = false
  /** The lowest rank of this node, as far as it is known. */
  #lowest: Origin | null = null
  #run: string | null = null
  /** Start of the run in our own wall clock, ms. */
  #startedAt: number | null = null
  /** Place on the grid of the last sample. */
  #last = -1

  constructor(options: SystemOptions) {
    this.#options = options
    if (options.intervalMs === 0) return
    try {
      this.#sampler = new Sampler(options.env, monotonicMs())
    } catch (error) {
      options.notes.once(`no system metrics here: ${messageOf(error)}`)
    }
  }

  /** A worker of this node was found. */
  seen(origin: Origin, now: number): void {
    if (origin.role !== 'worker') return
    this.#firstAt ??= now
    if (origin.localRank === 0) this.#hasLocalZero = true
    if (this.#lowest === null || origin.rank < this.#lowest.rank) this.#lowest = origin
    if (this.#isOurs(origin)) this.#sampler?.watch(origin, now)
  }

  /**
   * A run that takes workers of this node. Our clock may differ from that of the head, whose time the start
   * of the run is. Returns the instance of an earlier run of this meeting, which is over.
   */
  welcomed({ run, now, startedAt }: Welcome): InstanceId | null {
    if (run === this.#run) return null
    const earlier = this.end()
    this.#run = run
    this.#startedAt = startedAt === undefined ? null : startedAt + wallMs() - now
    this.#last = -1
    return earlier
  }

  /** Samples when it is time to. Returns a feed that has just begun. */
  tick(workers: readonly Feed[], now: number): Feed | null {
    if (this.#sampler === null || this.#startedAt === null) return null
    const { intervalMs } = this.#options
    const place = Math.max(0, Math.floor((wallMs() - this.#startedAt) / intervalMs))
    if (place <= this.#last) return null
    const live = workers.filter(({ dead, origin }) => !dead && origin.role === 'worker')
    if (live.length === 0 || !(this.#hasLocalZero || now - this.#firstAt! >= SYSTEM_WAIT_MS)) return null
    this.#last = place
    const fresh = this.#source === null ? this.#begin(now) : null
    const source = this.#source!
    const step = Math.floor(place * intervalMs / 1000)
    const ours = live.map(({ origin }) => origin).filter((origin) => this.#isOurs(origin))
    this.#sampler.sample(ours, now, (names, values) => source.log(names, values, step, wallMs()))
    return fresh
  }

  /** No owner is left: this instance says its END, and another one begins if somebody comes after all. */
  end(): InstanceId | null {
    const feed = this.#feed
    this.#feed = null
    this.#source = null
    if (feed === null) return null
    feed.dead = true
    feed.departure = { exit: 0, signal: null, cause: 'end-record' }
    return feed.instance
  }

  close(): void {
    this.#sampler?.close()
  }

  #begin(now: number): Feed {
    const { meeting, dir, node, spool } = this.#options
    const { rank, localRank, worldSize } = this.#lowest!
    const origin: Origin = {
      instance: newInstanceId(), meeting, run: this.#run, role: 'agent', rank, worldSize, localRank, node,
      bootId: bootId(), pidns: this.#pidns, pid: process.pid, procStart: procStart(process.pid),
      startedAt: wallMs(), dir, cli: '',
    }
    this.#source = new SystemSource(origin)
    this.#feed = new Feed(origin, this.#source, spool.shelf(origin), now)
    return this.#feed
  }

  /** Its pid means something here. */
  #isOurs({ pidns }: Origin): boolean {
    return pidns === 0 || this.#pidns === 0 || pidns === this.#pidns
  }
}
