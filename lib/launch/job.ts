import { constants } from 'node:os'
import { join } from 'node:path'
import { jsonAside } from '../aside.ts'
import { statusPath } from '../backend/local.ts'
import { wallMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { bootId, procStart } from '../journal/index.ts'
import { RUN_NAME_POLL_MS, SRUN_SURE_MS, STOPPED_WAIT_MS } from '../limits.ts'
import { meetingPath } from '../lock/meeting.ts'
import type { Identity } from '../rank/index.ts'
import type { Endpoint, RunStatus } from '../record/run-status.ts'
import { Console, consoleDir, type ConsoleMode } from './console.ts'
import { childEnv, commandLine, freePort, pythonDir, workerEnv } from './command.ts'
import { launcherOf, remoteHint } from './core-command.ts'
import {
  isFailure, isManaged, isSrunsQuestion, outcomeOf, statusOf, wasSrunsAnswer, type Exit,
} from './core-outcome.ts'
import { startAgent, watchDaemons, type DaemonPlace } from './daemons.ts'
import { EventLog } from './events.ts'
import { awaitDelivered, awaitEnd, report, reportLeft } from './finish.ts'
import type { Run } from './open.ts'
import { say } from './progress.ts'
import type { Heard } from './signals.ts'
import { Workers } from './workers.ts'

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

/** What a job knows of its place among others. */
export interface JobPlace {
  /** The rank that COMMAND is, when a launcher above us started it as one of several. */
  task: number | null
  /** Supervisors of this job, as far as known. */
  supervisors: number
  /** What the run had before is no other job's: its meeting is its own, or it is gone on with. */
  again: boolean
  /** Sizes of the world and of this node's part, as the launcher above us gave them. */
  sizes: Pick<Identity, 'worldSize' | 'localWorldSize'>
}

/** `<pid>:<start time>:<boot id>`: RANKZERO_SUPERVISOR, and the launch of all below it. */
const supervisorMark = (): string => `${process.pid}:${procStart(process.pid)}:${bootId()}`

/** Batch systems whose launchers carry the environment to all nodes of the job. */
const IN_ALLOCATION = ['SLURM_JOB_ID', 'PBS_JOBID', 'LSB_JOBID']

/** COMMAND from its start to its end, with what watches it. */
export class Job {
  private readonly options: SuperviseOptions
  private readonly run: Run
  private readonly place: DaemonPlace
  private readonly among: JobPlace
  private readonly log: EventLog | null
  private readonly unwatch: () => void
  private readonly naming: NodeJS.Timeout
  private workers: Workers | null = null
  private console: Console | null = null
  private signal: string | null = null
  private failedBefore: Exit | null = null
  private named: string | null
  /** What others left here before this job. */
  private readonly before: ReadonlySet<string>
  /** When srun was interrupted and asked back. */
  private askedAt = -Infinity
  private readonly launcher: string | null

  constructor(
    options: SuperviseOptions, run: Run, place: DaemonPlace, among: JobPlace, before: ReadonlySet<string>,
  ) {
    this.options = options
    this.run = run
    this.place = place
    this.among = among
    this.named = run.run
    const call = launcherOf(options.command)
    this.launcher = call?.name ?? null
    const hint = remoteHint(call, IN_ALLOCATION.some((name) => options.env[name] !== undefined))
    if (hint !== null) say(hint)
    this.before = before
    this.log = this.openLog()
    startAgent(place, run.meeting, run.run)
    this.naming = setInterval(() => this.learnName(), RUN_NAME_POLL_MS)
    this.naming.unref()
    this.unwatch = watchDaemons({
      place, run: run.run, meeting: run.meeting, aggregatorPid: run.guest ? null : run.pid ?? 0,
      beat: () => this.log?.beat() ?? null,
      ended: async () => {
        const dir = await this.runDir()
        return dir !== null && (await jsonAside<RunStatus>(statusPath(dir)))?.state === 'ended'
      },
    })
  }

  async start(): Promise<void> {
    const { command, nproc, env, cli, dir, passKeys, secrets, pythonPath, onFailure } = this.options
    const { run, meeting, head, secretFile } = this.run
    const mode = this.options.console
    const port = nproc === null ? 0 : await freePort()
    const supervisor = supervisorMark()
    const child = childEnv(env, {
      run, meeting, head, secretFile, dir, cli, supervisor, passKeys, secrets,
      python: pythonPath ? pythonDir() : null,
    })
    this.log?.note({ type: 'started', command: commandLine(command), nproc })
    if (nproc !== null && mode !== 'raw') {
      this.console = new Console(mode, nproc, await consoleDir(await this.runDir()))
    }
    this.workers = new Workers({
      command, nproc, onFailure, console: this.console,
      envOf: (rank) => rank < 0 ? child : workerEnv(child, rank, nproc ?? 1, port),
      onExit: (exit) => this.left(exit),
    })
  }

  heard({ signal, passOn, again, at }: Heard): void {
    if (!passOn && isSrunsQuestion(signal, this.launcher, at, this.askedAt)) {
      this.askedAt = at
      return
    }
    // What srun does about the second one began with the first.
    this.ends(signal, at - this.askedAt <= SRUN_SURE_MS ? this.askedAt : at)
    if (passOn) this.workers?.terminate()
    if (again) this.workers?.killLater()
  }

  /** Waits for COMMAND, then for the session's end or this node's delivery, as long as is allowed. */
  async finish(): Promise<number> {
    const exits = await this.workers!.done
    await this.console?.finish()
    const outcome = outcomeOf(exits)
    if (this.signal === null && wasSrunsAnswer(outcome, wallMs(), this.askedAt)) {
      this.failedBefore = null
      this.ends('SIGINT', this.askedAt)
    }
    const code = statusOf(outcome, constants.signals)
    try {
      this.log?.note({ type: 'command-exit', ...outcome })
      this.log?.end(code)
      await (this.run.guest ? this.delivered() : this.ended(exits))
    } catch (error) {
      say(`COMMAND is done, its session is not: ${messageOf(error)}; rankzero sync ${this.named ?? '--all'}`)
    } finally {
      clearInterval(this.naming)
      this.unwatch()
    }
    return code
  }

  private async ended(exits: readonly Exit[]): Promise<void> {
    const status = await awaitEnd((ms) => this.runDir(ms), this.patienceMs())
    const { run, options: { dir }, signal, failedBefore } = this
    report({ run: run.run ?? '', dir, status, exits, signal, failedBefore })
  }

  private async delivered(): Promise<void> {
    const { env, dir } = this.options
    const here = { env, dir, meeting: this.run.meeting }
    const left = await awaitDelivered(here, this.before, this.patienceMs())
    this.learnName()
    reportLeft(left, this.named, dir)
  }

  /** Whoever stops the tasks of a job kills what has not gone a little later; agent and aggregator go on. */
  private patienceMs(): number {
    const { env, exitTimeoutMs } = this.options
    return this.signal !== null && isManaged(env) ? Math.min(exitTimeoutMs, STOPPED_WAIT_MS) : exitTimeoutMs
  }

  /** Somebody outside ends the job. */
  private ends(signal: NodeJS.Signals, at: number): void {
    this.signal ??= signal
    this.log?.note({ type: 'signal', signal }, at)
  }

  private left(exit: Exit): void {
    if (this.signal === null && isFailure(exit) && !exit.stopped) this.failedBefore ??= exit
    const { pid, exit: status, signal, stopped } = exit
    const rank = exit.rank < 0 ? this.among.task : exit.rank
    if (rank !== null) this.log?.note({ type: 'worker-exit', rank, pid, exit: status, signal, stopped })
  }

  /** A guest's run, as soon as its agent has heard it from the head. */
  private learnName(): void {
    if (this.named !== null) return clearInterval(this.naming)
    this.named = this.log?.runId() ?? null
    if (this.named !== null) say(`run ${this.named} ${join(this.options.dir, this.named)}`)
  }

  /** Where an aggregator has put this run; null when there never was one. */
  private async runDir(ms?: number): Promise<string | null> {
    if (this.run.pid !== null) return this.run.dir
    const { place: { lockDir }, run: { meeting } } = this
    return (await jsonAside<Endpoint>(meetingPath(lockDir, meeting), { ms, own: true }))?.dir ?? null
  }

  private openLog(): EventLog | null {
    const { env, dir, cli, nproc, overflowCap } = this.options
    const { run, meeting, guest } = this.run
    const head = guest ? this.run.head : null
    const { supervisors, sizes, again } = this.among
    try {
      return new EventLog({
        env, run, meeting, dir, cli, nproc, overflowCap, guest, head, supervisors, sizes,
        launch: again ? null : supervisorMark(),
      })
    } catch (error) {
      say(`exit statuses of this run are not recorded: ${messageOf(error)}`)
      return null
    }
  }
}
