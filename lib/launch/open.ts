/**
 * Opens the run of a supervisor, or finds the one that it belongs to (core-part.ts says which).
 *
 * In: the part, options. Out: a Run. Invariants: what the user asked for and cannot have (a held key, a wrong
 * option) throws before COMMAND starts; what merely broke on our side does not stop COMMAND; every wait but
 * that for a key is bounded.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { jsonAside } from '../aside.ts'
import { statusPath } from '../backend/local.ts'
import { monotonicMs, sleep, wallMs } from '../clock.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { DAEMON_READY_MS, END_POLL_MS, MEETING_GONE_MS } from '../limits.ts'
import type { Holder } from '../lock/key.ts'
import { meetingPath } from '../lock/meeting.ts'
import { meetingOfRun } from '../rank/index.ts'
import { runIdOf } from '../record/run-id.ts'
import type { Endpoint, RunStatus } from '../record/run-status.ts'
import type { Joining, Part } from './core-part.ts'
import { openRun, type DaemonPlace } from './daemons.ts'
import { isAlive } from './processes.ts'
import { progress, say } from './progress.ts'

/** The run of a supervisor, whether or not an aggregator answered for it. */
export interface Run {
  /** Null: another task or host opens it, and its name is not known here yet. */
  run: string | null
  /** Run directory; null as long as `run` is, or when it is another host's. */
  dir: string | null
  meeting: string
  /** The aggregator; null: none that we saw. */
  pid: number | null
  /** A guest waits for what its own node has to deliver, the head's supervisor for the session's end. */
  guest: boolean
  /** Host that has the head, where it has to be said: it is another one, or ranks are on others. */
  head: string | null
  /** Path of the run secret, as the aggregator told it. */
  secretFile?: string | null
}

const AS_GUEST = { run: null, dir: null, pid: null, guest: true, head: null } as const

export interface Opening {
  /** A run id to go on with. */
  resume: string | null
  /** Options of the session for the aggregator: `--key=K` … */
  sessionArgs: readonly string[]
  /** The key that was asked for, if any. */
  key: string | null
}

/** Null: a signal came first. */
export async function openAs(
  part: Part, place: DaemonPlace, opening: Opening, abort: AbortSignal,
): Promise<Run | null> {
  if (part.kind === 'join' && part.head !== 'here') {
    const { meeting, head } = part
    const run = place.env['RANKZERO_RUN'] || null
    if (run !== null) say(`run ${run} ${join(place.dir, run)}`)
    return { ...AS_GUEST, run, meeting, head: head === 'away' ? null : head.host }
  }
  const wait = showWait()
  // By us, so that whoever goes on where our aggregator died half-way finds what it made.
  const minted = runIdOf(wallMs(), randomBytes(3).toString('hex'))
  try {
    const { resume, sessionArgs } = opening
    const which = part.kind === 'join' ? joining(part, place, resume) : await starting(place, resume, minted)
    const wide = part.wide ? ['--wide'] : []
    return await openHere([...which, ...wide, ...sessionArgs], { part, place, opening, wait, abort })
  } catch (error) {
    wait.clear()
    if (abort.aborted) return null
    if (error instanceof RankzeroError && STOPPING.has(error.code)) throw error
    return unopened(place.dir, part, minted, error)
  } finally {
    wait.clear()
  }
}

/** What the user asked for and cannot have stops COMMAND; what merely broke on our side does not. */
const STOPPING: ReadonlySet<string> = new Set(['COLLISION', 'LOCK_HELD', 'USAGE', 'NO_SUCH_RUN'])

interface Here {
  part: Part
  place: DaemonPlace
  opening: Opening
  wait: ReturnType<typeof showWait>
  abort: AbortSignal
}

/** Our aggregator, or that of another supervisor of this job on this host, which was elected first. */
async function openHere(args: readonly string[], here: Here): Promise<Run> {
  const { part, place, opening: { key }, wait, abort } = here
  const deadline = monotonicMs() + DAEMON_READY_MS
  for (;;) {
    const own = await openRun(place, args, wait.for, abort)
    wait.clear()
    if (own !== null) {
      say(`run ${own.run} ${own.dir}`)
      if (key !== null && own.key !== key) say(`key ${key} is held, so this run has ${own.key}`)
      // Ranks on other hosts cannot know from a launcher's variables that the head is where it was started.
      const head = part.kind === 'new' && part.wide ? hostname() : null
      return { ...own, guest: false, head }
    }
    const meeting = part.kind === 'join' ? part.meeting : ''
    const other = await servedBy(place, meeting, deadline)
    if (other !== null) {
      say(`run ${other.run} ${other.dir}`)
      return { ...AS_GUEST, run: other.run, dir: other.dir, meeting, pid: other.pid }
    }
    if (monotonicMs() >= deadline) return { ...AS_GUEST, meeting }
  }
}

