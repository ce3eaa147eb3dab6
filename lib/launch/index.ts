/**
 * Room launch: the supervisor behind `rankzero run`: one COMMAND, or N workers of it, under one session.
 *
 * In: COMMAND and settings. Out: COMMAND's exit status; journal events (`started`, `worker-exit`, `signal`,
 * `command-exit`, end) that go the road of every rank's values; first failure and what is pending on stderr.
 * Invariants: it never leaves before COMMAND; nothing that happens to us changes COMMAND's status; a run that
 * cannot be opened stops COMMAND only when what was asked for cannot be had (a held key, a wrong option).
 * Nobody needs the supervisor to live: agent and aggregator finish without it.
 * It does not decide how the run ended (session/core-status.ts) and moves no point.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { join } from 'node:path'
import { wallMs } from '../clock.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { bootId, procStart } from '../journal/index.ts'
import type { Holder } from '../lock/key.ts'
import { readMeeting } from '../lock/meeting.ts'
import { meetingOfRun } from '../rank/index.ts'
import { runIdOf } from '../record/run-id.ts'
import { Console, type ConsoleMode } from './console.ts'
import { childEnv, commandLine, freePort, pythonDir, whyNotRunnable, workerEnv } from './command.ts'
import { isFailure, outcomeOf, statusOf, type Exit } from './core-outcome.ts'
import { openRun, startAgent, watchDaemons, type DaemonPlace, type Opened } from './daemons.ts'
import { EventLog } from './events.ts'
import { awaitEnd, report } from './finish.ts'
import { isAlive } from './processes.ts'
import { progress, say } from './progress.ts'
import { readStatus } from '../backend/local.ts'
import { listen, type Heard } from './signals.ts'
import { Workers } from './workers.ts'

export { isAlive, processAlive } from './processes.ts'
export { count, plural, progress, say } from './progress.ts'

export interface SuperviseOptions {
  command: readonly string[]
  /** Null: COMMAND once. */
  nproc: number | null
  /** Parent of the run directories, absolute. */
  dir: string
  lockDir: string
  /** A run id to go on with. */
  resume: string | null
  /** Options of the session for the aggregator: `--key=K` … */
  sessionArgs: readonly string[]
  /** The key that was asked for, if any. */
  key: string | null
  onFailure: 'stop' | 'continue'
  /** How the output of the workers of --nproc is shown. */
  console: ConsoleMode | 'raw'
  forwardSignals: 'auto' | 'always' | 'never'
  exitTimeoutMs: number
  overflowCap: number
  passKeys: boolean
  pythonPath: boolean
  /** Names of variables that hold keys of trackers. */
  secrets: readonly string[]
  /** argv that starts this program. */
  cli: readonly string[]
  env: NodeJS.ProcessEnv
}

/** The run, whether or not an aggregator answered for it. */
type Run = Omit<Opened, 'pid'> & { pid: number | null }

/** Runs COMMAND under a session; its exit status. @throws RankzeroError only before COMMAND starts. */
export async function supervise(options: SuperviseOptions): Promise<number> {
  const missing = whyNotRunnable(options.command[0] ?? '', options.env)
  if (missing !== null) throw missing
  const { cli, dir, lockDir, env } = options
  const place: DaemonPlace = { cli, dir, lockDir, env }
  const abort = new AbortController()
  let early: Heard | null = null
  let heard = (one: Heard): void => {
    early ??= one
    abort.abort()
  }
  const unlisten = listen(options.forwardSignals, env, (one) => heard(one))
  // A terminal that went away must not take COMMAND's supervisor with it.
  process.stderr.on('error', () => {})
  try {
    const run = await openOrGoOn(place, options, abort.signal)
    if (run === null) return statusOf({ exit: null, signal: early!.signal }, constants.signals)
    const job = new Job(options, run, place)
    heard = (one) => job.heard(one)
    await job.start()
    if (early !== null) job.heard(early)
    return await job.finish()
  } finally {
    unlisten()
  }
}

/** What the user asked for and cannot have stops COMMAND; what merely broke on our side does not. */
const STOPPING: ReadonlySet<string> = new Set(['COLLISION', 'LOCK_HELD', 'USAGE', 'NO_SUCH_RUN'])

/** Null: a signal came first. */
async function openOrGoOn(
  place: DaemonPlace, options: SuperviseOptions, abort: AbortSignal,
): Promise<Run | null> {
  const wait = showWait()
  try {
    const args = [...whichRun(place, options.resume), ...options.sessionArgs]
    const run = await openRun(place, args, wait.for, abort)
    wait.clear()
    say(`run ${run.run} ${run.dir}`)
    const { key } = options
    if (key !== null && run.key !== key) say(`key ${key} is held, so this run has ${run.key}`)
    return run
  } catch (error) {
    wait.clear()
    if (abort.aborted) return null
    if (error instanceof RankzeroError && STOPPING.has(error.code)) throw error
    return unopened(options.dir, error)
  } finally {
    wait.clear()
  }
}

