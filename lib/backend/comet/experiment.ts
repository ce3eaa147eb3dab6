import { monotonicMs, wallMs } from '../../clock.ts'
import type { Key } from '../../config/keys.ts'
import {
  COMET_BEAT_MS, COMET_BEAT_MS_MAX, COMET_BEAT_MS_MIN, COMET_HELD_RETRY_MS, COMET_LEAVE_MS, COMET_TELL_MS,
  COMET_TICK_MS,
} from '../../limits-comet.ts'
import type { RunStatus } from '../../record/run-status.ts'
import type { Outcome } from '../port.ts'
import { codeOf, EXISTS, isAnswer, outcomeOf } from './core-answer.ts'
import { experimentJson, extentOf, type Extent } from './core-archive.ts'
import { earlierOf, factsOf, failureText, ownerOf, tellings, type Facts } from './core-facts.ts'
import { cometKey, projectOf } from './core-names.ts'
import {
  addRun, beat, getRun, PARAMETERS, readOf, report, type Handle, type Request,
} from './core-requests.ts'
import type { Got, Http } from './http.ts'

export interface ExperimentOptions {
  http: Http
  apiKey: Key
  workspace: string | null
  tags: readonly string[]
}

/** It is to be tried again. */
const isOpen = ({ is }: Outcome): boolean => is === 'later' || is === 'unsure' || is === 'wait'

type Tried = { outcome: Outcome; got: Got }

/**
 * The experiment as a whole: made or found, kept alive, told of facts, ended. Rows and texts are sent by
 * others, into it.
 *
 * Invariants: one handshake at a time, and none when there is a handle; signs of life only between it and the
 * end; whatever is told overwrites itself, so that telling it again after a restart is no harm.
 */
export class Experiment {
  /** What went wrong last, of signs of life and facts; '' after it went well. */
  fault = ''
  private readonly options: ExperimentOptions
  private picture: RunStatus | null = null
  private ended: string | null = null
  /** Null: it is not open. */
  handle: Handle | null = null
  private opening: Promise<Outcome> | null = null
  private known: Facts = new Map()
  private timer: NodeJS.Timeout | null = null
  private beatMs = COMET_BEAT_MS
  private beatAt = -Infinity
  private beating = false
  private tellAt = -Infinity
  private telling: Promise<Outcome> | null = null
  /** The server has no batches of parameters. */
  private singly = false
  /** Of an archive that was uploaded into it by other tools. */
  private uploaded: Extent | null = null
  /** Other runs whose points it has. */
  private earlier: string[] = []

  constructor(options: ExperimentOptions) {
    this.options = options
  }

  get key(): string {
    return cometKey(this.picture?.key ?? '')
  }

  status(picture: RunStatus): void {
    this.picture = { ...picture, status: picture.status ?? this.ended }
  }

  /**
   * Makes the experiment, or finds it: one of an earlier life of this run, or that its key names. Says how
   * far an archive has brought the items of this kind.
   */
  async open(kind: 'row' | 'text' | 'system' | 'asset'): Promise<Outcome> {
    if (this.handle === null) {
      this.opening ??= this.shakeHands().finally(() => {
        this.opening = null
      })
      const outcome = await this.opening
      if (outcome.is !== 'done') return outcome
    }
    return { is: 'done', found: kind === 'asset' ? 0 : this.uploaded?.[kind] ?? 0 }
  }

  /** Says all that is left to say, then that it is over: nothing is sent after that. */
  async end(status: string, signal: AbortSignal): Promise<Outcome> {
    this.over(status)
    const told = await this.tell(signal)
    if (isOpen(told)) return told
    const { handle, picture } = this
    if (handle === null) return { is: 'later', message: 'comet is not open' }
    if (status !== 'finished') {
      const [failure] = picture?.failed ?? []
      const why = failure === undefined ? status : `${status}: ${failureText(failure)}`
      const { outcome } = await this.send(report(handle.key, why, status === 'failed'), 'report', signal)
      if (isOpen(outcome)) return outcome
    }
    this.rest()
    const { outcome } = await this.send(beat(handle, false, wallMs()), 'end', signal, true)
    if (outcome.is === 'done') this.handle = null
    return outcome
  }

  /** How the run ended, which its picture says later. */
  over(status: string): void {
    this.ended = status
    if (this.picture !== null) this.status(this.picture)
  }

  /** Of files, so far. */
  get sentBytes(): number {
    return this.options.http.sentBytes
  }

  get run(): string {
    return this.picture?.run ?? ''
  }

  /** ''. */
  get warning(): string {
    const last = this.earlier.at(-1)
    return last === undefined ? '' : `experiment ${this.key} has the points of run ${last} too, which had `
      + 'the same key: to keep them apart give another --key, and to go on with a run say --resume RUN'
  }

  facts(): Facts {
    return this.picture === null ? new Map() : factsOf(this.picture, this.options.tags, this.earlier)
  }

  /** experiment.json of an archive. */
  archiveHead(): string {
    const { picture, options: { workspace, tags } } = this
    if (picture === null) throw new Error('nothing is known of the run yet')
    const all = [...new Set([...tags, ...picture.tags ?? []])]
    return experimentJson(this.key, workspace, projectOf(picture.project), all, picture)
  }

