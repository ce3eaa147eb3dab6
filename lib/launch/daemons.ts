import { Starter } from '../agent/core-starter.ts'
import { parseJson, readAside } from '../aside.ts'
import { monotonicMs } from '../clock.ts'
import { ERRORS, RankzeroError, type ErrorCode } from '../errors.ts'
import { BEAT_STALE_MS, DAEMON_READY_MS, WATCH_INTERVAL_MS } from '../limits.ts'
import type { Holder } from '../lock/key.ts'
// Not the room's door: that one loads SQLite, which the supervisor must be able to live without.
import { meetingPath } from '../lock/meeting.ts'
import type { Endpoint } from '../record/run-status.ts'
import { spawnDaemon, type ReadyLine } from '../spawn.ts'
import { isAlive } from './processes.ts'
import { say } from './progress.ts'

/** The run as its aggregator reported it. */
export interface Opened {
  run: string
  /** Run directory. */
  dir: string
  key: string
  meeting: string
  pid: number
  /** Path of the run secret, where ranks of other nodes may come. */
  secretFile?: string | null
  /** A ledger that could not be read, by its new name. */
  aside?: string | null
}

export interface DaemonPlace {
  cli: readonly string[]
  /** Parent of the run directories, absolute. */
  dir: string
  lockDir: string
  env: NodeJS.ProcessEnv
}

/**
 * Starts an aggregator and waits until it holds its run. A wait for a key has no limit: `waiting` is told for
 * whom, and `abort` ends it. Null: another one serves this meeting already.
 * @throws RankzeroError what it said, or that it said nothing.
 */
export async function openRun(
  place: DaemonPlace, args: readonly string[], waiting: (holder: Holder) => void, abort: AbortSignal,
): Promise<Opened | null> {
  const lines = startAggregator(place, args)[Symbol.asyncIterator]()
  const aborted = new Promise<null>((resolve) => {
    abort.addEventListener('abort', () => resolve(null), { once: true })
  })
  try {
    for (let limited = true; ; ) {
      const next = await Promise.race([lines.next(), aborted, ...(limited ? [timeLimit()] : [])])
      if (next === null) throw new RankzeroError('TIMEOUT', 'stopped before it was open', 'start it again')
      if (next.done === true) throw silent('it exited before it was ready', place.dir)
      const line = next.value
      if (line.ready !== undefined) {
        const opened = line.ready as unknown as Opened
        if (opened.aside) say(`the ledger could not be read and is kept as ${opened.aside}; a new one begins`)
        return opened
      }
      if (line.taken === true) return null
      if (line.error !== undefined) throw asError(line.error)
      if (line.waiting === undefined) continue
      limited = false
      waiting(line.waiting as Holder)
    }
  } finally {
    // Not awaited: it closes the pipe once the line that it may wait for has come.
    void lines.return?.()
  }
}

function startAggregator(place: DaemonPlace, args: readonly string[]): AsyncIterable<ReadyLine> {
  const all = ['aggregator', ...args, '--dir', place.dir]
  return spawnDaemon(place.cli, all, { env: place.env, ready: true }).lines
}

function timeLimit(): Promise<never> {
  return new Promise((_, reject) => {
    const late = (): void => reject(silent(`it said nothing within ${DAEMON_READY_MS / 1000} s`, 'this host'))
    setTimeout(late, DAEMON_READY_MS).unref()
  })
}

const silent = (what: string, where: string): RankzeroError => new RankzeroError(
  'INTERNAL', `the aggregator did not start: ${what}`, `rankzero doctor tells what is wrong with ${where}`)

function asError(error: NonNullable<ReadyLine['error']>): RankzeroError {
  const code = error.code in ERRORS ? error.code as ErrorCode : 'INTERNAL'
  return new RankzeroError(code, error.message, error.remedy, { detail: error.detail })
}

/** Fire and forget: a loser of the election exits, so one too many does no harm. */
export function startAgent(
  place: DaemonPlace, meeting: string, run: string | null, flags: readonly string[] = [],
): void {
  const named = run === null ? [] : ['--run', run]
  const args = ['agent', '--meeting', meeting, '--dir', place.dir, ...named, ...flags]
  spawnDaemon(place.cli, args, { env: place.env, ready: false })
}

export interface Watched {
  place: DaemonPlace
  /** Null: not known; the head says it. */
  run: string | null
  meeting: string
  /** 0: none of ours came up, so it is begun again here. Null: it is another supervisor's. */
  aggregatorPid: number | null
  /** Wall clock of the agent's last sign in our journal; 0: none yet; null: no journal to look at. */
  beat: () => number | null
  /** The session has ended, so its daemons may go. */
  ended: () => Promise<boolean>
}

/** Looks at both daemons every WATCH_INTERVAL_MS and starts again what died. Returns what ends the watch. */
export function watchDaemons(watched: Watched): () => void {
  const { place, run, meeting } = watched
  const agent = new Starter()
  const aggregator = new Starter()
  const head = { pid: watched.aggregatorPid ?? 0, procStart: 0 }
  // By our own clock: one that is set back would make an old beat young for as long.
  let [lastBeat, beatAt] = [watched.beat(), monotonicMs()]
  let busy = false
  const look = async (): Promise<void> => {
    const now = monotonicMs()
    const beat = watched.beat()
    if (beat !== lastBeat) [lastBeat, beatAt] = [beat, now]
    const agentAlive = beat === null || now - beatAt < BEAT_STALE_MS
    const agentDue = agent.due(now, agentAlive, true)
    const wanted = watched.aggregatorPid !== null
    const aggregatorDue = wanted && aggregator.due(now, await aggregatorAlive(place, meeting, head), true)
    if (!(agentDue || aggregatorDue) || await watched.ended()) return
    if (agentDue) startAgent(place, meeting, run)
    if (aggregatorDue) startAggregatorAgain(place, meeting, run)
  }
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    void look().finally(() => { busy = false })
  }, WATCH_INTERVAL_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/**
 * The meeting file names the present one, which an agent may have started. It is asked for only when the one
 * that we know is gone. A disk that says nothing has it alive: one that we started would hang there as well.
 */
async function aggregatorAlive(
  { lockDir }: DaemonPlace, meeting: string, head: { pid: number; procStart: number },
): Promise<boolean> {
  if (head.pid !== 0 && isAlive(head.pid, head.procStart)) return true
  const text = await readAside(meetingPath(lockDir, meeting), { own: true })
  const known = parseJson<Endpoint>(text ?? '')
  if (known === null) return text === null
  Object.assign(head, { pid: known.pid, procStart: known.procStart })
  return isAlive(known.pid, known.procStart)
}

function startAggregatorAgain(place: DaemonPlace, meeting: string, run: string | null): void {
  const named = run === null ? [] : ['--resume', run]
  const args = ['aggregator', '--meeting', meeting, ...named, '--dir', place.dir]
  spawnDaemon(place.cli, args, { env: place.env, ready: false })
}
