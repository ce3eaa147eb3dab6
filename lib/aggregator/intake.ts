import { messageOf, RankzeroError } from '../errors.ts'
import { CLOCK_UNKNOWN_MS, CREDIT_BYTES } from '../limits.ts'
import {
  decodeBatch,
  decodeFrame,
  type Bodies,
  type End,
  type Frame,
  type FrameType,
  type Hello,
  type Skip,
} from '../wire/index.ts'
import type { Origin } from '../record/index.ts'
import { admit } from './core-admit.ts'
import { isNextJob } from './core-facts.ts'
import type { State } from './core-state.ts'
import { isOver, type Member } from './core-model.ts'
import type { Committer } from './commit.ts'

/** What the intake needs to know of the run it serves. */
export interface Served {
  run: string
  /** Run directory. */
  dir: string
  meeting: string
  ledger: string
  term: number
  /** ms since the epoch. */
  startedAt: number
  key: () => string
  /**
   * False once the session drains: nothing new is taken then, as how the run ended is being told. Who knows
   * more keeps it; the next head of the run, which `sync` starts, takes it.
   */
  open: () => boolean
  /** For the beat: the session's state. */
  state: () => string
}

/** An agent, as its last HELLO named it. */
export interface Agent {
  host: string
  pid: number
  /** Our clock less its own (ms), null before it knows. */
  offsetMs: number | null
  /** Connections to its signpost without the run secret. */
  denied: number
  /** When it said so. */
  helloAt: number
}

export type Reply = <T extends FrameType>(type: T, body: Bodies[T]) => void

/**
 * Frames in, drafts to the committer and replies out. Answers only after the commit: an ACK means durable.
 *
 * `reserved` runs ahead of the state by what is queued for the next commit, so that a batch and its successor
 * may share one transaction. It never runs behind.
 */
export class Intake {
  private readonly served: Served
  private readonly state: State
  private readonly committer: Committer
  private readonly report: (line: string) => void
  private readonly reserved = new Map<string, number>()
  private readonly ending = new Set<string>()
  readonly agents = new Map<string, Agent>()
  /** Batches and skips that were durable already. */
  duplicates = 0
  /** Frames that no peer of ours would send. */
  malformed = 0

  constructor(served: Served, state: State, committer: Committer, report: (line: string) => void) {
    this.served = served
    this.state = state
    this.committer = committer
    this.report = report
  }

  /** Connections that agents' signposts refused. */
  get denied(): number {
    let denied = 0
    for (const agent of this.agents.values()) denied += agent.denied
    return denied
  }

  /** When an agent last introduced itself; -Infinity: none did. */
  get helloAt(): number {
    return Math.max(-Infinity, ...[...this.agents.values()].map(({ helloAt }) => helloAt))
  }

  /** Never throws: a frame that cannot be read is counted, answered with REFUSE and dropped. */
  take(bytes: Uint8Array, now: number, reply: Reply): void {
    let frame: Frame
    try {
      frame = decodeFrame(bytes)
      this.dispatch(frame, now, reply)
    } catch (error) {
      if (++this.malformed === 1) this.report(`dropped a frame: ${messageOf(error)}`)
      const known = error instanceof RankzeroError ? error : null
      reply('REFUSE', {
        code: known?.code ?? 'DAMAGED',
        message: messageOf(error),
        remedy: known?.remedy ?? '',
      })
    }
  }

  private dispatch(frame: Frame, now: number, reply: Reply): void {
    if (frame.type === 'HELLO') return this.hello(frame.body, now, reply)
    if (frame.term !== this.served.term) {
      const message = `term ${frame.term} is not this holder's term ${this.served.term}`
      return reply('REFUSE', { code: 'PROTOCOL', message, remedy: 'say HELLO again' })
    }
    if (frame.type === 'BATCH') this.batch(frame.body, now, reply)
    else if (frame.type === 'SKIP') this.skip(frame.body, now, reply)
    else if (frame.type === 'END') this.end(frame.body, now, reply)
    else if (frame.type === 'BEAT' && 'instances' in frame.body) {
      const { instances, agent, offset, denied, sentAt } = frame.body
      this.state.heard(instances, now, sentAt)
      const known = this.agents.get(agent ?? '')
      if (known !== undefined) {
        known.offsetMs = offset ?? known.offsetMs
        known.denied = denied ?? known.denied
      }
      reply('BEAT', { sentAt, now, state: this.served.state() })
    }
  }

