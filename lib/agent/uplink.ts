/**
 * Agent, edge of the uplink: carries out what core-uplink.ts decides, with a socket, the feeds and two
 * clocks.
 *
 * In: frames from the head, where it is, the feeds. Out: frames; callbacks when an instance is welcomed or
 * done.
 * Invariant: effects are carried out in order and at once; a unit counts as sent when the socket took it.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { monotonicMs, wallMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { BEAT_INTERVAL_MS } from '../limits.ts'
import type { Departure, InstanceId } from '../record/index.ts'
import { connectDealer, type Dealer } from '../transport/index.ts'
import {
  decodeFrame, encodeFrame, PROTOCOL_VERSION, type Bodies, type FrameType, type Welcome,
} from '../wire/index.ts'
import { ClockOffset, Trips, type Offset } from './core-clock.ts'
import { drainIntervalMs, worldSizeOf } from './core-pace.ts'
import type { Target } from './core-seek.ts'
import { UplinkCore, type UplinkEffect, type UplinkEvent } from './core-uplink.ts'
import type { Feed } from './feed.ts'
import type { Notes } from './notes.ts'
import type { Seeker } from './seek.ts'
import { bytesOf } from './unit.ts'

export interface UplinkOptions {
  meeting: string
  run: string | null
  seeker: Seeker
  feeds: ReadonlyMap<InstanceId, Feed>
  notes: Notes
  welcomed(body: Welcome): void
  /** The END is durable at the head. */
  done(feed: Feed): void
  /** Credit came back: more may be sent. */
  freed(): void
}

interface Last { seq: number; departure: Departure; at: number }

export class Uplink {
  readonly core = new UplinkCore(Math.random)
  readonly #options: UplinkOptions
  readonly #agent = randomBytes(16).toString('hex')
  readonly #lasts = new Map<InstanceId, Last>()
  readonly #clock = new ClockOffset()
  #dealer: Dealer | null = null
  /** Where the connection goes, or is to go next. */
  #target: Target | null = null
  #beatAt = 0
  /** The present connection was welcomed. */
  #served = false
  readonly #hellos = new Trips()
  readonly #beats = new Trips()

  constructor(options: UplinkOptions) {
    this.#options = options
  }

