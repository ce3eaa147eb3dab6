/**
 * The real launchers as a table, workers that write down what they logged, and the comparison of the two.
 * In: a place of one test, a launcher, what happens to it. Out: how it ended, with every point checked.
 */
import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { expect } from 'vitest'
import { begin, CLI, Place, sleep, until, type Started } from '../scenario/harness.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const VENV = join(ROOT, '.cache/venv')
export const PYTHON = join(VENV, 'bin/python')
export const CACHE = join(ROOT, '.cache')
export const EXAMPLES = join(ROOT, 'examples')
export const WORKER = join(import.meta.dirname, 'worker.py')
export const RANKS = 4
/** Launchers that import torch on two busy cores take this long (ms) at most to the first steps. */
const START_MS_MAX = 60_000
/** Gives a command a terminal of its own; what is written to its standard input is typed there. */
const TERMINAL = `import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))`
/** Ctrl-C is typed again after this (ms): srun asks for a second one within a second. */
const SECOND_CTRL_C_MS = 300

export interface Launcher {
  /** The command line for four workers. */
  argv: string[]
  /** The variable in which it tells a worker its rank. */
  rank: string
  /** Its own exit status by what happened; where it races with itself, all that it may be. */
  exit: { clean: number; raise: number; kill: number; interrupt: number[] }
  /** It kills the other ranks in the same instant: nobody can tell which one died first. */
  killsAll?: true
}

const worker = [PYTHON, WORKER]
const slurm = ['srun', '--nodes=2', '--ntasks-per-node=2']
const horovod = ['horovodrun', '-np', '4']
const OPEN_MPI = { clean: 0, raise: 1, kill: 137, interrupt: [1] }
/** On Ctrl-C it sends SIGINT and SIGKILL within a tenth of a second. */
const SLURM = { clean: 0, raise: 1, kill: 137, interrupt: [130, 137] }

export const LAUNCHERS: Record<string, Launcher> = {
  'torchrun': {
    argv: ['torchrun', '--nproc-per-node=4', WORKER],
    rank: 'RANK',
    exit: { clean: 0, raise: 1, kill: 1, interrupt: [1] },
  },
  'Open MPI': {
    argv: ['mpirun.openmpi', '--oversubscribe', '-n', '4', ...worker],
    rank: 'OMPI_COMM_WORLD_RANK',
    exit: OPEN_MPI,
  },
  'MPICH': {
    argv: ['mpirun.mpich', '-n', '4', ...worker],
    rank: 'PMI_RANK',
    // The statuses of all ranks, or-ed; a signal counts as its number. Who is slow to leave is killed (9).
    exit: { clean: 0, raise: 1, kill: 9, interrupt: [2, 11] },
    killsAll: true,
  },
  'horovodrun --gloo': {
    argv: [...horovod, '--gloo', ...worker],
    rank: 'HOROVOD_RANK',
    exit: { clean: 0, raise: 1, kill: 1, interrupt: [1] },
  },
  'horovodrun --mpi': {
    argv: [...horovod, '--mpi', ...worker],
    rank: 'OMPI_COMM_WORLD_RANK',
    exit: { ...OPEN_MPI, interrupt: [1, 130] },
  },
  'srun': { argv: [...slurm, ...worker], rank: 'SLURM_PROCID', exit: SLURM },
  'srun --mpi=pmi2': { argv: [...slurm, '--mpi=pmi2', ...worker], rank: 'PMI_RANK', exit: SLURM },
}

/** A place where the launchers find Python, and run as root. */
export const launcherPlace = (extra: NodeJS.ProcessEnv = {}): Place =>
  new Place({
    PATH: `${join(VENV, 'bin')}:${process.env['PATH']}`,
    OMPI_ALLOW_RUN_AS_ROOT: '1',
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
    OMPI_MCA_rmaps_base_oversubscribe: '1',
    OMP_NUM_THREADS: '1',
    ...extra,
  })

/** For workers without a supervisor: where they find the client, and it the command line. */
export const alone: NodeJS.ProcessEnv = {
  PYTHONPATH: join(ROOT, 'lib/python'),
  RANKZERO_CLI: JSON.stringify([process.execPath, CLI]),
}