  private hello(hello: Hello, now: number, reply: Reply): void {
    const { served } = this
    if (hello.meeting !== served.meeting) {
      const message = `meeting ${hello.meeting} is not that of run ${served.run}`
      return reply('REFUSE', {
        code: 'PROTOCOL',
        message,
        remedy: 'start the agent with the meeting id of its run',
      })
    }
    // Only a question: what our clock says, or whether we are the head.
    if (hello.instances.length === 0) return this.welcome(hello, now, new Map(), reply)
    const { agent, host, pid, offset, blur } = hello
    const known = this.agents.get(agent)
    const { denied = 0 } = known ?? {}
    this.agents.set(agent, { host, pid, offsetMs: offset ?? null, denied, helloAt: now })
    const refused = new Map<string, string>()
    for (const { origin, first, ledger, layouts } of hello.instances) {
      const why = this.whyNot(origin)
      if (why !== null) {
        refused.set(origin.instance, why)
        continue
      }
      // Of another node's spool: what the agent knows is its own clock.
      const clock = origin.node === host ? { offset, blur } : { blur: CLOCK_UNKNOWN_MS }
      const known = { ledgerBefore: ledger, ...clock, layouts }
      for (const note of this.state.join(origin, first, now, known)) this.committer.push(note)
    }
    this.committer.barrier(() => this.welcome(hello, now, refused, reply))
  }

  private welcome(hello: Hello, now: number, refused: ReadonlyMap<string, string>, reply: Reply): void {
    const { served } = this
    reply('WELCOME', {
      run: served.run,
      ledger: served.ledger,
      term: served.term,
      key: served.key(),
      dir: served.dir,
      sentAt: hello.sentAt,
      now,
      startedAt: served.startedAt,
      credit: CREDIT_BYTES,
      instances: hello.instances.map(({ origin: { instance } }) =>
        this.state.member(instance) !== null && !refused.has(instance)
          ? { instance, acked: this.state.acked(instance), accepted: true }
          : { instance, acked: 0, accepted: false, why: refused.get(instance) ?? 'no reason is known' },
      ),
    })
  }

  /** Why an instance is not of this run; null when it is, or may be. */
  private whyNot(origin: Origin): string | null {
    const { state, served: { run, open, state: phase } } = this
    // Also one that was to be ours, and went to another head meanwhile: what that one has is no longer there.
    if (origin.run !== null && origin.run !== run) return `it is of run ${origin.run}, not ${run}`
    const known = state.roster.get(origin.instance)
    // Of whom all is here may ask for its last answer again.
    const mayCome = known === undefined ? open() : isOver(known) || this.takes(known)
    if (!mayCome) return `run ${run} is ${phase()}`
    if (known !== undefined) return null
    return isNextJob(state, origin) ? `it is of the job after that of run ${run}` : null
  }

  private batch(blob: Uint8Array, now: number, reply: Reply): void {
    // Copied: the frame's buffer belongs to the socket once this call returns. Decoded before it is stored: a
    // blob that replay could not read must never become durable.
    const data = Uint8Array.prototype.slice.call(blob)
    const decoded = decodeBatch(data)
    const { instance, firstSeq, lastSeq } = decoded
    if (!this.place(instance, firstSeq, lastSeq, reply)) return
    this.committer.push(
      { type: 'batch', instance, firstSeq, lastSeq, data, at: now },
      () => reply('ACK', { instance, seq: this.state.acked(instance) }),
      decoded,
    )
  }

  private skip(skip: Skip, now: number, reply: Reply): void {
    if (!this.place(skip.instance, skip.from, skip.to, reply)) return
    this.committer.push({ type: 'note', kind: 'skip', body: skip, at: now }, () =>
      reply('ACK', { instance: skip.instance, seq: this.state.acked(skip.instance) }),
    )
  }

  private end(end: End, now: number, reply: Reply): void {
    const { instance } = end
    const known = this.state.roster.get(instance)
    if (known === undefined) return
    const done = (): void => reply('ACK', { instance, seq: this.state.acked(instance), ended: true })
    const isBetter = known.ended?.estimated === true && end.estimated !== true
    if ((this.ending.has(instance) || isOver(known)) && !isBetter) return this.committer.barrier(done)
    if (!this.takes(known)) return
    if (end.seq > this.cursor(instance)) return reply('ACK', { instance, seq: this.state.acked(instance) })
    this.ending.add(instance)
    this.committer.push({ type: 'note', kind: 'ended', body: end, at: now }, done)
  }

  /** True when these seqs come next; then they are reserved. Else the sender is told where to go on. */
  private place(instance: string, first: number, last: number, reply: Reply): boolean {
    const known = this.state.roster.get(instance)
    const verdict = known ? admit(this.cursor(instance), first, last) : 'unknown'
    if (known && verdict === 'take') {
      if (!this.takes(known)) return false
      this.reserved.set(instance, last)
      return true
    }
    if (verdict === 'duplicate') this.duplicates++
    if (verdict !== 'unknown') reply('ACK', { instance, seq: this.state.acked(instance) })
    return false
  }

  /** Samples of a node have no part in how a run ended. */
  private takes({ origin }: Member): boolean {
    return this.served.open() || origin.role === 'agent'
  }

  private cursor(instance: string): number {
    return Math.max(this.reserved.get(instance) ?? 0, this.state.acked(instance))
  }
}
