/**
 * Agent, edge of the search for the head: reads the meeting files, looks names up, asks signposts, holds one.
 *
 * In: what origins say of the head, files, answers. Out: the next target; whether a head may be started here.
 * Invariants: nothing leaves the node without the run secret; nothing here waits.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { CANDIDATES_MAX, HEAD_SEARCH_MS, SIGNPOST_INTERVAL_MS } from '../limits.ts'
import { headLockName, isElected, meetingSecretPath, readMeeting, readShared } from '../lock/index.ts'
import { parseHost, type HostPort } from '../rank/index.ts'
import type { Origin } from '../record/index.ts'
import type { Endpoint } from '../record/run-status.ts'
import { readKeys, type RunKeys } from '../transport/index.ts'
import { askHello } from './ask.ts'
import { Rotation, targetsOf, type Target } from './core-seek.ts'
import { signpostPorts, type Place } from './core-signpost.ts'
import { Names } from './names.ts'
import type { Notes } from './notes.ts'
import { SignpostHolder } from './signpost.ts'

export interface SeekOptions {
  meeting: string
  /** Parent of the run directories. */
  dir: string
  lockDir: string
  /** Our host name. */
  node: string
  /** Setting. */
  secretFile: string | null
  notes: Notes
}

/** What the signpost of one address said last. */
interface Asked { busy: boolean; said: 'nothing' | 'no head' | 'a head'; place: Place | null }

export class Seeker {
  readonly #options: SeekOptions
  readonly #agent = randomBytes(16).toString('hex')
  readonly #names = new Names()
  readonly #rotation = new Rotation()
  readonly #signpost: SignpostHolder
  readonly #asked = new Map<string, Asked>()
  readonly #candidates = new Set<string>()
  readonly #keys = new Map<string, RunKeys>()
  #head: HostPort | null = null
  #local: Endpoint | null = null
  #targets: Target[] = []
  #redirected: Place | null = null
  #askedAt = -Infinity
  #searchedSince: number | null = null
  #wonElsewhere = false

  constructor(options: SeekOptions) {
    this.#options = options
    this.#signpost = new SignpostHolder(options.meeting, options.notes, () => wideOf(this.#local))
  }