  /** The end comes with what is missing; until then it does not look as if it ran. */
  async leave(status: string): Promise<void> {
    const { handle } = this
    this.rest()
    if (handle === null) return
    this.over(status)
    const signal = AbortSignal.timeout(COMET_LEAVE_MS)
    await this.tell(signal)
    await this.send(beat(handle, false, wallMs()), 'end', signal, true)
  }

  /** Silent from now on. */
  close(): void {
    this.rest()
    this.options.http.close()
  }

  async send(request: Request, what: string, signal: AbortSignal | null, urgent = false): Promise<Tried> {
    const got = await this.options.http.call(request, signal, urgent)
    const outcome: Outcome = 'waitMs' in got ? { is: 'wait', afterMs: got.waitMs }
      : outcomeOf(got, what, wallMs())
    return { got, outcome }
  }

  private async shakeHands(): Promise<Outcome> {
    const { apiKey, workspace } = this.options
    const { picture, key } = this
    if ('why' in apiKey) return { is: 'later', message: `there is no API key: ${apiKey.why}` }
    if (picture === null) return { is: 'later', message: 'nothing is known of the run yet' }
    const project = projectOf(picture.project)
    let tried = await this.send(addRun({ key, project, workspace }, wallMs()), 'logger/add/run', null)
    if (!('waitMs' in tried.got) && codeOf(tried.got) === EXISTS) {
      const holder = await this.holder(key, picture.run)
      if (holder !== null) return { is: 'later', message: holder, afterMs: COMET_HELD_RETRY_MS }
      const { outcome, got } = await this.send(readOf('parameters', key), 'parameters', null)
      if (isOpen(outcome)) return outcome
      this.uploaded = 'status' in got ? extentOf(got.body, picture.run) : null
      tried = await this.send(getRun(key, wallMs()), 'logger/get/run', null)
    }
    const { outcome, got } = tried
    if (outcome.is !== 'done') return outcome
    const body = 'waitMs' in got || !isAnswer(got) ? null : got.body
    const runId = body?.['runId']
    const projectId = body?.['project_id']
    if (typeof runId !== 'string') return { is: 'later', message: 'logger/add/run: the answer has no runId' }
    this.handle = { key, runId, projectId: typeof projectId === 'string' ? projectId : null }
    this.known = new Map()
    await this.beat()
    this.timer = setInterval(() => void this.tick(), COMET_TICK_MS)
    return { is: 'done' }
  }

  /**
   * Locks do not reach every machine: another run that is in this experiment now, in a sentence. One that is
   * over has left its key, and is remembered; so has one that nobody knows the owner of.
   */
  private async holder(key: string, run: string): Promise<string | null> {
    const [others, about] = [
      await this.send(readOf('log-other', key), 'log-other', null),
      await this.send(readOf('metadata', key), 'metadata', null),
    ].map(({ got }) => 'status' in got && got.status === 200 ? got.body : null)
    const owner = ownerOf(others ?? null)
    this.earlier = earlierOf(others ?? null, run)
    if (owner === null || owner === run || about?.['running'] !== true) return null
    return `experiment ${key} is in use by run ${owner}, on a machine whose locks are not seen here: `
      + 'give another --key, or wait until that run is over'
  }

  private async tick(): Promise<void> {
    const now = monotonicMs()
    if (now - this.beatAt >= this.beatMs) await this.beat()
    if (now < this.tellAt || this.telling !== null) return
    const told = await this.tell(null)
    this.tellAt = monotonicMs() + Math.max(COMET_TELL_MS, 'afterMs' in told ? told.afterMs ?? 0 : 0)
  }

  private async beat(): Promise<void> {
    const { handle } = this
    if (handle === null || this.beating) return
    this.beating = true
    this.beatAt = monotonicMs()
    const { outcome, got } = await this.send(beat(handle, true, wallMs()), 'status-report', null, true)
    this.beating = false
    if (outcome.is !== 'done') {
      if ('message' in outcome) this.fault = outcome.message
      return
    }
    const said = 'status' in got ? got.body?.['is_alive_beat_duration_millis'] : null
    if (typeof said === 'number') this.beatMs = Math.min(COMET_BEAT_MS_MAX, Math.max(COMET_BEAT_MS_MIN, said))
    this.fault = ''
  }

  /** What is new since it was told last; one at a time. */
  private async tell(signal: AbortSignal | null): Promise<Outcome> {
    while (this.telling !== null) await this.telling
    this.telling = this.tellAll(signal).finally(() => {
      this.telling = null
    })
    return this.telling
  }

  private async tellAll(signal: AbortSignal | null): Promise<Outcome> {
    const { handle, picture } = this
    if (handle === null || picture === null) return { is: 'done' }
    const told = tellings(handle.key, this.facts(), this.known, wallMs(), this.singly)
    for (const { request, facts } of told) {
      const { outcome, got } = await this.send(request, request.path.slice(1), signal)
      if (request.path === PARAMETERS && 'status' in got && got.status === 404) {
        this.singly = true
        return this.tellAll(signal)
      }
      if ('message' in outcome) this.fault = outcome.message
      if (isOpen(outcome)) return outcome
      // Refused for good: it is not told again, and the fault says why.
      for (const [fact, value] of facts) this.known.set(fact, value)
    }
    return { is: 'done' }
  }

  private rest(): void {
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = null
  }
}