/** Ranks find a run by the meeting id of its name, so a resumed run is served under that. */
function whichRun(place: DaemonPlace, resume: string | null): string[] {
  if (resume === null) return ['--new']
  const meeting = runMeeting(resume)
  const other = readMeeting(place.lockDir, meeting)
  if (other !== null && isAlive(other.pid, other.procStart)) {
    throw new RankzeroError('LOCK_HELD', `run ${resume} is live: process ${other.pid} serves it`,
      'wait until it has ended, or leave out --resume')
  }
  return ['--meeting', meeting, '--resume', resume]
}

const runMeeting = (run: string): string => meetingOfRun(run, process.getuid?.() ?? 0)

/** No aggregator: the ranks log into their journals all the same, and the agent goes on trying. */
function unopened(dir: string, error: unknown): Run {
  const run = runIdOf(wallMs(), randomBytes(3).toString('hex'))
  say(`run ${run} ${join(dir, run)}`)
  say(`the session could not be opened: ${messageOf(error)}`)
  if (error instanceof RankzeroError) say(`to do: ${error.remedy}`)
  say(`COMMAND runs all the same; what it logs waits on this node until: rankzero sync ${run} --dir ${dir}`)
  return { run, dir: join(dir, run), key: '', meeting: runMeeting(run), pid: null }
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

/** COMMAND from its start to its end, with what watches it. */
class Job {
  private readonly options: SuperviseOptions
  private readonly run: Run
  private readonly place: DaemonPlace
  private readonly log: EventLog | null
  private readonly unwatch: () => void
  private workers: Workers | null = null
  private console: Console | null = null
  private signal: string | null = null
  private failedBefore: Exit | null = null

  constructor(options: SuperviseOptions, run: Run, place: DaemonPlace) {
    this.options = options
    this.run = run
    this.place = place
    this.log = this.openLog()
    startAgent(place, run.meeting, run.run)
    this.unwatch = watchDaemons({
      place, run: run.run, meeting: run.meeting, aggregatorPid: run.pid, now: wallMs,
      beat: () => this.log?.beat() ?? null,
      ended: () => readStatus(this.runDir() ?? '')?.state === 'ended',
    })
  }

  async start(): Promise<void> {
    const { command, nproc, env, cli, dir, passKeys, secrets, pythonPath, onFailure } = this.options
    const { run, meeting } = this.run
    const mode = this.options.console
    const port = nproc === null ? 0 : await freePort()
    const supervisor = `${process.pid}:${procStart(process.pid)}:${bootId()}`
    const child = childEnv(env, {
      run, meeting, dir, cli, supervisor, passKeys, secrets, python: pythonPath ? pythonDir() : null,
    })
    this.log?.note({ type: 'started', command: commandLine(command), nproc })
    if (nproc !== null && mode !== 'raw') this.console = new Console(mode, nproc, this.runDir())
    this.workers = new Workers({
      command, nproc, onFailure, console: this.console,
      envOf: (rank) => rank < 0 ? child : workerEnv(child, rank, nproc ?? 1, port),
      onExit: (exit) => this.left(exit),
    })
  }

  heard({ signal, passOn, again }: Heard): void {
    this.signal ??= signal
    this.log?.note({ type: 'signal', signal })
    if (passOn) this.workers?.terminate()
    if (again) this.workers?.killLater()
  }

  /** Waits for COMMAND, then for the end of the session, as long as is allowed. */
  async finish(): Promise<number> {
    const exits = await this.workers!.done
    await this.console?.finish()
    const outcome = outcomeOf(exits)
    const code = statusOf(outcome, constants.signals)
    try {
      this.log?.note({ type: 'command-exit', ...outcome })
      this.log?.end(code)
      const status = await awaitEnd(() => this.runDir(), this.options.exitTimeoutMs)
      const { run, options: { dir }, signal, failedBefore } = this
      report({ run: run.run, dir, status, exits, signal, failedBefore })
    } catch (error) {
      say(`COMMAND is done, its session is not: ${messageOf(error)}; rankzero sync ${this.run.run}`)
    } finally {
      this.unwatch()
    }
    return code
  }

  private left(exit: Exit): void {
    if (this.signal === null && isFailure(exit) && !exit.stopped) this.failedBefore ??= exit
    if (exit.rank < 0) return
    const { rank, pid, exit: status, signal, stopped } = exit
    this.log?.note({ type: 'worker-exit', rank, pid, exit: status, signal, stopped })
  }

  /** Where an aggregator has put this run; null when there never was one. */
  private runDir(): string | null {
    if (this.run.pid !== null) return this.run.dir
    return readMeeting(this.place.lockDir, this.run.meeting)?.dir ?? null
  }

  private openLog(): EventLog | null {
    const { env, dir, cli, nproc, overflowCap } = this.options
    const { run, meeting } = this.run
    try {
      return new EventLog({ env, run, meeting, dir, cli, nproc, overflowCap })
    } catch (error) {
      say(`exit statuses of this run are not recorded: ${messageOf(error)}`)
      return null
    }
  }
}