  /** The meeting file of this node's head, as last read; the process behind it may be gone. */
  get local(): Endpoint | null { return this.#local }
  /** Connections to our signpost without the run secret. */
  get denied(): number { return this.#signpost.denied }
  /** The job may span several nodes. */
  get several(): boolean { return this.#head !== null || this.#candidates.size > 0 }

  /** One is at work on this node, perhaps without having told yet where. Costs a file opened. */
  get elected(): boolean {
    const { lockDir, meeting } = this.#options
    return isElected(lockDir, headLockName(meeting))
  }

  /** A head on another node serves us, or may come to. */
  get elsewhere(): boolean {
    return this.#wonElsewhere || this.#targets.some(({ secretFile }) => secretFile !== null)
      || (this.#options.secretFile !== null && this.#hosts().some((name) => !this.#names.isHere(name)))
  }

  learn({ head, candidates }: Origin): void {
    if (head !== undefined) this.#head ??= parseHost(head)
    for (const name of candidates ?? []) {
      if (this.#candidates.size < CANDIDATES_MAX) this.#candidates.add(name)
    }
  }

  /** Reads what is to be read, asks who is to be asked; `live`: there is a head, nobody need be asked. */
  look(now: number, live: boolean): void {
    const { meeting, lockDir, dir, node, secretFile } = this.#options
    const found = readMeeting(lockDir, meeting)
    this.#local = found?.hostname === node ? found : null
    if (this.several) this.#tendSignpost()
    if (live) return
    const shared = this.several || this.#wonElsewhere || found === null ? readShared(dir, meeting) : null
    if (this.several && secretFile !== null && now - this.#askedAt >= SIGNPOST_INTERVAL_MS) this.#askAll(now)
    this.#targets = targetsOf({
      node, meeting: found, shared, secretFile, places: this.#places(),
      head: this.#head && { ...this.#head, addresses: this.#names.addresses(this.#head.host) ?? [] },
    })
    this.#tellIfAlone(now)
  }

  next(): Target | null {
    return this.#rotation.next(this.#targets)
  }

  failed(target: Target): void {
    this.#rotation.failed(target)
    // Another life of the head may have made another secret.
    this.#keys.delete(this.#secretOf(target))
  }

  won(target: Target): void {
    this.#rotation.won(target)
    this.#wonElsewhere = target.secretFile !== null
    this.#searchedSince = null
  }

  /** A signpost stood where we hoped for a head. */
  redirected({ host, hosts, port }: { host: string; hosts?: string[]; port: number }): void {
    this.#redirected = { hosts: hosts ?? [host], port }
  }

  /** @throws RankzeroError USAGE when the secret cannot be read. */
  keysOf(target: Target): RunKeys {
    return this.#keysAt(this.#secretOf(target))
  }

  /** RANKZERO_HEAD names this node, whatever ranks it has. */
  get isNamed(): boolean {
    return this.#head !== null && this.#names.isHere(this.#head.host) === true
  }

  /**
   * Whether a head may be started here. Never where it is said, or was seen, to be on another node; and where
   * another node may have one, only when that node says that it has none, or says nothing for long.
   */
  mayStart(now: number): boolean {
    if (this.#wonElsewhere) return false
    if (this.#head !== null) return this.isNamed
    if (!this.several) return true
    this.#searchedSince ??= now
    if (now - this.#searchedSince >= HEAD_SEARCH_MS) return true
    if (this.#targets.some(({ secretFile }) => secretFile !== null)) return false
    return this.#options.secretFile === null || this.#nobodyHasOne()
  }

  close(): void {
    this.#signpost.close()
  }

  /** Hosts whose signposts may know the head. */
  #hosts(): string[] {
    return this.#head === null ? [...this.#candidates] : this.#head.port === null ? [this.#head.host] : []
  }

  #nobodyHasOne(): boolean {
    return this.#hosts().every((name) => {
      if (this.#names.isHere(name) === true) return true
      const addresses = this.#names.addresses(name)
      return addresses !== null && addresses.some((host) => this.#asked.get(host)?.said === 'no head')
    })
  }

  #tendSignpost(): void {
    const { secretFile } = this.#options
    if (secretFile === null || !this.#hosts().some((name) => this.#names.isHere(name) === true)) return
    const keys = this.#tryKeys(secretFile)
    if (keys !== null) this.#signpost.bind(keys)
  }

  #places(): Place[] {
    const asked = [...this.#asked.values()].map(({ place }) => place)
    return [this.#signpost.told, ...asked, this.#redirected].filter((place) => place !== null)
  }

  #askAll(now: number): void {
    this.#askedAt = now
    const keys = this.#tryKeys(this.#options.secretFile!)
    if (keys === null) return
    for (const name of this.#hosts()) {
      if (this.#names.isHere(name) !== false) continue
      for (const host of this.#names.addresses(name) ?? []) void this.#ask(host, keys)
    }
  }

  async #ask(host: string, keys: RunKeys): Promise<void> {
    const known: Asked = this.#asked.get(host) ?? { busy: false, said: 'nothing', place: null }
    this.#asked.set(host, known)
    if (known.busy) return
    known.busy = true
    const { meeting } = this.#options
    for (const port of signpostPorts(meeting)) {
      const told = await askHello({ host, port, keys }, this.#agent, meeting)
      if (told.type === 'REDIRECT') {
        const { host: one, hosts, port } = told.body
        Object.assign(known, { said: 'a head', place: { hosts: hosts ?? [one], port } })
        break
      }
      if (told.type === 'REFUSE' && told.body.code === 'NO_HEAD') {
        Object.assign(known, { said: 'no head', place: null })
        break
      }
    }
    known.busy = false
  }

  #tellIfAlone(now: number): void {
    const { dir, node, secretFile, notes } = this.#options
    if (!this.several || this.#targets.length > 0) return
    this.#searchedSince ??= now
    if (secretFile !== null || now - this.#searchedSince < HEAD_SEARCH_MS) return
    notes.stayAt(join(dir, '.pending', `agent-${node}.log`))
    notes.once('no head is known on this node, and without a run secret none is looked for on others: data '
      + 'waits here. Give all nodes the same --dir, or each a copy of one file in RANKZERO_SECRET_FILE')
  }

  #secretOf({ secretFile }: Target): string {
    return secretFile ?? meetingSecretPath(this.#options.lockDir, this.#options.meeting)
  }

  #tryKeys(path: string): RunKeys | null {
    try {
      return this.#keysAt(path)
    } catch (error) {
      this.#options.notes.once(messageOf(error))
      return null
    }
  }

  #keysAt(path: string): RunKeys {
    const keys = this.#keys.get(path) ?? readKeys(path)
    this.#keys.set(path, keys)
    return keys
  }
}

function wideOf(endpoint: Endpoint | null): Place | null {
  const wide = endpoint?.wide
  return wide === undefined || wide.addresses.length === 0 ? null : { hosts: wide.addresses, port: wide.port }
}
