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
import { readMeeting } from '../lock/index.ts'
import type { Endpoint } from '../record/run-status.ts'
import type { Departure, InstanceId } from '../record/index.ts'
import { connectDealer, type Dealer } from '../transport/index.ts'
import {
  decodeFrame, encodeFrame, PROTOCOL_VERSION, type Bodies, type FrameType, type Welcome,
} from '../wire/index.ts'
import { UplinkCore, type UplinkEffect, type UplinkEvent } from './core-uplink.ts'
import type { Feed } from './feed.ts'
import type { Notes } from './notes.ts'
import { bytesOf } from './unit.ts'

export interface UplinkOptions {
  meeting: string
  run: string | null
  lockDir: string
  /** Our host name. */
  node: string
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
  #dealer: Dealer | null = null
  #head: Endpoint | null = null
  #beatAt = 0

  constructor(options: UplinkOptions) {
    this.#options = options
  }

  /** The meeting file as last read; the process behind it may be gone. */
  get head(): Endpoint | null {
    return this.#head
  }

  /** Time passes. */
  tick(now: number): void {
    this.#do({ type: 'tick' })
    if (this.core.live && now - this.#beatAt >= BEAT_INTERVAL_MS) this.#beat(now)
  }

  /** Looks for the head while there is no connection. */
  seek(): void {
    if (this.core.live) return
    const { lockDir, meeting, node, notes } = this.#options
    const found = readMeeting(lockDir, meeting)
    // Its port is on loopback, which means nothing on another node that shares the lock directory.
    const head = found?.hostname === node ? found : null
    if (found && !head) notes.once(`the aggregator is on ${found.hostname}, not ${node}: data is kept here`)
    this.#head = head
    const at = head && `${head.host}:${head.port} pid ${head.pid} started ${head.procStart} term ${head.term}`
    this.#do({ type: 'head', at })
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
      case 'lost': return notes.say(`lost the aggregator: ${effect.why}`)
    }
  }

  #connect(): void {
    const head = this.#head
    if (!head) return
    try {
      // A frame or the end of an earlier socket may still be on its way to us.
      const current = (): boolean => this.#dealer === dealer
      const dealer: Dealer = connectDealer({
        host: head.host, port: head.port,
        onFrame: (frame) => { if (current()) this.#hear(frame) },
        onDown: (why) => {
          if (current()) this.#do({ type: 'down', why: `${head.host}:${head.port} ${why}` })
        },
      })
      this.#dealer = dealer
    } catch (error) {
      const why = messageOf(error)
      queueMicrotask(() => this.#do({ type: 'down', why }))
    }
  }

  #hear(bytes: Buffer): void {
    try {
      const { type, term, body } = decodeFrame(bytes)
      if (type === 'WELCOME') this.#do({ type: 'welcome', term, body })
      else if (type === 'ACK') this.#do({ type: 'ack', term, body })
      else if (type === 'BEAT') this.#do({ type: 'beat', term })
      else if (type === 'REFUSE') this.#do({ type: 'refuse', body })
      else throw new Error(`a frame ${type} is not for an agent`)
      this.#options.freed()
    } catch (error) {
      this.#options.notes.once(`dropped a frame of the aggregator: ${messageOf(error)}`)
    }
  }

  #send<T extends FrameType>(type: T, body: Bodies[T]): boolean {
    return this.#dealer?.send(encodeFrame(type, this.core.term, body)) ?? false
  }

  #hello(instances: readonly { instance: InstanceId; ledger: string | null }[]): void {
    const { run, meeting, feeds } = this.#options
    this.#send('HELLO', {
      agent: this.#agent, host: hostname(), pid: process.pid, run, meeting, protocol: PROTOCOL_VERSION,
      sentAt: wallMs(),
      instances: instances.flatMap(({ instance, ledger }) => {
        const feed = feeds.get(instance)
        if (!feed) return []
        const { origin, first, next, shelf } = feed
        return [{ origin, first, next, logged: feed.counters().logged, ledger: ledger ?? shelf.ledger }]
      }),
    })
  }

  #end(instance: InstanceId): void {
    const feed = this.#options.feeds.get(instance)
    const last = this.#lasts.get(instance)
    if (!feed || !last) return
    const { logged, lost, refused } = feed.counters()
    const { seq, departure, at } = last
    this.#send('END', { instance, seq, logged, lost, refused, departure, at })
  }

  #beat(now: number): void {
    this.#beatAt = now
    const instances = [...this.#options.feeds.values()].map((feed) => {
      const { seq, logged, lost } = feed.counters()
      const backlog = Math.max(0, seq - this.core.acked(feed.instance))
      return { instance: feed.instance, alive: !feed.dead, logged, lost, backlog }
    })
    this.#send('BEAT', { sentAt: wallMs(), instances })
  }
}
