/**
 * Room aggregator: one process per run, on the head; takes every rank's records once, merges them, holds the
 * session.
 *
 * In: frames of agents. Out: the ledger, acknowledgements, status.json, the meeting file.
 * Invariants: everything it knows derives from ledger entries applied in order, live and on replay alike
 * (core-state.ts); nothing is acknowledged before it is durable (commit.ts); decisions are committed before
 * anything follows from them; the session ends once, with the status that its members prove.
 * It does not start anything, and it does not care whose child it is. A higher term in its ledger is another
 * process's: then it leaves and writes nothing more (lib/agent/FAILOVER.md).
 */
import { hostname } from 'node:os'
import { choose, openBackends, readChosen, writeChosen, type Backend } from '../backend/index.ts'
import { localBackend, logPath } from '../backend/local.ts'
import type { Keys } from '../config/keys.ts'
import { atMost, forwardClock, Pulse } from '../clock.ts'
import { openDiary, type Diary } from '../diary.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { procStart } from '../journal/index.ts'
import type { Ledger } from '../ledger/index.ts'
import {
  HEALTH_INTERVAL_MS, OPEN_ROWS_BYTES_MAX, SNAPSHOT_INTERVAL_MS, SNAPSHOT_PART_MAX, TICK_IDLE_MS,
  TICK_REST_MS,
} from '../limits.ts'
import { removeMeeting, removeShared, writeMeeting } from '../lock/index.ts'
import { GOOD_HEALTH, type Endpoint, type HealthStatus, type RunStatus } from '../record/run-status.ts'
import { Session, type SessionNote } from '../session/index.ts'
import { mayDrain } from '../session/core-session.ts'
import { finalStatus } from '../session/core-status.ts'
import { decodeBatch, encodeFrame, type Bodies, type FrameType } from '../wire/index.ts'
import { replay } from './aside.ts'
import { Committer } from './commit.ts'
import { askedByInit, drainFacts, endFacts, headNames, unsaid } from './core-facts.ts'
import { lostMembers, silentMembers } from './core-lost.ts'
import { State } from './core-state.ts'
import type { NoteDraft } from './core-types.ts'
import { Wake } from './core-wake.ts'
import { Herald } from './herald.ts'
import { Intake } from './intake.ts'
import { listen, showToOthers, type Ears } from './listen.ts'
import { Outboxes } from './outboxes.ts'
import { createRun, isFenced, keysFor, takeFence, winRun, type Fence, type Won } from './open.ts'
import type { AggregatorOptions } from './options.ts'
import { snapshot } from './snapshot.ts'

export type { AggregatorOptions } from './options.ts'

