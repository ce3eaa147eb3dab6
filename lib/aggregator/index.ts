/**
 * Room aggregator: one process per run, on the head; takes every rank's records once, merges them, holds the
 * session.
 *
 * In: frames of agents. Out: the ledger, acknowledgements, status.json, the meeting file.
 * Invariants: everything it knows derives from ledger entries applied in order, live and on replay alike
 * (core-state.ts); nothing is acknowledged before it is durable (commit.ts); decisions are committed before
 * anything follows from them; the session ends once, with the status that its members prove.
 * It does not start anything, and it does not care whose child it is.
 */
import { hostname } from 'node:os'
import type { Backend } from '../backend/index.ts'
import { localBackend, logPath } from '../backend/local.ts'
import { wallMs } from '../clock.ts'
import { openDiary, type Diary } from '../diary.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { procStart } from '../journal/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { LockDb } from '../ledger/lockdb.ts'
import { OPEN_ROWS_BYTES_MAX, SEAL_INTERVAL_MS, SNAPSHOT_INTERVAL_MS } from '../limits.ts'
import { removeMeeting, writeMeeting, type Holder } from '../lock/index.ts'
import { Session, type SessionNote } from '../session/index.ts'
import { mayDrain } from '../session/core-session.ts'
import { finalStatus } from '../session/core-status.ts'
import { bindRouter, type Router } from '../transport/index.ts'
import { decodeBatch, encodeFrame, type Bodies, type FrameType } from '../wire/index.ts'
import { Committer } from './commit.ts'
import { State } from './core-state.ts'
import { Intake } from './intake.ts'
import { createRun, takeTerm, winRun, type Won } from './open.ts'
import { endFacts, snapshot } from './snapshot.ts'

export interface AggregatorOptions {
  /** Null: a supervisor starts a new run; its meeting id follows from the run id that is minted. */
  meeting: string | null
  /** A run that is to be taken up again (`sync`, `--resume`, a restart). */
  run: string | null
  /** Parent of the run directories, absolute. */
  parent: string
  lockDir: string
  /** Flags and variables; null where init() may still decide. */
  key: string | null
  project: string | null
  name: string | null
  onCollision: 'fail' | 'wait' | 'rename'
  sealAfterMs: number
  joinTimeoutMs: number
  /** Tells the starter how it goes: `{waiting}`, `{ready}` or `{error}`. */
  tell: (line: object) => void
}

