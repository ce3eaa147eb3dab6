import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { monotonicMs, sleep, wallMs } from '../clock.ts'
import { RankzeroError } from '../errors.ts'
import { tryLock, type LockDb } from '../ledger/lockdb.ts'
import { HOLDER_BEAT_MS, KEY_FREE_MS, LOCK_POLL_MS } from '../limits.ts'
import { makeLockDir } from './election.ts'
import { readJson, writeJson } from './meeting.ts'

/** Who holds a key: for messages, and for the rule that an unended key rests before another run takes it. */
export interface Holder {
  project: string
  key: string
  run: string
  /** Run directory, absolute. */
  dir: string
  host: string
  pid: number
  /** ms since the epoch. */
  since: number
  beat: number
}

export interface KeyRequest {
  lockDir: string
  project: string
  /** Where the key must be free too: trackers know no projects. */
  domains?: readonly string[]
  key: string
  run: string
  dir: string
  onCollision: 'fail' | 'wait' | 'rename'
  /** Called when a wait begins and whenever the holder changes. */
  waiting?: (holder: Holder) => void
  /** True ends a wait (the job is over): the request then fails as a collision. */
  stopped?: () => boolean
}

export interface KeyHold {
  /** The key that was got; differs from the request's under `rename`. */
  readonly key: string
  /** Grows with every holder of this key in this lock directory. */
  readonly term: number
  /** Marks the end, frees the key at once; idempotent. */
  end(): void
  /** Frees the key without an end mark, as a crash would; idempotent. */
  release(): void
}

/**
 * Gets the key, or fails with COLLISION (its `detail.holder` is the Holder). One run may take its own key
 * again at once (its aggregator was restarted); another run only when the key was ended, or unheld without an
 * end mark for KEY_FREE_MS.
 */
export async function acquireKey(request: KeyRequest): Promise<KeyHold> {
  makeLockDir(request.lockDir)
  let key = request.key
  let seen = ''
  let told = ''
  const rests: Rests = new Map()
  for (let suffix = 2, own = 0; ;) {
    const got = tryKey(request, key, rests)
    if ('hold' in got) return got.hold
    const { holder } = got
    // Two looks must agree: a candidate holds the lock for an instant while it looks, and a new holder needs
    // an instant to write who it is.
    const sure = holder !== null && holder.run === seen
    seen = holder?.run ?? ''
    if (sure && holder.run === request.run) {
      if (++own * LOCK_POLL_MS > KEY_FREE_MS) throw collision(request.project, key, holder)
    } else if (sure && request.onCollision === 'rename') {
      key = `${request.key}-${suffix++}`
      continue
    } else if (sure && (request.onCollision === 'fail' || request.stopped?.() === true)) {
      throw collision(request.project, key, holder)
    } else if (sure && told !== holder.run) {
      told = holder.run
      request.waiting?.(holder)
    }
    await sleep(LOCK_POLL_MS)
  }
}

/**
 * How long a key has been without a beat: by the wall clock, or as long as we have looked ourselves. Where
 * the clock was set back an hour after the last beat, the first alone would be an hour late.
 */
class Rest {
  #beat = ''
  #since = 0

  isOver({ run, beat }: Holder): boolean {
    const now = monotonicMs()
    const mark = `${run} ${beat}`
    if (mark !== this.#beat) this.#since = now
    this.#beat = mark
    return wallMs() - beat >= KEY_FREE_MS || now - this.#since >= KEY_FREE_MS
  }
}

/** By lock, while it is waited for. */
type Rests = Map<string, Rest>

function restOf(rests: Rests, lock: string): Rest {
  const rest = rests.get(lock) ?? new Rest()
  rests.set(lock, rest)
  return rest
}

/** One look, without waiting: all of its locks, or none. */
function tryKey(
  request: KeyRequest, key: string, rests: Rests,
): { hold: KeyHold } | { holder: Holder | null } {
  const locks: Lock[] = []
  // All in the same order, so that two that wait never wait for each other.
  for (const domain of [request.project, ...request.domains ?? []]) {
    const got = tryLocked(request, domain, key, rests)
    if ('holder' in got) {
      for (const { lock } of locks) lock.release()
      return got
    }
    locks.push(got)
  }
  const holds = locks.map(({ lock, base }) => hold(lock, base, request, key))
  const all = (how: 'end' | 'release') => (): void => {
    for (const hold of holds) hold[how]()
  }
  return { hold: { key, term: holds[0]!.term, end: all('end'), release: all('release') } }
}

interface Lock { lock: LockDb; base: string }

function tryLocked(
  { lockDir, run }: KeyRequest, domain: string, key: string, rests: Rests,
): Lock | { holder: Holder | null } {
  const base = join(lockDir, createHash('sha256').update(`${domain}\0${key}`).digest('hex'))
  const lock = tryLock(`${base}.lock`)
  if (lock === null) return { holder: readJson<Holder>(`${base}.json`) }
  const last = lock.state()
  const holder = readJson<Holder>(`${base}.json`)
  const own = last['run'] === undefined || last['run'] === run
  const rested = holder === null || restOf(rests, base).isOver(holder)
  if (own || last['ended'] === '1' || rested) return { lock, base }
  lock.release()
  return { holder }
}

function hold(lock: LockDb, base: string, request: KeyRequest, key: string): KeyHold {
  const term = lock.advance({ run: request.run, dir: request.dir, ended: '0' })
  const since = wallMs()
  const beat = (): void => {
    const { project, run, dir } = request
    const holder: Holder = {
      project,
      key,
      run,
      dir,
      host: hostname(),
      pid: process.pid,
      since,
      beat: wallMs(),
    }
    writeJson(`${base}.json`, holder)
  }
  beat()
  const timer = setInterval(() => {
    try {
      beat()
    } catch {
      // A full disk cannot take the lock from us: the kernel holds it. Only the rest period may begin early.
    }
  }, HOLDER_BEAT_MS)
  timer.unref()
  let held = true
  const free = (ended: boolean): void => {
    if (!held) return
    held = false
    clearInterval(timer)
    if (ended) {
      lock.advance({ run: request.run, dir: request.dir, ended: '1' })
      rmSync(`${base}.json`, { force: true })
    }
    lock.release()
  }
  return { key, term, end: () => free(true), release: () => free(false) }
}

function collision(project: string, key: string, holder: Holder): RankzeroError {
  const since = new Date(holder.since).toISOString()
  return new RankzeroError(
    'COLLISION',
    `experiment key '${key}' (project '${project}') is held by run ${holder.run} on host ${holder.host}, ` +
      `pid ${holder.pid}, since ${since}, run directory ${holder.dir}`,
    'wait for that run to end, choose another --key, or use --on-collision wait or --on-collision rename',
    { detail: { holder } },
  )
}
