/**
 * Real processes for the scenarios: a place of its own per test (run, lock and shared-memory directories),
 * the built command line, seeded instants, and the oracle's reading of what came out.
 */
import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process'
import {
  existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Audit, Point, Row } from '../../lib/aggregator/core-types.ts'
import { readStatus } from '../../lib/backend/local.ts'
import { sleepSync } from '../../lib/clock.ts'
import type { RunStatus } from '../../lib/record/run-status.ts'

export const CLI = resolve(import.meta.dirname, '../../dist/cli/main.js')
export const TRAINER = resolve(import.meta.dirname, 'trainer.js')
/** How often each randomised scenario runs (the counts are for the note). */
export const ROUNDS = Number(process.env['RANKZERO_TEST_ROUNDS'] ?? 3)
export const SEED = Number(process.env['RANKZERO_TEST_SEED'] ?? Date.now() % 1e9)

/** Printed seeds replay the instants as far as the machine lets them. */
export { generator as random } from '../../lib/cli/drill/core-plan.ts'

export const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

/** How often `dispose` looks for what is left, and how long it waits between (ms): ten seconds at most. */
const [DISPOSE_LOOKS, DISPOSE_PAUSE_MS] = [500, 20]

/** Between two looks of `until` (ms): a look at every process costs some, so who waits longer looks less. */
const LOOK_MS = { first: 20, last: 100, ofWaited: 1 / 50 }

export async function until<T>(
  what: string,
  ms: number,
  look: () => T | null | undefined | false,
): Promise<T> {
  const begun = performance.now()
  for (;;) {
    const got = look()
    if (got !== null && got !== undefined && got !== false) return got
    const waited = performance.now() - begun
    if (waited > ms) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(Math.min(LOOK_MS.first + waited * LOOK_MS.ofWaited, LOOK_MS.last))
  }
}

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  ms: number
}

export interface Started {
  child: ChildProcess
  stdout: () => string
  stderr: () => string
  ended: Promise<Ended>
}

export function begin(argv: string[], options: SpawnOptions): Started {
  const begun = performance.now()
  const child = spawn(argv[0]!, argv.slice(1), options)
  let stdout = ''
  let stderr = ''
  child.stdout!.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr!.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = new Promise<Ended>((done, fail) => {
    child.on('error', fail)
    child.on('close', (code, signal) =>
      done({ code, signal, stdout, stderr, ms: performance.now() - begun }),
    )
  })
  return { child, stdout: () => stdout, stderr: () => stderr, ended }
}

/** One test's own world; `dispose` sweeps its processes by the tag in their environment. */
export class Place {
  readonly root = mkdtempSync(join(tmpdir(), 'rz-'))
  readonly dir = join(this.root, 'runs')
  readonly shm = `/dev/shm/rz-test-${this.root.slice(-6)}`
  readonly locks = join(this.root, 'locks')
  readonly cli = CLI
  readonly env: NodeJS.ProcessEnv