/** The live run of a meeting on this host. Null: it is over, or nobody said within the time. */
async function servedBy(place: DaemonPlace, meeting: string, deadline: number): Promise<Endpoint | null> {
  let missingSince: number | null = null
  for (; monotonicMs() < deadline; await sleep(END_POLL_MS)) {
    const known = await jsonAside<Endpoint>(meetingPath(place.lockDir, meeting), { own: true })
    const live = known !== null && isAlive(known.pid, known.procStart)
    const state = live ? (await jsonAside<RunStatus>(statusPath(known.dir)))?.state ?? '' : ''
    if (live && !['draining', 'ended'].includes(state)) return known
    if (live) continue
    missingSince ??= monotonicMs()
    // The elected one may be on its way, or was the last job's and has just gone.
    if (monotonicMs() - missingSince > MEETING_GONE_MS) return null
  }
  return null
}

/** Ranks find a run by the meeting id of its name, so a resumed run is served under that. */
async function starting(place: DaemonPlace, resume: string | null, minted: string): Promise<string[]> {
  if (resume === null) return ['--new', '--resume', minted]
  const meeting = runMeeting(resume)
  const other = await jsonAside<Endpoint>(meetingPath(place.lockDir, meeting), { own: true })
  if (other !== null && isAlive(other.pid, other.procStart)) {
    throw new RankzeroError('LOCK_HELD', `run ${resume} is live: process ${other.pid} serves it`,
      'wait until it has ended, or leave out --resume')
  }
  return ['--meeting', meeting, '--resume', resume]
}

/**
 * A job that uses the meeting id of an earlier one begins a new run, unless the batch system says that it is
 * the same job again.
 */
function joining({ meeting }: Joining, place: DaemonPlace, resume: string | null): string[] {
  const requeued = Number(place.env['SLURM_RESTART_COUNT'] ?? 0) > 0
  const which = resume !== null ? ['--resume', resume] : requeued ? [] : ['--fresh']
  return ['--meeting', meeting, ...which]
}

const runMeeting = (run: string): string => meetingOfRun(run, process.getuid?.() ?? 0)

/** No aggregator: the ranks log into their journals all the same, and the agent goes on trying. */
function unopened(dir: string, part: Part, minted: string, error: unknown): Run {
  const run = part.kind === 'join' ? null : minted
  if (run !== null) say(`run ${run} ${join(dir, run)}`)
  say(`the session could not be opened: ${messageOf(error)}`)
  if (error instanceof RankzeroError) say(`to do: ${error.remedy}`)
  say('COMMAND runs all the same; what it logs waits on this node until: '
    + `rankzero sync ${run ?? '--all'} --dir ${dir}`)
  if (run !== null) {
    return { run, dir: join(dir, run), meeting: runMeeting(run), pid: null, guest: false, head: null }
  }
  return { ...AS_GUEST, meeting: part.kind === 'join' ? part.meeting : '' }
}

/** For whom the key is held: once in a pipe, with the time passing on a terminal. */
function showWait(): { for: (holder: Holder) => void; clear: () => void } {
  const line = progress(process.stderr, 0)
  let timer: NodeJS.Timeout | undefined
  const clear = (): void => {
    clearInterval(timer)
    line.clear()
  }
  return {
    clear,
    for(holder) {
      clear()
      const since = new Date(holder.since).toISOString()
      const { key, run, host, pid, dir } = holder
      const text = `waiting for key ${key} held by run ${run} `
        + `(host ${host}, pid ${pid}, since ${since}, ${dir})`
      if (!process.stderr.isTTY) return say(text)
      const begun = wallMs()
      const seconds = (): number => Math.round((wallMs() - begun) / 1000)
      timer = setInterval(() => line.show(`rankzero: ${seconds()} s ${text}`), 1000)
    },
  }
}
