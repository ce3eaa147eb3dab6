/**
 * Starts the agent and the aggregator as daemons: in a session of their own and re-parented, so that they
 * survive the trainer, its process group and a launcher that kills its tree.
 *
 * In: how our command line is called (`cliOf`), its arguments. Out: a started daemon and, if asked for, the
 * JSON lines it writes to descriptor 3 until it closes it. Invariants: nothing here throws because of the
 * daemon; only reading its lines keeps this process alive; a daemon never inherits the trainer's standard
 * streams. It does not wait for daemons, restart them or know what they do.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { withAbsolutePaths } from './config/settings.ts'
import { messageOf, RankzeroError } from './errors.ts'
import { DAEMON_MEMORY } from './limits.ts'
import { ownFile } from './package.ts'

type Env = Readonly<Record<string, string | undefined>>

/**
 * The shell forks the daemon into its own new session and leaves, so that the daemon's parent is init (or the
 * nearest subreaper). A log that cannot be written must not keep the daemon from starting. Not niced: at 10,
 * beside 8 busy threads a core, an agent's rounds took 3 s, and the run did not end within its limit.
 */
const DOUBLE_FORK = '{ true >>"$RANKZERO_DAEMON_LOG"; } 2>/dev/null || RANKZERO_DAEMON_LOG=/dev/null\n'
  + 'exec >>"$RANKZERO_DAEMON_LOG" 2>&1 </dev/null\n'
  + 'unset RANKZERO_DAEMON_LOG\n'
  + `export ${DAEMON_MEMORY}\n`
  + '"$@" &\n'

/** Meant for the trainer alone: options of its Node, its own loggers' marks. */
const NOT_FOR_DAEMONS = [
  'NODE_OPTIONS', 'NODE_CHANNEL_FD', 'NODE_UNIQUE_ID', 'NODE_V8_COVERAGE', 'RANKZERO_OWNER',
]

export interface SpawnOptions {
  /** Relative paths in our own variables are made absolute, since the daemon works elsewhere. */
  env: Env
  /** Default: the root directory, so that a daemon never keeps a file system busy. */
  cwd?: string
  /** Whether to give the daemon a pipe as descriptor 3 and to read JSON lines from it. */
  ready: boolean
  /** File that standard output and error are appended to; default /dev/null. */
  log?: string
}

/** What a daemon may say on descriptor 3; unknown fields are kept. */
export interface ReadyLine {
  waiting?: unknown
  /** Another aggregator serves this meeting already. */
  taken?: boolean
  ready?: Record<string, unknown>
  error?: { code: string; message: string; remedy: string; detail?: Record<string, unknown> }
}

export interface Daemon {
  /**
   * The daemon's lines in order; ends when it closed descriptor 3 or died. Empty without `ready`. A daemon
   * that could not be started, or a line that is not JSON, is an `{ error }` line.
   */
  lines: AsyncIterable<ReadyLine>
}

/** Starts `cli + args` as a daemon; returns at once. Never throws. */
export function spawnDaemon(cli: readonly string[], args: readonly string[], options: SpawnOptions): Daemon {
  const env: Record<string, string | undefined> = {
    ...withAbsolutePaths(options.env), RANKZERO_DAEMON_LOG: options.log ?? '/dev/null',
  }
  for (const name of NOT_FOR_DAEMONS) delete env[name]
  try {
    const child = spawn('/bin/sh', ['-c', DOUBLE_FORK, 'rankzero', ...cli, ...args], {
      env, cwd: options.cwd ?? '/', detached: true,
      stdio: ['ignore', 'ignore', 'ignore', options.ready ? 'pipe' : 'ignore'],
    })
    child.unref()
    let failure: unknown = null
    child.on('error', (error) => { failure = error })
    const pipe = child.stdio[3] as Socket | null | undefined
    pipe?.unref()
    return { lines: pipe ? readLines(pipe, () => failure) : noLines(() => failure) }
  } catch (error) {
    return { lines: noLines(() => error) }
  }
}

async function* readLines(pipe: Socket, failure: () => unknown): AsyncGenerator<ReadyLine> {
  // A daemon that is killed while it writes resets the pipe: that is its end, not an error of ours.
  pipe.on('error', () => pipe.destroy())
  pipe.ref()
  try {
    for await (const line of createInterface({ input: pipe, crlfDelay: Infinity })) {
      if (line.trim() !== '') yield parseLine(line)
    }
  } finally {
    pipe.destroy()
  }
  yield* noLines(failure)
}

async function* noLines(failure: () => unknown): AsyncGenerator<ReadyLine> {
  const cause = failure()
  if (cause !== null) yield { error: notStarted(messageOf(cause)) }
}

function parseLine(line: string): ReadyLine {
  try {
    return JSON.parse(line) as ReadyLine
  } catch {
    return { error: notStarted(`it wrote '${line.slice(0, 200)}'`) }
  }
}

function notStarted(why: string): NonNullable<ReadyLine['error']> {
  return {
    code: 'INTERNAL', message: `a daemon could not be started: ${why}`,
    remedy: 'Look at /bin/sh, RANKZERO_CLI and the limit on processes (ulimit -u), or ask rankzero doctor.',
  }
}

/**
 * How to call our command line, as argv: RANKZERO_CLI (a JSON array, or one path), else this package's own
 * file, else `rankzero` on PATH; null when there is none.
 * @throws RankzeroError USAGE when RANKZERO_CLI is a path of nothing, or a JSON array that is none.
 */
export function cliOf(env: Env, packagePath: string = ownFile('dist/cli/main.js')): string[] | null {
  const given = env.RANKZERO_CLI?.trim()
  if (given) return given.startsWith('[') ? argvOf(given) : callOf(existing(given))
  if (existsSync(packagePath)) return callOf(packagePath)
  for (const directory of (env.PATH ?? '').split(delimiter)) {
    const file = join(directory, 'rankzero')
    if (directory !== '' && isExecutable(file)) return [file]
  }
  return null
}

function callOf(path: string): string[] {
  if (/\.[cm]?js$/.test(path)) return [process.execPath, resolve(path)]
  return [path.includes('/') ? resolve(path) : path]
}

function existing(path: string): string {
  if (!path.includes('/') || existsSync(path)) return path
  throw new RankzeroError('USAGE', `RANKZERO_CLI is '${path}': no such file`,
    'Set RANKZERO_CLI to the path of the rankzero command, or unset it.')
}

function argvOf(json: string): string[] {
  try {
    const argv: unknown = JSON.parse(json)
    if (Array.isArray(argv) && argv.length > 0 && argv.every((part) => typeof part === 'string')) return argv
  } catch {
    // Told below, together with arrays of something else.
  }
  throw new RankzeroError('USAGE', `RANKZERO_CLI is '${json.slice(0, 200)}': not a JSON array of texts`,
    'Set RANKZERO_CLI to the path of the rankzero command, or to an array such as ["node","/x/main.js"].')
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