  constructor(extra: NodeJS.ProcessEnv = {}) {
    const clean = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !/^(RANKZERO|RANK$|WORLD_SIZE|LOCAL_|SLURM|OMPI|PMI|MASTER_|VITEST)/.test(name),
      ),
    )
    mkdirSync(join(this.root, 'home'))
    this.env = {
      ...clean,
      HOME: join(this.root, 'home'),
      RZ_TEST_TAG: this.root,
      RANKZERO_DIR: this.dir,
      RANKZERO_SHM_DIR: this.shm,
      RANKZERO_LOCK_DIR: this.locks,
      ...extra,
    }
  }

  /** `rankzero ARGS`, or another program when `args[0]` is a path. */
  start(
    args: string[],
    env: NodeJS.ProcessEnv = {},
    cwd = this.root,
    stdin: 'ignore' | 'pipe' = 'ignore',
  ): Started {
    const argv = args[0]?.startsWith('/') ? args : [process.execPath, CLI, ...args]
    return begin(argv, { cwd, env: { ...this.env, ...env }, stdio: [stdin, 'pipe', 'pipe'] })
  }

  run(args: string[], env: NodeJS.ProcessEnv = {}, cwd?: string): Promise<Ended> {
    return this.start(args, env, cwd).ended
  }

  json<T>(args: string[]): T {
    const done = spawnSync(process.execPath, [CLI, ...args], {
      env: this.env,
      cwd: this.root,
      maxBuffer: 1 << 30,
    })
    const text = done.stdout.toString()
    if (text === '')
      throw new Error(`rankzero ${args.join(' ')} printed nothing, status ${done.status}: ${done.stderr}`)
    return JSON.parse(text) as T
  }

  private lines<T>(args: string[]): T[] {
    const out = join(this.root, `export-${Math.random()}.jsonl`)
    const done = spawnSync(process.execPath, [CLI, 'export', ...args, '--out', out], {
      env: this.env,
      cwd: this.root,
    })
    if (done.status !== 0) throw new Error(`export ${args.join(' ')}: status ${done.status}: ${done.stderr}`)
    return readFileSync(out, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as T)
  }

  rows = (run = 'latest', ...args: string[]): Row[] => this.lines<Row>([run, ...args])
  points = (run = 'latest', ...args: string[]): Point[] => this.lines<Point>([run, '--points', ...args])
  audit = (run = 'latest'): Audit => this.json<Audit>(['audit', run, '--json'])
  status = (run = 'latest'): RunStatus & { reason: string | null } => this.json(['status', run, '--json'])

  /** For a trainer that logs until `stop`: whatever happens meanwhile, no machine is too slow for it. */
  get endless(): NodeJS.ProcessEnv {
    return { T_STEPS: '1e9', T_STOP: join(this.root, 'stop'), T_TRUTH: join(this.root, 'truth') }
  }

  stop(): void {
    writeFileSync(this.endless['T_STOP']!, '')
  }

  /** Steps that a rank with T_TRUTH has logged. */
  steps(rank: number): number {
    const file = join(this.root, `truth.${rank}`)
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0
  }

  /** What the head wrote last, of the newest run, read as a file: to wait for, without a process per look. */
  picture(run = this.runs().at(-1) ?? '', dir = this.dir): RunStatus | null {
    return readStatus(join(dir, run))
  }

  runs(): string[] {
    try {
      return readdirSync(this.dir)
        .filter((name) => /^\d{8}-/.test(name))
        .sort()
    } catch {
      return []
    }
  }

  /** Processes of this test that are alive, by what they are. */
  processes(kind?: 'agent' | 'aggregator' | 'trainer'): number[] {
    return tagged(this.root)
      .filter(({ cmd }) =>
        kind === undefined ? true : kind === 'trainer' ? cmd[1] === TRAINER : cmd[2] === kind,
      )
      .map(({ pid }) => pid)
  }

  /** One live process of this kind. */
  one(kind: 'agent' | 'aggregator' | 'trainer'): Promise<number> {
    return until(`a live ${kind}`, 60_000, () => this.processes(kind)[0])
  }

  shmFiles(): string[] {
    try {
      return readdirSync(this.shm)
    } catch {
      return []
    }
  }

  /** Until nobody is left: one that was being started, or is not gone yet, would make its files anew. */
  dispose(): void {
    for (let looks = 0; looks < DISPOSE_LOOKS; looks++) {
      const left = tagged(this.root)
      if (left.length === 0) break
      for (const { pid } of left) kill(pid)
      sleepSync(DISPOSE_PAUSE_MS)
    }
    rmSync(this.shm, { recursive: true, force: true })
    rmSync(this.root, { recursive: true, force: true })
  }
}

function tagged(tag: string): { pid: number; cmd: string[] }[] {
  const found: { pid: number; cmd: string[] }[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue
    try {
      if (!readFileSync(`/proc/${name}/environ`, 'utf8').includes(`RZ_TEST_TAG=${tag}`)) continue
      readlinkSync(`/proc/${name}/exe`)
      const cmd = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')
      found.push({ pid: Number(name), cmd })
    } catch {
      // Gone between two looks, or a zombie.
    }
  }
  return found
}

export function kill(pid: number | undefined, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    if (pid !== undefined) process.kill(pid, signal)
  } catch {
    // It went by itself: the fault came too late, which is one of the instants.
  }
}
