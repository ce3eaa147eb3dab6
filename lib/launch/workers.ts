import { spawn, type ChildProcess } from 'node:child_process'
import { STOP_GRACE_MS } from '../limits.ts'
import { errnoOf, EXIT, messageOf } from '../errors.ts'
import type { Console } from './console.ts'
import { isFailure, type Exit } from './core-outcome.ts'
import { underNohup } from './processes.ts'
import { say } from './progress.ts'
import { stop } from './targets.ts'

export interface WorkersOptions {
  command: readonly string[]
  /** Null: COMMAND once, as if we were not there. */
  nproc: number | null
  envOf: (rank: number) => NodeJS.ProcessEnv
  onFailure: 'stop' | 'continue'
  /** Shows what they print; null: they have our terminal. */
  console: Console | null
  onExit: (exit: Exit) => void
}

interface Worker {
  rank: number
  /** Null: the system refused at once (E2BIG). */
  child: ChildProcess | null
  /** We sent it a signal. */
  told: boolean
  gone: boolean
}

/** Node gives children the default SIGHUP back, which would undo `nohup rankzero run …`. */
const KEEP_NOHUP = ['/bin/sh', '-c', 'trap "" HUP; exec "$@"', 'rankzero']

/**
 * The processes of COMMAND. They stay in our process group and session: a terminal's Ctrl-C reaches them
 * without us, and nothing of them is left behind when the group is killed. A worker has left when it has
 * exited, whoever still holds its pipes.
 */
export class Workers {
  /** All exits in time order, when the last one is gone. */
  readonly done: Promise<Exit[]>
  private readonly options: WorkersOptions
  private readonly argv: readonly string[]
  private readonly workers: Worker[] = []
  private readonly exits: Exit[] = []
  private finish: (exits: Exit[]) => void = () => {}
  private killer: NodeJS.Timeout | null = null

  constructor(options: WorkersOptions) {
    this.options = options
    this.argv = underNohup() ? [...KEEP_NOHUP, ...options.command] : options.command
    this.done = new Promise((resolve) => {
      this.finish = resolve
    })
    const ranks = options.nproc === null ? [-1] : Array.from({ length: options.nproc }, (_, rank) => rank)
    for (const rank of ranks) this.workers.push(this.start(rank))
  }

  /** TERM to everyone who lives and was not told before: a second one is a kill for torchrun. */
  terminate(): void {
    for (const worker of this.workers) {
      if (worker.gone || worker.told) continue
      worker.told = true
      if (worker.child?.pid !== undefined) stop(worker.child.pid, this.options.envOf(worker.rank))
    }
  }

  /** After STOP_GRACE_MS. Only for workers that we started as a launcher; COMMAND itself is never killed. */
  killLater(): void {
    if (this.options.nproc === null || this.killer !== null) return
    this.killer = setTimeout(() => {
      for (const worker of this.workers) {
        if (worker.gone) continue
        worker.told = true
        worker.child?.kill('SIGKILL')
      }
    }, STOP_GRACE_MS)
  }

  private start(rank: number): Worker {
    const [file = '', ...args] = this.argv
    const worker: Worker = { rank, child: null, told: false, gone: false }
    const failed = (error: unknown): void => {
      say(`cannot start ${rank < 0 ? 'COMMAND' : `rank ${rank}`}: ${messageOf(error)}`)
      this.left(worker, errnoOf(error) === 'ENOENT' ? EXIT.notFound : EXIT.notExecutable, null)
    }
    try {
      const { console } = this.options
      const env = this.options.envOf(rank)
      const child = worker.child = spawn(file, args, {
        env: console?.env(env) ?? env, stdio: console?.stdio(rank) ?? 'inherit',
      })
      console?.started(rank, child)
      // Also emitted when a signal could not be sent; only a child without a pid never started.
      child.on('error', (error) => {
        if (child.pid === undefined) failed(error)
      })
      child.once('exit', (code, signal) => this.left(worker, code, signal))
    } catch (error) {
      if (worker.child === null) this.options.console?.started(rank, null)
      setImmediate(failed, error)
    }
    return worker
  }

  private left(worker: Worker, exit: number | null, signal: string | null): void {
    if (worker.gone) return
    worker.gone = true
    const stopped = worker.told && worker.child?.pid !== undefined
    const one: Exit = { rank: worker.rank, pid: worker.child?.pid ?? 0, exit, signal, stopped }
    this.exits.push(one)
    this.options.onExit(one)
    if (isFailure(one) && this.options.onFailure === 'stop') {
      this.terminate()
      this.killLater()
    }
    if (this.exits.length < this.workers.length) return
    if (this.killer !== null) clearTimeout(this.killer)
    this.finish(this.exits)
  }
}
