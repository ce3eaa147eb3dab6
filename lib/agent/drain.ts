/**
 * Agent, drain: moves every instance's records to the head, or to disk when the head does not take them.
 *
 * In: feeds, the uplink, time. Out: units on the socket, files in the spool.
 * Invariants: the network is never waited for; a journal that fills while nothing is acknowledged goes to
 * disk before its owner has to count losses; one feed that fails is told once and holds up no other.
 */
import { wallMs } from '../clock.ts'
import { errnoOf, messageOf } from '../errors.ts'
import {
  BATCH_BYTES, DRAIN_BUSY_MS, JOURNAL_CHECK_MS, RING_BYTES, SPOOL_AFTER_MS, SPOOL_PASS_BYTES,
} from '../limits.ts'
import type { InstanceId } from '../record/index.ts'
import { pauseMs, worldSizeOf } from './core-pace.ts'
import { settled, type Deaths } from './deaths.ts'
import type { Feed } from './feed.ts'
import type { Notes } from './notes.ts'
import type { Spool } from './spool.ts'
import type { Uplink } from './uplink.ts'

export interface DrainOptions {
  feeds: ReadonlyMap<InstanceId, Feed>
  uplink: Uplink
  deaths: Deaths
  spool: Spool
  notes: Notes
  /** Segment bytes that an owner may have outstanding before it counts losses. */
  overflowCap: number
}

export class Drain {
  readonly #options: DrainOptions
  /** A journal with more than this is filling. */
  readonly #fullBytes: number
  #failedAt = -Infinity
  #relievedAt = -Infinity
  /** Something waits for room in socket or credit. */
  #blocked = false
  /** Of the last round: when it was, what it sent, how long after the one before. */
  #round = { at: -Infinity, bytes: 0, since: 0 }
  #saving = false

  constructor(options: DrainOptions) {
    this.#options = options
    this.#fullBytes = Math.min(RING_BYTES, options.overflowCap) / 2
  }

  /** Until the next round (ms). */
  pauseMs(): number {
    const { bytes, since } = this.#round
    return this.#saving ? DRAIN_BUSY_MS : pauseMs(bytes, since, worldSizeOf(this.#options.feeds.values()))
  }

  /** Sends while there is something to send and room for it, one unit of each instance in turn. */
  pump(now: number): void {
    const { uplink, feeds } = this.#options
    this.#blocked = !uplink.core.live
    this.#round = { at: now, bytes: 0, since: now - this.#round.at }
    for (let moved = true; moved;) {
      moved = false
      for (const instance of uplink.core.turns()) {
        const feed = feeds.get(instance)
        if (feed && this.attempt(feed, () => this.#turn(feed, now))) moved = true
      }
    }
  }

  /**
   * Room came back: goes on if that was waited for. An acknowledgement alone is no reason to read all
   * journals.
   */
  resume(now: number): void {
    if (this.#blocked) this.pump(now)
  }

  /** Journals that fill without progress go to disk. */
  relieve(now: number): void {
    if (now - this.#relievedAt < JOURNAL_CHECK_MS || now - this.#failedAt < SPOOL_AFTER_MS) return
    let saved = false
    for (const feed of this.#options.feeds.values()) {
      const full = now - feed.progressAt > SPOOL_AFTER_MS && feed.backlog() > this.#fullBytes
      // One pass a round: beats and other feeds go on between two fsyncs.
      if (full && this.#save(feed, now)) saved = true
    }
    this.#saving = saved
    if (!saved) this.#relievedAt = now
  }

  /**
   * Everything that is not acknowledged goes to disk, as far as the cap allows. True when all of it is there.
   */
  saveAll(now: number): boolean {
    let all = true
    for (const feed of this.#options.feeds.values()) {
      while (this.#save(feed, now));
      if (!feed.safe) all = false
    }
    return all
  }

  /** What fails for one feed is told once, with where its data is, and holds up no other: false. */
  attempt(feed: Feed, act: () => boolean, failed?: () => void): boolean {
    try {
      return act()
    } catch (error) {
      failed?.()
      const { instance, origin, reader } = feed
      const remedy = errnoOf(error) === 'ENOSPC' ? '; free disk space and it goes on by itself' : ''
      this.#options.notes.once(`${instance} (rank ${origin.rank}): ${messageOf(error)}; ` +
        `its data waits in ${reader?.path ?? 'its spool'}${remedy}`)
      return false
    }
  }

  #turn(feed: Feed, now: number): boolean {
    const { uplink, deaths } = this.#options
    // Asked before reading: what a dead owner left is read after its death was seen, so nothing can follow
    // it.
    const departure = feed.dead ? settled(feed.departure, deaths.departure(feed.instance, now)) : null
    const offered = uplink.offer(feed, now)
    if (offered === 'none' && departure !== null) {
      const at = wallMs() - deaths.deadFor(feed.instance, now)
      uplink.complete(feed.instance, uplink.core.cursor(feed.instance) - 1, departure, at)
    }
    if (offered === 'full') this.#blocked = true
    if (typeof offered !== 'number') return false
    this.#round.bytes += offered
    return true
  }

  /** False: nothing moved, because all is on disk, the cap is reached or the disk does not take it. */
  #save(feed: Feed, now: number): boolean {
    const { spool, notes } = this.#options
    const bytes = Math.min(SPOOL_PASS_BYTES, spool.room - BATCH_BYTES)
    if (bytes <= 0) {
      notes.once(`the disk spool is at its cap (RANKZERO_SPOOL_CAP, ${spool.cap} bytes); data waits in ` +
        'journals, and what they cannot hold is counted as lost')
      return false
    }
    return this.attempt(feed, () => feed.save(bytes, now), () => { this.#failedAt = now })
  }
}