  /** Time passes. */
  tick(now: number): void {
    this.#do({ type: 'tick' })
    if (this.core.live && now - this.#beatAt >= this.#beatMs) this.#beat(now)
  }

  /** Looks for the head while there is no connection. */
  seek(now: number): void {
    const { seeker } = this.#options
    seeker.look(now, this.core.live)
    if (this.core.live || this.#dealer !== null) return
    this.#target = seeker.next()
    this.#do({ type: 'head', at: this.#target?.mark ?? null })
  }

  found(feed: Feed, dead: boolean): void {
    const { instance, origin: { role, rank, startedAt } } = feed
    this.#do({ type: 'found', instance, rank: role === 'worker' ? rank : -1, startedAt, dead })
  }

  dead(instance: InstanceId): void {
    this.#do({ type: 'dead', instance })
  }

  /** Nothing follows `seq` any more; `at`: when its owner was found gone. */
  complete(instance: InstanceId, seq: number, departure: Departure, at: number): void {
    if (this.#lasts.has(instance)) return
    this.#lasts.set(instance, { seq, departure, at })
    this.#do({ type: 'complete', instance, last: seq })
  }

  /**
   * Sends the next unit of this feed, and tells its bytes; 'none': it has none now, 'full': socket or credit
   * have no room.
   */
  offer(feed: Feed, now: number): number | 'none' | 'full' {
    const { instance } = feed
    if (!this.#dealer || this.#dealer.full) return 'full'
    const unit = feed.unit(this.core.cursor(instance), now)
    if (unit === null) return 'none'
    const bytes = bytesOf(unit)
    if (!this.core.mayFly(bytes)) return 'full'
    const taken = unit.type === 'BATCH'
      ? this.#send('BATCH', unit.body)
      : this.#send('SKIP', { instance, ...unit.body })
    if (!taken) return 'full'
    this.#do({ type: 'sent', instance, first: unit.first, last: unit.last, bytes })
    return bytes
  }

  close(): void {
    this.#dealer?.close()
    this.#dealer = null
  }

  #do(event: UplinkEvent): void {
    for (const effect of this.core.handle(event, monotonicMs())) {
      try {
        this.#carry(effect)
      } catch (error) {
        // A file that cannot be written concerns its instance; the effects after it concern others.
        const of = 'instance' in effect ? `${effect.instance} ` : ''
        this.#options.notes.once(`${of}${effect.do}: ${messageOf(error)}`)
      }
    }
  }

  #carry(effect: UplinkEffect): void {
    const { feeds, notes } = this.#options
    switch (effect.do) {
      case 'connect': return this.#connect()
      case 'close': return this.close()
      case 'hello': return this.#hello(effect.instances)
      case 'end': return this.#end(effect.instance)
      case 'rewind': return feeds.get(effect.instance)?.rewind()
      case 'acked': return feeds.get(effect.instance)?.acked(effect.seq, this.core.ledger, monotonicMs())
      case 'done': {
        const feed = feeds.get(effect.instance)
        this.#lasts.delete(effect.instance)
        return feed && this.#options.done(feed)
      }
      case 'welcomed': return this.#options.welcomed(effect.body)
      case 'refused':
        // A run that drains has no use for system metrics, which is as it should be.
        if (feeds.get(effect.instance ?? '')?.origin.role === 'agent') return
        return notes.once(`the aggregator refuses ${effect.instance ?? 'this agent'}: ${effect.message}; ` +
          (effect.remedy || 'its data stays on this node'))
      case 'lost': return this.#lost(effect.why)
    }
  }

  /** Of the many places that are tried in vain, each is told once. */
  #lost(why: string): void {
    const { notes, seeker } = this.#options
    if (this.#served) notes.say(`lost the aggregator: ${why}`)
    else notes.once(`no aggregator: ${why}`)
    this.#served = false
    if (this.#target !== null) seeker.failed(this.#target)
    // The next look names the next place; until then there is none to try.
    this.#do({ type: 'head', at: null })
  }

  #connect(): void {
    const target = this.#target
    if (!target) return
    const { host, port } = target
    const down = (why: string): void => this.#do({ type: 'down', why: `${host}:${port} ${why}` })
    try {
      const keys = this.#options.seeker.keysOf(target)
      // A frame or the end of an earlier socket may still be on its way to us.
      const current = (): boolean => this.#dealer === dealer
      const dealer: Dealer = connectDealer({
        host, port, keys,
        onUp: () => {
          if (!current()) return
          this.#clock.reset()
          this.#hellos.clear()
          this.#beats.clear()
          this.#do({ type: 'up', far: target.secretFile !== null })
        },
        onFrame: (frame) => { if (current()) this.#hear(frame) },
        onDown: (why) => { if (current()) down(why) },
      })
      this.#dealer = dealer
    } catch (error) {
      const why = messageOf(error)
      queueMicrotask(() => down(why))
    }
  }

  #hear(bytes: Buffer): void {
    try {
      const { type, term, body } = decodeFrame(bytes)
      if (type === 'WELCOME') this.#welcome(body, term)
      else if (type === 'ACK') this.#do({ type: 'ack', term, body })
      else if (type === 'BEAT') {
        const trip = this.#beats.answer(body.sentAt, monotonicMs())
        if ('now' in body && trip !== null) this.#clock.sample(body.sentAt, body.now, trip)
        this.#do({ type: 'beat', term })
      } else if (type === 'REFUSE') this.#do({ type: 'refuse', body })
      else if (type === 'REDIRECT') {
        this.#options.seeker.redirected(body)
        this.#do({ type: 'down', why: `says that the head is at ${body.host}:${body.port}` })
      } else throw new Error(`a frame ${type} is not for an agent`)
      this.#options.freed()
    } catch (error) {
      this.#options.notes.once(`dropped a frame of the aggregator: ${messageOf(error)}`)
    }
  }

  #welcome(body: Welcome, term: number): void {
    // That of another run of this meeting would make its ledger and term ours.
    const trip = this.#hellos.answer(body.sentAt, monotonicMs())
    if (trip === null) return
    this.#clock.sample(body.sentAt, body.now, trip)
    if (this.#target !== null) this.#options.seeker.won(this.#target)
    this.#served = true
    this.#do({ type: 'welcome', term, body, trip })
  }

  #send<T extends FrameType>(type: T, body: Bodies[T]): boolean {
    return this.#dealer?.send(encodeFrame(type, this.core.term, body)) ?? false
  }

  #hello(instances: readonly { instance: InstanceId; ledger: string | null }[]): void {
    const { run, meeting, feeds } = this.#options
    const sentAt = this.#hellos.ask(wallMs(), monotonicMs())
    this.#send('HELLO', {
      agent: this.#agent, host: hostname(), pid: process.pid, run, meeting, protocol: PROTOCOL_VERSION,
      sentAt, ...this.#offset,
      instances: instances.flatMap(({ instance, ledger }) => {
        const feed = feeds.get(instance)
        if (!feed) return []
        const { origin, first, next, shelf, layouts } = feed
        const known = first === 1 || layouts.length === 0 ? {} : { layouts }
        const { logged } = feed.counters()
        return [{ origin, first, next, logged, ledger: ledger ?? shelf.ledger, ...known }]
      }),
    })
  }

  #end(instance: InstanceId): void {
    const feed = this.#options.feeds.get(instance)
    const last = this.#lasts.get(instance)
    if (!feed || !last) return
    const { logged, lost, refused } = feed.counters()
    const { seq, departure, at } = last
    const estimated = feed.isPart(seq) ? { estimated: true } : {}
    this.#send('END', { instance, seq, logged, lost, refused, departure, at, ...estimated })
  }

  /** A head of thousands of ranks hears each of them less often. */
  get #beatMs(): number {
    return Math.max(BEAT_INTERVAL_MS, drainIntervalMs(worldSizeOf(this.#options.feeds.values())))
  }

  #beat(now: number): void {
    this.#beatAt = now
    const instances = [...this.#options.feeds.values()].map((feed) => {
      const { seq, logged, lost } = feed.counters()
      const backlog = Math.max(0, seq - this.core.acked(feed.instance))
      return { instance: feed.instance, alive: !feed.dead, logged, lost, backlog }
    })
    const { denied } = this.#options.seeker
    const offset = this.#offset?.offset
    const told = { ...offset === undefined ? {} : { offset }, ...denied > 0 ? { denied } : {} }
    const agent = Object.keys(told).length > 0 ? { agent: this.#agent } : {}
    const sentAt = this.#beats.ask(wallMs(), monotonicMs())
    this.#send('BEAT', { sentAt, ...agent, ...told, instances })
  }

  /** Our own node has one clock. */
  get #offset(): Offset | null {
    return this.#target?.secretFile == null ? null : this.#clock.value
  }
}