/** Exit status of the process: 0, or that of the error that kept it from starting. */
export async function runAggregator(options: AggregatorOptions): Promise<number> {
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const)
    process.on(signal, () => {})
  try {
    const won = winRun(options)
    if (won === null) return 0
    return await new Aggregator(options, won).serve()
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
  private readonly local: Backend
  private readonly openedAt = wallMs()
  private diary: Diary = openDiary('aggregator', null)
  private ledger!: Ledger
  private fence!: LockDb
  private term = 0
  private committer!: Committer
  private intake!: Intake
  private router!: Router
  private fault = ''
  private startedAt = this.openedAt
  private endedAt: number | null = null
  private lastChange = this.openedAt
  private dirty = true
  private opensSeen = 0
  private stop: (status: number) => void = () => {}

  constructor(options: AggregatorOptions, won: Won) {
    const { sealAfterMs, joinTimeoutMs, lockDir, onCollision } = options
    this.options = options
    this.won = won
    this.local = localBackend(won.dir)
    this.state = new State({
      sealAfterMs,
      joinTimeoutMs,
      openRowsBytesMax: OPEN_ROWS_BYTES_MAX,
      decode: decodeBatch,
    })
    if (won.ledger !== null) for (const entry of won.ledger.entries()) this.state.apply(entry)
    const last = 'state' in this.state.session ? (this.state.session as unknown as SessionNote) : null
    this.session = new Session(
      {
        run: won.run,
        dir: won.dir,
        lockDir,
        onCollision,
        project: options.project ?? 'default',
        name: options.name ?? won.run,
        commit: (note) => this.commitSession(note),
        waiting: (holder: Holder) => options.tell({ waiting: holder }),
      },
      last,
    )
  }

  /** Start, serve, end: the whole life on one screen. */
  async serve(): Promise<number> {
    try {
      await this.session.claim(this.options.key)
      if (!this.openDirectory()) return 0
      await this.listen()
      await this.session.start()
      this.announce()
      return await this.untilOver()
    } finally {
      this.close()
    }
  }

  /** False: another aggregator works in this run directory. */
  private openDirectory(): boolean {
    const { won } = this
    this.ledger = won.ledger ?? createRun(won.dir)
    const fence = takeTerm(won.dir, won.meeting)
    if (fence === null) return false
    this.fence = fence.lock
    this.term = fence.term
    this.diary = openDiary('aggregator', logPath(won.dir, 'aggregator'))
    const created = this.ledger.meta()['startedAt']
    if (created === undefined) this.ledger.setMeta('startedAt', String(this.openedAt))
    else this.startedAt = Number(created)
    this.ledger.setMeta('run', won.run)
    this.ledger.setMeta('meeting', won.meeting)
    const applied = (...entry: Parameters<State['apply']>): void => this.applied(...entry)
    this.committer = new Committer(this.ledger, applied, (fault) => this.faulted(fault))
    this.committer.push({ type: 'note', kind: 'term', body: { term: this.term }, at: this.openedAt })
    return true
  }

  private async listen(): Promise<void> {
    const { won, session } = this
    const served = {
      run: won.run,
      dir: won.dir,
      meeting: won.meeting,
      ledger: this.ledger.id,
      term: this.term,
      key: () => session.last.key,
      state: () => session.state,
      open: () => session.state === 'live' || session.state === 'refused',
    }
    this.intake = new Intake(served, this.state, this.committer, this.diary)
    this.router = await bindRouter({
      host: '127.0.0.1',
      port: 0,
      onFrame: (peer, frame) => {
        const route = Buffer.from(peer)
        this.intake.take(
          frame,
          wallMs(),
          <T extends FrameType>(type: T, body: Bodies[T]) =>
            void this.router.send(route, encodeFrame(type, this.term, body)),
        )
      },
    })
  }

  /** From now on agents, `sync` and the supervisor find this run. */
  private announce(): void {
    const { won, session, term } = this
    const endpoint = {
      meeting: won.meeting,
      run: won.run,
      dir: won.dir,
      host: '127.0.0.1',
      hostname: hostname(),
      port: this.router.port,
      pid: process.pid,
      procStart: procStart(process.pid),
      term,
      ledger: this.ledger.id,
      key: session.last.key,
      state: session.state,
    }
    this.local.open(endpoint)
    writeMeeting(this.options.lockDir, endpoint)
    this.paint()
    this.diary(`serves run ${won.run} under term ${term} on port ${endpoint.port}, key '${session.last.key}'`)
    const { project, key } = session.last
    const { run, dir, meeting } = won
    this.options.tell({ ready: { run, dir, meeting, project, key, term, pid: process.pid } })
  }

  private untilOver(): Promise<number> {
    return new Promise((resolve) => {
      const timers = [
        setInterval(() => this.tick(), SEAL_INTERVAL_MS),
        setInterval(() => this.paint(), SNAPSHOT_INTERVAL_MS),
      ]
      this.stop = (status) => {
        timers.forEach(clearInterval)
        resolve(status)
      }
      // TERM asks this process to go, not the run: its successor, or `sync`, goes on from the ledger.
      process.on('SIGTERM', () => {
        this.committer.flush()
        this.stop(0)
      })
    })
  }

  private applied(...entry: Parameters<State['apply']>): void {
    this.state.apply(...entry)
    this.dirty = true
    this.lastChange = wallMs()
  }

  private tick(): void {
    const now = wallMs()
    // Decisions build on what is applied. A ledger that takes nothing gets no decisions either.
    if (this.committer.flush()) for (const note of this.state.decide(now)) this.committer.push(note)
    this.adoptOpens()
    if (this.session.state !== 'draining' && this.over(now)) void this.finish()
  }

  /** What init() asked for: the first instance that names a key decides. */
  private adoptOpens(): void {
    const opens = this.state.members().filter((view) => view.open !== null && view.origin.role === 'worker')
    if (opens.length === this.opensSeen) return
    this.opensSeen = opens.length
    const asked = opens
      .map((view) => view.open as { key?: string; project?: string; name?: string })
      .find(({ key, project, name }) => key !== undefined || project !== undefined || name !== undefined)
    if (asked === undefined) return
    const { key, project, name } = this.options
    void this.session
      .adopt({
        key: key === null ? asked.key : undefined,
        project: project === null ? asked.project : undefined,
        name: name === null ? asked.name : undefined,
      })
      .catch((error) => this.diary(`cannot take the key that init() named: ${messageOf(error)}`))
  }

  private over(now: number): boolean {
    const views = this.state.members()
    const workers = views.filter((view) => view.origin.role === 'worker')
    const supervisors = views.filter((view) => view.origin.role === 'supervisor')
    const live = (list: typeof views): number => list.filter((view) => view.ended === null).length
    return mayDrain({
      now,
      openedAt: this.openedAt,
      worldSize: this.state.worldSize(),
      liveWorkers: live(workers),
      liveSupervisors: live(supervisors),
      supervisors: supervisors.length,
      joinedRanks: new Set(workers.map((view) => view.rank)).size,
      firstJoinAt: views.length === 0 ? null : Math.min(...views.map((view) => view.joinedAt)),
      lastChangeAt: this.lastChange,
      supervised: this.options.meeting === null,
    })
  }

  /** Drains, seals everything, states how it ended. */
  private async finish(): Promise<void> {
    try {
      await this.session.drain()
      await this.sealAll()
      this.endedAt = wallMs()
      await this.session.end(finalStatus(endFacts(this.state)).status)
      this.diary(`ended: ${String(this.session.last.status)}`)
      this.stop(0)
    } catch (error) {
      this.diary(`could not end the session: ${messageOf(error)}; rankzero sync ${this.won.run} will`)
      this.stop(1)
    }
  }

  /** Verdicts on suspects come first, the seals build on them. */
  private async sealAll(): Promise<void> {
    for (let notes = this.state.drain(wallMs()); notes.length > 0; notes = this.state.drain(wallMs())) {
      for (const note of notes) this.committer.push(note)
      await new Promise<void>((resolve) => this.committer.barrier(resolve))
    }
  }

  private commitSession(note: SessionNote): Promise<void> {
    return new Promise((resolve) => {
      this.committer.push({ type: 'note', kind: 'session', body: note, at: wallMs() }, resolve)
    })
  }

  private faulted(fault: string): void {
    this.fault = fault
    this.dirty = true
    this.diary(
      fault === ''
        ? 'the ledger takes entries again'
        : `the ledger takes nothing: ${fault}; agents keep their data`,
    )
  }

  private paint(): void {
    if (!this.dirty) return
    const { run, dir } = this.won
    const picture = snapshot(
      this.state,
      {
        run,
        dir,
        term: this.term,
        startedAt: this.startedAt,
        endedAt: this.endedAt,
        session: this.session.last,
        agents: [...this.intake.agents.values()],
        fault: this.fault,
      },
      wallMs(),
    )
    if (this.local.status(picture)) this.dirty = false
  }

  private close(): void {
    const { won, session } = this
    const ended = session.state === 'ended'
    this.router?.close()
    this.dirty = true
    if (this.intake !== undefined) this.paint()
    session.release()
    if (ended) removeMeeting(this.options.lockDir, won.meeting)
    this.fence?.release()
    this.ledger?.close()
    won.election.release()
  }
}