/** Deaf to what a terminal or a launcher sends to everybody: the session is closed by its members' ends. */
const DEAF = ['SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const

/** Exit status of the process: 0, or that of the error that kept it from starting. */
export async function runAggregator(options: AggregatorOptions): Promise<number> {
  for (const signal of DEAF) process.on(signal, () => {})
  try {
    const won = winRun(options)
    if (won === null) options.tell({ taken: true })
    return won === null ? 0 : await new Aggregator(options, won, await keysFor(options, won)).serve()
  } catch (error) {
    const known = error instanceof RankzeroError ? error : null
    const { code, remedy, detail, exit } = known ?? { code: 'INTERNAL', remedy: '', detail: {}, exit: 1 }
    options.tell({ error: { code, message: messageOf(error), remedy, detail } })
    return exit
  }
}

class Aggregator {
  private readonly options: AggregatorOptions
  private readonly won: Won
  private readonly state: State
  private readonly session: Session
  /** Not before what the ledger has: a clock that was set back must not stretch the waits of a run. */
  private readonly clock: () => number
  private readonly openedAt: number
  private diary: Diary = openDiary('aggregator', null)
  private ledger!: Ledger
  private fence!: Fence
  private committer!: Committer
  private readonly backends: readonly Backend[]
  /** … but `local`, as the ledger keeps them. */
  private readonly chosen: string
  private outboxes!: Outboxes
  private intake!: Intake
  private ears!: Ears
  private fault = ''
  private startedAt: number
  private endedAt: number | null = null
  private lastChange: number
  private dirty = true
  private health: HealthStatus = GOOD_HEALTH
  private healthAt = -Infinity
  private opensSeen = 0
  /** What init() asked for is being taken. */
  private adopting = false
  private denied = 0
  private wide = false
  private readonly wake: Wake
  private pulse: Pulse | null = null
  private readonly herald: Herald
  /** Another process holds the run: nothing more may be written here, not even the picture. */
  private fenced = false
  private stop: (status: number) => void = () => {}
  private readonly over = new Promise<number>((resolve) => { this.stop = resolve })

  constructor(options: AggregatorOptions, won: Won, keys: Keys) {
    const { sealAfterMs, joinTimeoutMs, lockDir, onCollision, backends, settings, usual, debug } = options
    const { run, dir } = won
    this.options = options
    const others = choose(readChosen(won.ledger?.meta() ?? {}), backends, { run, dir, settings })
    this.chosen = writeChosen(others)
    this.backends = [localBackend(dir), ...openBackends(others, { dir, keys, debug })]
    const openRowsBytesMax = OPEN_ROWS_BYTES_MAX
    const amends = this.backends.some(({ rows }) => rows !== null)
    let state!: State
    let latest = 0
    this.won = { ...won, ...replay(won, () => {
      latest = 0
      state = new State({ sealAfterMs, joinTimeoutMs, openRowsBytesMax, decode: decodeBatch, amends })
      return (entry) => {
        state.apply(entry)
        latest = Math.max(latest, entry.at)
      }
    }) }
    this.state = state
    this.clock = forwardClock(latest)
    this.openedAt = this.startedAt = this.lastChange = this.clock()
    this.wake = new Wake(this.openedAt)
    const last = 'state' in this.state.session ? this.state.session as unknown as SessionNote : null
    this.session = new Session({
      run, dir, lockDir, onCollision, project: options.project ?? usual.project ?? 'default',
      name: options.name ?? usual.name ?? run,
      domains: this.backends.flatMap(({ domain }) => domain ?? []),
      commit: (body) => new Promise((resolve) =>
        this.committer.push({ type: 'note', kind: 'session', body, at: this.clock() }, resolve)),
      waiting: (holder) => options.tell({ waiting: holder }),
    }, last)
    this.herald = new Herald({
      state: this.state, closing: options.closing, clock: this.clock, barrier: () => this.committer.settled(),
      isHeard: this.backends.some(({ events }) => events !== undefined),
      commit: (body) => this.committer.push({ type: 'note', kind: 'event', body, at: body.at }),
    })
  }

  /** Start, serve, end: the whole life on one screen. */
  async serve(): Promise<number> {
    try {
      return await Promise.race([this.life(), this.over])
    } finally {
      this.close()
    }
  }

  private async life(): Promise<number> {
    const { adopt, key, usual, tell } = this.options
    const isOver = adopt && this.session.state === 'ended'
    if (!isOver) await this.session.claim(key ?? usual.key)
    if (isOver || !this.openDirectory()) {
      tell({ taken: true })
      return 0
    }
    await this.listen()
    await this.session.start()
    this.announce()
    return this.untilOver()
  }

  /** False: another aggregator works in this run directory. */
  private openDirectory(): boolean {
    const { run, dir, meeting, ledger, aside } = this.won
    this.ledger = ledger ?? createRun(this.won, this.options.lockDir)
    const fence = takeFence(this.won, this.ledger)
    if (fence === null) return false
    this.fence = fence
    this.diary = openDiary('aggregator', logPath(dir, 'aggregator'))
    this.options.remarks.forEach(this.diary)
    process.on('uncaughtExceptionMonitor', (error) => this.diary(`dies of ${error.stack ?? error.message}`))
    this.startedAt = Number(this.ledger.meta()['startedAt'] ?? this.openedAt)
    // Whoever starts a successor need not know that ranks of other nodes are there.
    this.wide = this.options.wide || this.ledger.meta()['wide'] === 'true'
    const meta = { run, meeting, startedAt: this.startedAt, wide: this.wide, backends: this.chosen }
    for (const [key, value] of Object.entries(meta)) this.ledger.setMeta(key, String(value))
    const applied = (...entry: Parameters<State['apply']>): void => this.applied(...entry)
    this.committer = new Committer(
      this.ledger, applied, (fault) => this.faulted(fault), (why) => this.leave(why))
    this.outboxes = new Outboxes(this.backends, {
      ledger: this.ledger, state: this.state, report: (line) => this.diary(line),
      closing: this.options.closing, barrier: () => this.committer.settled(), paint: () => this.paint(true),
      commit: (body, done) =>
        this.committer.push({ type: 'note', kind: 'outbox', body, at: this.clock() }, done),
    })
    if (aside !== null) {
      this.diary(`the ledger could not be read and is now ${aside.file}: ${aside.why}; a new one begins`)
      this.committer.push({ type: 'note', kind: 'aside', body: aside, at: this.openedAt })
    }
    const body = { term: fence.term, host: hostname() }
    this.committer.push({ type: 'note', kind: 'term', body, at: this.openedAt })
    return true
  }

  private async listen(): Promise<void> {
    const { session, won: { run, dir, meeting }, fence: { term } } = this
    this.intake = new Intake({
      run, dir, meeting, term, ledger: this.ledger.id, startedAt: this.startedAt,
      key: () => session.last.key, state: () => session.state,
      open: () => session.state === 'live' || session.state === 'refused',
    }, this.state, this.committer, this.diary)
    const { options: { lockDir, secretFile }, wide, diary } = this
    this.ears = await listen({
      meeting, term, dir, lockDir, wide, secretFile, diary, hosts: () => headNames(this.state),
      onFrame: (frame, reply) =>
        this.intake.take(frame, this.clock(), <T extends FrameType>(type: T, body: Bodies[T]) =>
          reply(encodeFrame(type, term, body))),
    })
  }

  /** From now on agents, `sync` and the supervisor find this run. */
  private announce(): void {
    const { won: { run, dir, meeting }, session: { last, state }, fence: { term }, ears: { port } } = this
    const wide = this.ears.wide()
    const { pid } = process
    const endpoint: Endpoint = {
      meeting, run, dir, host: '127.0.0.1', hostname: hostname(), port, pid, procStart: procStart(pid), term,
      ledger: this.ledger.id, key: last.key, state, ...wide === null ? {} : { wide },
    }
    for (const backend of this.backends) backend.announce(endpoint)
    writeMeeting(this.options.lockDir, endpoint)
    if (wide !== null) showToOthers(this.options.parent, endpoint, this.diary)
    this.paint()
    this.diary(`serves run ${run} under term ${term} on port ${port}, key '${last.key}'`)
    const { project, key } = last
    const secretFile = wide?.secretFile ?? null
    const aside = this.won.aside?.file ?? null
    this.options.tell({ ready: { run, dir, meeting, project, key, term, pid, secretFile, aside } })
  }

  private untilOver(): Promise<number> {
    const paint = atMost(SNAPSHOT_INTERVAL_MS, SNAPSHOT_PART_MAX, () => this.paint())
    this.pulse = new Pulse(TICK_REST_MS, TICK_IDLE_MS, () => this.tick(paint))
    // TERM asks this process to go, not the run: its successor, or `sync`, goes on from the ledger.
    process.on('SIGTERM', () => {
      this.committer.flush()
      this.stop(0)
    })
    return this.over.finally(() => this.pulse?.stop())
  }

  /** We were stopped or cut off until our lock was lost; the run goes on elsewhere. */
  private leave(why: string): void {
    if (this.fenced) return
    this.fenced = true
    this.diary(`leaves the run: ${why}`)
    this.stop(1)
  }

  private applied(...entry: Parameters<State['apply']>): void {
    this.state.apply(...entry)
    this.dirty = true
    const kind = entry[0].type === 'note' ? entry[0].kind : null
    if (kind !== 'seal') this.pulse?.kick()
    // The end of a run does not wait for what agents say of nodes, nor for backends, which have a bound.
    if (kind !== 'outbox' && !this.state.isOfAgent(entry[0])) this.lastChange = this.clock()
  }

  private tick(paint: () => void): void {
    const now = this.clock()
    this.countDenied()
    const silentBefore = this.wake.silentBefore(now)
    // Decisions build on what is applied. A ledger that takes nothing gets no decisions either, nor an end.
    let isWhole = this.committer.flush()
    if (isWhole) {
      const lost = { now, since: this.wake.since, host: hostname(), closing: this.options.closing }
      for (const note of this.state.decide(now)) this.committer.push(note)
      for (const note of lostMembers(this.state, lost)) this.committer.push(note)
      isWhole = this.committer.flush()
    }
    this.adoptAsked()
    if (this.mayDeliver()) this.outboxes.tick()
    const facts = isWhole && this.session.state !== 'draining' ? drainFacts(this.state, silentBefore) : null
    if (facts !== null && mayDrain({
      ...facts, now, openedAt: this.openedAt, lastChangeAt: this.lastChange,
      supervised: this.options.meeting === null, wide: this.wide, closing: this.options.closing,
      helloAt: Math.max(this.options.alone ? this.openedAt : -Infinity, this.intake.helloAt),
    })) void this.finish()
    paint()
  }

  /** What another run holds the key of stays here, and so does all until the key is final. */
  private mayDeliver(): boolean {
    const { state, reason } = this.session.last
    if (reason !== null || this.adopting) return false
    return state === 'draining' || (state === 'live' && (this.options.key !== null || this.opensSeen > 0))
  }

  /** Here and at the signposts of this job. */
  private countDenied(): void {
    const denied = this.ears.denied + this.intake.denied
    if (denied <= this.denied) return
    if (this.denied === 0) {
      this.diary('a connection was closed that did not prove the run secret; status counts them')
    }
    this.denied = denied
    this.dirty = true
  }

  /** Flags and variables come before what init() asked for. */
  private adoptAsked(): void {
    const { seen, asked } = askedByInit(this.state)
    if (seen === this.opensSeen) return
    ;[this.opensSeen, this.dirty] = [seen, true]
    if (asked === null) return
    this.adopting = true
    this.session.adopt(unsaid(asked, this.options))
      .catch((error) => this.diary(`cannot take the key that init() named: ${messageOf(error)}`))
      .finally(() => {
        this.adopting = false
        this.paint(true)
      })
  }

  /** Drains, seals everything, states how it ended. */
  private async finish(): Promise<void> {
    try {
      await this.session.drain()
      await this.sealAll()
      this.endedAt = this.clock()
      const { status } = finalStatus(endFacts(this.state))
      const picture = this.paint(true)
      if (this.mayDeliver() && picture !== null) {
        await this.herald.end(picture, status)
        await this.outboxes.finish(status, this.options.endMs)
      }
      await this.session.end(status)
      this.diary(`ended: ${this.session.last.status}`)
      this.stop(0)
    } catch (error) {
      this.diary(`could not end the session: ${messageOf(error)}; rankzero sync ${this.won.run} will`)
      this.stop(1)
    }
  }

  /** Ends and verdicts on suspects come first, the seals build on them. */
  private async sealAll(): Promise<void> {
    const due = (now: number): NoteDraft[] => [...silentMembers(this.state, now), ...this.state.drain(now)]
    for (let notes = due(this.clock()); notes.length > 0; notes = due(this.clock())) {
      for (const note of notes) this.committer.push(note)
      await this.committer.settled()
    }
  }

  private faulted(fault: string): void {
    this.fault = fault
    this.dirty = true
    this.diary(fault === '' ? 'the ledger takes entries again'
      : `the ledger takes nothing: ${fault}; agents keep their data`)
  }

  /** `now`: backends know of key, params and failures from the picture, and are about to be asked. */
  private paint(now = false): RunStatus | null {
    this.examine()
    if (!this.dirty && !now) return null
    if (isFenced(this.ledger, this.fence)) {
      this.leave('its ledger has a higher term')
      return null
    }
    const { won: { run, dir }, fence: { term }, startedAt, endedAt, fault, health, denied } = this
    const [agents, outboxes] = [[...this.intake.agents.values()], this.outboxes.views()]
    const facts = { run, dir, term, startedAt, endedAt, fault, health, denied, agents, outboxes }
    const picture = snapshot(this.state, { ...facts, session: this.session.last }, this.clock())
    this.dirty = this.backends.filter((backend) => !backend.status(picture)).length > 0
    if (this.session.state === 'live' && this.mayDeliver()) this.herald.look(picture)
    return picture
  }

  /** Lag and trouble also come of time passing while nothing arrives: the picture is painted anew then. */
  private examine(): void {
    const now = this.clock()
    if (now - this.healthAt < HEALTH_INTERVAL_MS && this.session.state !== 'ended') return
    this.healthAt = now
    const before = this.health
    this.health = this.state.health(now)
    const { lag, missing } = this.health
    if (lag !== null || missing !== before.missing || this.outboxes.isBehind) this.dirty = true
  }

  private close(): void {
    const ended = this.session.state === 'ended'
    this.ears?.close()
    this.outboxes?.close()
    // Names of locks and files are the other holder's by now; ours go with the process.
    if (this.fenced) return
    if (this.intake !== undefined) this.paint(true)
    this.session.release()
    if (ended) {
      removeMeeting(this.options.lockDir, this.won.meeting)
      if (this.wide) removeShared(this.options.parent, this.won.meeting)
    }
    this.fence?.release()
    this.ledger?.close()
    this.won.election.release()
  }
}