export class Job {
  readonly truth: string
  private readonly place: Place
  private readonly launcher: Launcher
  private readonly started: Started

  /** Starts the launcher behind `rankzero run`, on a terminal. */
  constructor(
    place: Place,
    launcher: Launcher,
    env: NodeJS.ProcessEnv = {},
    argv = [process.execPath, CLI, 'run', '--exit-timeout', '30', '--', ...launcher.argv],
  ) {
    this.place = place
    this.launcher = launcher
    this.truth = join(place.root, 'truth')
    const own = { T_TRUTH: this.truth, T_RANK_VARIABLE: launcher.rank }
    this.started = begin([PYTHON, '-c', TERMINAL, ...argv], {
      cwd: place.root,
      env: { ...place.env, ...own, ...env },
      stdio: 'pipe',
    })
  }

  /** Its status, and all that was on the terminal. */
  get ended(): Promise<{ code: number | null; screen: string }> {
    return this.started.ended.then(({ code, stdout, stderr }) => ({ code, screen: stdout + stderr }))
  }

  /** Workers without a supervisor leave when their node has all; their run ends after them. */
  async over(): Promise<void> {
    await until('the end of the run', START_MS_MAX, () => this.place.picture()?.state === 'ended')
  }

  private lines(rank: number): string[] {
    const file = `${this.truth}.${rank}`
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
  }

  /** Waits until each rank has logged that many steps. */
  async reached(steps: number): Promise<void> {
    const enough = (): boolean => ranks().every((rank) => this.lines(rank).length > steps)
    const over = this.ended.then(({ screen }) => {
      if (!enough()) throw new Error(`it ended before step ${steps}: ${screen}`)
    })
    await Promise.race([over, until(`${steps} steps of each rank`, START_MS_MAX, enough)])
  }

  /** Waits until the agent has seen all ranks alive: of one that dies before, the kernel tells it nothing. */
  async seen(): Promise<void> {
    await until('all ranks are live', START_MS_MAX, () => this.place.runs().length > 0
      && this.place.picture()?.members.filter(({ state }) => state === 'live').length === RANKS)
  }

  pid(rank: number): number {
    return Number(this.lines(rank)[0]!.split(' ')[0])
  }

  logged(rank: number): number {
    return this.lines(rank).length - 1
  }

  /** The terminal sends SIGINT to its whole foreground group. */
  async ctrlC(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      if (i > 0) await sleep(SECOND_CTRL_C_MS)
      this.started.child.stdin!.write('\x03')
    }
  }

  /** One run, of ranks as the launcher numbered them; each logged value is a point, once. */
  expectWhole(size = RANKS): void {
    expect(this.place.runs()).toHaveLength(1)
    expect(this.place.status().ranks).toBe(size)
    const points = this.place.points('latest', '--metric', 'loss')
    for (const rank of ranks(size)) {
      expect(this.lines(rank)[0], `rank ${rank}`).toBe(`${this.pid(rank)} ${rank}`)
      const own = points.filter((point) => point.rank === rank)
      const sure = this.logged(rank)
      // One more log() may have returned before its line was written.
      expect([sure, sure + 1], `points of rank ${rank}`).toContain(own.length)
      expect(own.map(({ step, value }) => [step, value])).toEqual(
        own.map((_, step) => [step, rank + step / 1000]),
      )
    }
    expect(this.place.audit()).toMatchObject({ balanced: true, complete: true })
  }

  /** The first failure is rank 2, told with everything that helps to find it. */
  expectFailureOf2(cause: object, screen: string): void {
    const { failed } = this.place.status()
    const told = this.launcher.killsAll ? failed.find(({ rank }) => rank === 2) : failed[0]
    expect(told).toMatchObject({ rank: 2, host: hostname(), pid: this.pid(2), recovered: false, ...cause })
    expect([this.logged(2) - 1, this.logged(2)]).toContain(told!.lastStep)
    const who = this.launcher.killsAll ? 'rank \\d' : `rank 2 on ${hostname()} \\(pid ${this.pid(2)}\\)`
    expect(screen).toMatch(new RegExp(`first failure: ${who}`))
  }
}

const ranks = (size = RANKS): number[] => Array.from({ length: size }, (_, rank) => rank)
