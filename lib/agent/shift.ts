/**
 * Agent, one shift: from winning the election to leaving, for one meeting on one node.
 *
 * In: options, TERM. Out: delivered or spooled records; started heads; deleted journals of delivered
 * instances.
 * Invariants: a journal goes only after its END is durable, or all of it is on disk and its owner dead; the
 * order of each round is look, read, send, save, so that what a dead owner left is read after its death was
 * seen.
 */
import { wallMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { pendingDirs, shmDir, type JournalReader } from '../journal/index.ts'
import { BEAT_INTERVAL_MS, DRAIN_BUSY_MS, SCAN_INTERVAL_MS } from '../limits.ts'
import type { InstanceId, Origin } from '../record/index.ts'
import type { Welcome } from '../wire/index.ts'
import { Adopter } from './adopt.ts'
import { mayLeave } from './core-leave.ts'
import { Deaths, settled } from './deaths.ts'
import { Drain } from './drain.ts'
import { Feed } from './feed.ts'
import { HeadKeeper, type HeadStart } from './head.ts'
import { Notes } from './notes.ts'
import { Scanner } from './scan.ts'
import { Seeker } from './seek.ts'
import { Spool } from './spool.ts'
import { SystemMetrics } from './system.ts'
import { Uplink } from './uplink.ts'

export interface AgentOptions {
  meeting: string
  /** Known under a supervisor; else the aggregator says it. */
  run: string | null
  /** Parent of the run directories, absolute. */
  dir: string
  env: NodeJS.ProcessEnv
  lockDir: string
  spoolCap: number
  overflowCap: number
  exitTimeoutMs: number
  /** System metrics are sampled this often; 0: never. */
  systemMetricsMs: number
  /** Host name: whose journals and spools these are. */
  node: string
  /** Takes the spools of other nodes too, where they share a directory: for a run that has no agents left. */
  everyNode: boolean
  /** Setting: path of the run secret. */
  secretFile: string | null
  /** Starts an aggregator of this meeting; a loser of its election exits. */
  startHead(how: HeadStart): void
}

export class Shift {
  readonly #options: AgentOptions
  readonly #notes = new Notes()
  readonly #feeds = new Map<InstanceId, Feed>()
  readonly #deaths = new Deaths()
  readonly #scanner: Scanner
  readonly #spool: Spool
  readonly #uplink: Uplink
  readonly #drain: Drain
  readonly #head: HeadKeeper
  readonly #system: SystemMetrics
  readonly #seeker: Seeker
  readonly #now: () => number
  /** Known under a supervisor, else from the head that welcomed us last. */
  #run: string | null
  #lookAt = -Infinity
  #beatAt = -Infinity
  #emptySince: number | null = null
  #orphanedSince: number | null = null
  #progressAt: number
  #termAt: number | null = null

  constructor(options: AgentOptions, now: () => number) {
    const { meeting, run, dir, env, lockDir, node, secretFile, spoolCap, overflowCap } = options
    const { systemMetricsMs } = options
    const feeds = this.#feeds
    const notes = this.#notes
    this.#options = options
    this.#now = now
    this.#run = run
    this.#progressAt = now()
    this.#scanner = new Scanner({ directories: [shmDir(env), ...pendingDirs(dir)], meeting, notes })
    this.#spool = new Spool({ directories: pendingDirs(dir), meeting, capBytes: spoolCap, notes })
    this.#system = new SystemMetrics({
      meeting, dir, node, env, intervalMs: systemMetricsMs, notes, spool: this.#spool,
    })
    this.#seeker = new Seeker({ meeting, dir, lockDir, node, secretFile, notes })
    this.#uplink = new Uplink({
      meeting, run, seeker: this.#seeker, feeds, notes,
      welcomed: (body) => this.#welcomed(body),
      done: (feed) => this.#remove(feed),
      freed: () => this.#drain.resume(this.#now()),
    })
    const adopter = new Adopter({ meeting, dir, node })
    this.#head = new HeadKeeper(this.#uplink, this.#seeker, adopter, notes, options.startHead)
    this.#drain = new Drain({
      feeds, uplink: this.#uplink, deaths: this.#deaths, spool: this.#spool, notes, overflowCap,
    })
  }

  /** Works until there is nothing left to do here. */
  async work(): Promise<void> {
    const shelves = this.#spool.recover(this.#options.everyNode ? null : this.#options.node)
    // Journals first: only what has none is left to its spool alone.
    this.#look(this.#now())
    for (const { origin } of shelves) if (!this.#feeds.has(origin.instance)) this.#adopt(origin, null)
    await new Promise<void>((resolve, reject) => {
      const round = (): void => {
        try {
          if (this.#round(this.#now()) === 'stay') setTimeout(round, this.#pause())
          else resolve()
        } catch (error) {
          reject(error)
        }
      }
      round()
    })
    this.#close()
  }

  /** TERM: to disk first, then to the network as long as there is time. */
  term(): void {
    if (this.#termAt !== null) return
    this.#notes.say('drains on SIGTERM')
    this.#termAt = this.#now()
    this.#look(this.#termAt)
    for (const feed of this.#feeds.values()) feed.stopHere()
    this.#drain.saveAll(this.#termAt)
  }

  /** Whether a journal came while the lock was being given back. */
  somethingNew(): boolean {
    const fresh = this.#termAt === null ? this.#scanner.look() : []
    for (const reader of fresh) reader.close()
    return fresh.length > 0
  }

  #pause(): number {
    const leaving = [...this.#feeds.values()].some((feed) => (feed.dead || feed.departure !== null)
      && this.#uplink.core.stateOf(feed.instance) !== 'refused')
    if (this.#termAt !== null || (leaving && this.#uplink.core.live)) return DRAIN_BUSY_MS
    return this.#drain.pauseMs()
  }

  #round(now: number): 'stay' | 'done' | 'left' {
    if (now - this.#lookAt >= SCAN_INTERVAL_MS) this.#look(now)
    else this.#uplink.tick(now)
    // Whoever wrote its end record is about to go; a run's end waits for this.
    for (const feed of this.#feeds.values()) if (feed.departure !== null) this.#checkDeath(feed, now)
    if (now - this.#beatAt >= BEAT_INTERVAL_MS) this.#beat(now)
    this.#sample(now)
    // Who was told to go with us may still write, and we may be killed at any moment.
    if (this.#termAt !== null) this.#drain.saveAll(now)
    this.#drain.pump(now)
    this.#drain.relieve(now)
    const verdict = this.#verdict(now)
    if (verdict !== 'stay') this.#leave(now)
    return verdict
  }

  #look(now: number): void {
    this.#lookAt = now
    for (const reader of this.#scanner.look()) this.#adopt(reader.origin, reader)
    for (const feed of this.#feeds.values()) this.#checkDeath(feed, now)
    this.#uplink.seek(now)
    this.#uplink.tick(now)
    const { core } = this.#uplink
    const wanted = this.#owned().filter((feed) =>
      core.stateOf(feed.instance) !== 'refused' && !this.#isOfOtherRun(feed))
    // What a run has taken in part is that run's to the end, also when its head has left meanwhile.
    const run = wanted.find(({ origin }) => origin.run !== null)?.origin.run ?? null
    this.#head.look(now, wanted.length > 0 && this.#termAt === null, run)
  }

  #adopt(origin: Origin, reader: JournalReader | null): void {
    const now = this.#now()
    // An older life of the rank that just died must be known as dead before the younger is announced.
    for (const feed of this.#feeds.values()) this.#checkDeath(feed, now)
    const run = reader?.runId() ?? origin.run
    const named = { ...origin, run }
    const feed = new Feed(named, reader, this.#spool.shelf(named), now, origin.node !== this.#options.node)
    this.#feeds.set(feed.instance, feed)
    this.#deaths.watch(origin)
    this.#head.seen(origin)
    this.#system.seen(origin, now)
    this.#seeker.learn(origin)
    feed.dead = this.#drain.attempt(feed, () => this.#deaths.dead(feed, now))
    this.#beatInto(feed)
    this.#uplink.found(feed, feed.dead)
  }

  #checkDeath(feed: Feed, now: number): void {
    if (feed.dead || !this.#drain.attempt(feed, () => this.#deaths.dead(feed, now))) return
    feed.dead = true
    this.#uplink.dead(feed.instance)
  }

  #beat(now: number): void {
    this.#beatAt = now
    for (const feed of this.#feeds.values()) this.#beatInto(feed)
  }

  #beatInto(feed: Feed): void {
    this.#drain.attempt(feed, () => {
      feed.reader?.beat(wallMs())
      return true
    })
  }

  #welcomed(welcome: Welcome): void {
    const { run, dir, ledger, term, instances } = welcome
    const ofOwners = new Set(this.#owned().map(({ instance }) => instance))
    if (instances.some(({ instance, accepted }) => accepted && ofOwners.has(instance))) {
      this.#retire(this.#system.welcomed(welcome))
    }
    this.#run = run
    this.#notes.moveTo(dir)
    this.#notes.say(`serves run ${run} in ${dir}, ledger ${ledger}, term ${term}`)
    // Whom this run does not take belongs to another one of the same meeting, to come or gone.
    for (const { instance, accepted } of instances) if (accepted) this.#feeds.get(instance)?.joined(run)
  }

  #verdict(now: number): 'stay' | 'done' | 'left' {
    const feeds = this.#owned()
    const { core } = this.#uplink
    this.#emptySince = feeds.length > 0 ? null : this.#emptySince ?? now
    this.#orphanedSince = feeds.every((feed) => feed.dead) ? this.#orphanedSince ?? now : null
    this.#progressAt = Math.max(this.#progressAt, ...feeds.map((feed) => feed.progressAt))
    return mayLeave({
      now, open: feeds.length, emptySince: this.#emptySince, orphanedSince: this.#orphanedSince,
      refused: core.refused || feeds.every((feed) =>
        core.stateOf(feed.instance) === 'refused' || this.#isOfOtherRun(feed)),
      progressAt: this.#progressAt, termAt: this.#termAt,
      headSeenAt: () => this.#head.seenAt(now),
      delivered: () => feeds.every((feed) => feed.delivered && !feed.dead),
      exitTimeoutMs: this.#options.exitTimeoutMs,
    })
  }

  /** Left by an earlier run of this meeting: the head of ours refuses it, also when it comes back. */
  #isOfOtherRun({ origin: { run } }: Feed): boolean {
    return run !== null && this.#run !== null && run !== this.#run
  }

  /** All but our own instance, which keeps nobody here. */
  #owned(): Feed[] {
    return [...this.#feeds.values()].filter(({ origin }) => origin.role !== 'agent')
  }

  #sample(now: number): void {
    const owned = this.#owned()
    const fresh = owned.length === 0 ? null : this.#system.tick(owned, now)
    if (fresh !== null) {
      this.#feeds.set(fresh.instance, fresh)
      this.#uplink.found(fresh, false)
    }
    if (owned.length === 0) this.#retire(this.#system.end())
  }

  #retire(own: InstanceId | null): void {
    if (own !== null) this.#uplink.dead(own)
  }

  /** What is not delivered stays on disk, where the next agent or `sync` finds it. */
  #leave(now: number): void {
    const feeds = this.#owned()
    if (feeds.length === 0) return
    this.#drain.saveAll(now)
    for (const feed of feeds) this.#putAway(feed)
  }

  #putAway(feed: Feed): void {
    const { reader, shelf, instance, origin } = feed
    const what = `${instance} (rank ${origin.rank})`
    if (!feed.dead) return
    try {
      if (!feed.safe) throw new Error('the disk spool did not take all of it')
      const departure = settled(feed.departure, this.#deaths.departure(instance, Infinity))
      // Of another node it is not known that nothing follows.
      if (!feed.isForeign) shelf.append([], feed.facts(departure, wallMs()))
      reader?.remove()
      this.#notes.say(`leaves ${what} in the spool; \`rankzero sync\` delivers it`)
    } catch (error) {
      const where = reader?.path ?? 'the spool'
      this.#notes.say(`leaves ${what} in ${where}: ${messageOf(error)}; \`rankzero sync\` delivers it`)
    }
  }

  /** Delivered to the last record. */
  #remove(feed: Feed): void {
    feed.reader?.remove()
    feed.reader?.close()
    feed.shelf.remove(feed.isForeign)
    this.#deaths.forget(feed.instance)
    this.#feeds.delete(feed.instance)
  }

  #close(): void {
    this.#system.close()
    this.#uplink.close()
    this.#seeker.close()
    for (const feed of this.#feeds.values()) {
      feed.reader?.close()
      feed.shelf.close()
      this.#deaths.forget(feed.instance)
    }
    this.#feeds.clear()
  }
}
