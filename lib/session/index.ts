/**
 * Room session: the one open experiment of a run: its key, its state, its end.
 *
 * In: requests to claim a key, to drain, to end. Out: `session` notes for the ledger, the key's lock.
 * Invariants: transitions happen one at a time (async-mutex) and are in the ledger before anyone acts on
 * them; an explicit key is held from before the first backend opens until after the last one closed.
 * It does not decide when to drain (core-session.ts) nor how the run ended (core-status.ts).
 */
import { Mutex } from 'async-mutex'
import { RankzeroError } from '../errors.ts'
import { acquireKey, type Holder, type KeyHold } from '../lock/index.ts'
import { checkTransition, type SessionState } from './core-session.ts'
import type { FinalStatus } from './core-status.ts'

/** Body of a `session` note; the last one in the ledger is the session's state. */
export interface SessionNote {
  state: SessionState
  key: string
  project: string
  name: string
  /** Term of the key's lock, 0 for a generated key, which needs none. */
  keyTerm: number
  /** The key came from a flag, the environment or init(), not from us. */
  explicit: boolean
  /** Null, not absent: a later note takes back what an earlier one said. */
  status: FinalStatus | null
  /** Why the session was refused. */
  reason: string | null
}

export interface SessionOptions {
  run: string
  /** Run directory. */
  dir: string
  lockDir: string
  /** Where the key must be free beside the project (backend/port.ts). */
  domains: readonly string[]
  project: string
  name: string
  onCollision: 'fail' | 'wait' | 'rename'
  /** Commits a note; resolves when it is durable. */
  commit: (note: SessionNote) => Promise<void>
  waiting: (holder: Holder) => void
}

export class Session {
  private readonly options: SessionOptions
  private readonly mutex = new Mutex()
  /** More than one when init() named another project than the one that the key was taken in first. */
  private readonly holds: KeyHold[] = []
  private closing = false
  private note: SessionNote

  constructor(options: SessionOptions, last: SessionNote | null) {
    const { project, name, run } = options
    this.options = options
    const unsaid = { keyTerm: 0, explicit: false, status: null, reason: null }
    const fresh: SessionNote = { state: 'closed', key: run, project, name, ...unsaid }
    this.note = last ?? fresh
  }

  get state(): SessionState {
    return this.note.state
  }

  get last(): Readonly<SessionNote> {
    return this.note
  }

  /**
   * Takes the key, explicit or generated, before anything of the run is created. Throws COLLISION under
   * `fail`. A second holder of the same run (a restarted aggregator) gets the key of its predecessor at once.
   */
  claim(key: string | null): Promise<void> {
    return this.mutex.runExclusive(async () => {
      const wanted = this.note.explicit ? this.note.key : key
      if (wanted !== null && this.note.state !== 'refused') await this.lock(wanted)
    })
  }

  /** Goes live, or stays refused: the first note of this holder. */
  start(): Promise<void> {
    return this.mutex.runExclusive(async () => {
      const refused = this.note.state === 'refused'
      checkTransition(this.note.state, 'acquiring')
      const reason = refused ? this.note.reason : null
      this.note = { ...this.note, state: 'acquiring', status: null, reason }
      await this.move(refused ? 'refused' : 'live')
    })
  }

  /**
   * What init() asked for, where no flag or variable said otherwise: a key replaces a generated one, and a
   * project moves the key into its own domain. A key that another run holds turns the session to `refused`:
   * training goes on, the data stays in the ledger until `rankzero sync RUN --key OTHER`.
   */
  adopt(open: { key?: string; project?: string; name?: string }): Promise<void> {
    return this.mutex.runExclusive(async () => {
      const { note } = this
      if (note.state !== 'live') return
      const { key = note.key, project = note.project, name = note.name } = open
      const moved = key !== note.key || project !== note.project
      if (!moved && name === note.name) return
      this.note = { ...note, project, name }
      try {
        if (moved && (note.explicit || open.key !== undefined)) await this.lock(key)
        await this.options.commit(this.note)
      } catch (error) {
        if (!(error instanceof RankzeroError) || error.code !== 'COLLISION') throw error
        await this.move('refused', { reason: error.message })
      }
    })
  }

  drain(): Promise<void> {
    this.closing = true
    return this.mutex.runExclusive(() => this.move('draining'))
  }

  /** The truthful end: committed first, then the key is free for others. */
  end(status: FinalStatus): Promise<void> {
    return this.mutex.runExclusive(async () => {
      await this.move('ended', { status })
      for (const hold of this.holds.splice(0)) hold.end()
    })
  }

  /** Leaves without an end mark: the key rests (KEY_FREE_MS) before another run may take it. */
  release(): void {
    this.closing = true
    for (const hold of this.holds.splice(0)) hold.release()
  }

  private async lock(key: string): Promise<void> {
    const { run, dir, lockDir, domains, onCollision, waiting } = this.options
    const { project } = this.note
    const stopped = (): boolean => this.closing
    const hold = await acquireKey({
      lockDir, project, domains, key, run, dir, onCollision, waiting, stopped,
    })
    this.holds.push(hold)
    this.note = { ...this.note, key: hold.key, keyTerm: hold.term, explicit: true }
  }

  private async move(state: SessionState, more: Partial<SessionNote> = {}): Promise<void> {
    checkTransition(this.note.state, state)
    this.note = { ...this.note, ...more, state }
    await this.options.commit(this.note)
  }
}
