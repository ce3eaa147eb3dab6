/**
 * What may hang for ever, done aside: by a small process that is waited for within a time, and then left.
 *
 * In: a program, or a path on a disk that may not answer. Out: what it said, or null: nothing in time.
 * Invariants: the caller never waits longer than it says, also where the kernel lets nobody go: a thread that
 * waits for a dead disk keeps its whole process from exiting, and Node joins its threads at exit (a stuck
 * name lookup, too), so neither async fs nor a worker thread would do. One process at most per stuck path.
 * It does not make a dead disk writable, and gives no promise for the next call.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { errnoOf } from './errors.ts'
import { DISK_ANSWER_MS, JSON_FILE_BYTES_MAX } from './limits.ts'

export interface Answer {
  status: number | null
  stdout: string
  stderr: string
}

/** The shell is what we start, so that a PATH on a dead disk stops it and not us. */
const PROGRAM = 'PATH=/usr/bin:/bin:$PATH; exec "$@"'
/** A stuck child of the shell is left behind with it. */
const PROGRAM_LEFT = 'PATH=/usr/bin:/bin:$PATH; "$@" & wait $!'
/**
 * Asks the nearest directory that is there for a read and, without changing anything but a time of access, a
 * write.
 */
const TOUCH = 'd=$1; while [ -n "$d" ] && [ ! -e "$d" ]; do d=${d%/*}; done; exec touch -ca -- "${d:-/}"'
const READ = '[ -f "$1" ] && { [ -z "$3" ] || { [ -O "$1" ] && [ ! -L "$1" ]; }; }'
  + ' && exec head -c "$2" -- "$1"'
const touching = (path: string): string[] => ['sh', '-c', TOUCH, 'rankzero', path]

/** What was asked and has not ended yet: nobody asks it a second time. */
const asked = new Map<string, Promise<Answer | null>>()

/** What a program says within `ms`; null: nothing. It is never waited for longer, whatever holds it. */
export async function ask(argv: readonly string[], ms: number): Promise<Answer | null> {
  const what = argv.join('\0')
  return within(asked.get(what) ?? start(argv, what), ms)
}

/** What is said within `ms`; null: nothing. */
async function within<T>(answer: Promise<T>, ms: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => { timer = setTimeout(resolve, Math.max(0, ms), null) })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}

/** It keeps nobody here. One that hangs goes when it can. */
function start(argv: readonly string[], what: string): Promise<Answer | null> {
  const child = spawn('/bin/sh', ['-c', PROGRAM, 'rankzero', ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'], cwd: '/', detached: true,
  })
  child.unref()
  const texts = ['', '']
  for (const [i, pipe] of [child.stdout, child.stderr].entries()) {
    pipe.setEncoding('utf8').on('data', (text: string) => { texts[i] += text }).on('error', () => {})
    ;(pipe as Socket).unref()
  }
  const answer = new Promise<Answer | null>((resolve) => {
    const done = (status: number | null): void => {
      asked.delete(what)
      resolve({ status, stdout: texts[0]!, stderr: texts[1]! })
    }
    child.on('close', done).on('error', () => done(null))
  })
  asked.set(what, answer)
  return answer
}

export interface ReadOptions {
  ms?: number
  /** It must be ours, and no link (files.ts says why). */
  own?: boolean
}

/** Content of a plain file; '': there is none that can be read, null: the disk says nothing in time. */
export async function readAside(path: string, { ms = DISK_ANSWER_MS, own }: ReadOptions = {}) {
  return contentOf(await ask(reading(path, own), ms))
}

/** The same as JSON: null when there is none, or no answer. */
export async function jsonAside<T>(path: string, options?: ReadOptions): Promise<T | null> {
  return parseJson<T>(await readAside(path, options) ?? '')
}

/** For a process that has no event loop yet. */
export const readAsideSync = (path: string): string | null =>
  contentOf(askSync(reading(path), DISK_ANSWER_MS))

const reading = (path: string, own = false): string[] =>
  ['sh', '-c', READ, 'rankzero', path, String(JSON_FILE_BYTES_MAX), own ? 'own' : '']

const contentOf = (answer: Answer | null): string | null =>
  answer === null ? null : answer.status === 0 ? answer.stdout : ''

/**
 * For each line that comes in: the file if it is another one than the last time (it is replaced, never
 * written to), then a zero byte. Only a file that changed costs a process more.
 */
const WATCH = 'PATH=/usr/bin:/bin:$PATH; while read -r _; do'
  + ' if ! [ /proc/self/fd/9 -ef "$1" ] && [ -f "$1" ] && command exec 9<"$1"; then head -c "$2" <&9; fi;'
  + ' printf "\\0"; done'

/** Looks at one file again and again by one process, which stays; it goes with us, or by `close`. */
export class Watch {
  readonly #path: string
  #child: ChildProcess | null = null
  #answer: Promise<string> | null = null

  constructor(path: string) {
    this.#path = path
  }

  /** Content if it changed since the last look, '' if not; null: no answer yet, the next look may have it. */
  async look(ms: number): Promise<string | null> {
    const text = await within(this.#answer ??= this.#ask(), ms)
    if (text !== null) this.#answer = null
    return text
  }

  close(): void {
    if (this.#child?.pid === undefined) return
    try {
      // With a `head` that waits for the disk.
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      // It has gone already.
    }
  }

  #ask(): Promise<string> {
    const { stdin, stdout } = this.#child ??= this.#start()
    return new Promise((resolve) => {
      let said = ''
      const done = (): void => {
        stdout!.off('data', heard).off('close', done)
        resolve(said)
      }
      const heard = (text: string): void => {
        said += text
        if (!text.endsWith('\0')) return
        said = said.slice(0, -1)
        done()
      }
      stdout!.on('data', heard).on('close', done)
      stdin!.write('\n')
    })
  }

  #start(): ChildProcess {
    const child = spawn('/bin/sh', ['-c', WATCH, 'rankzero', this.#path, String(JSON_FILE_BYTES_MAX)], {
      stdio: ['pipe', 'pipe', 'ignore'], cwd: '/', detached: true,
    })
    child.unref()
    child.on('error', () => {}).on('close', () => { this.#child = null })
    for (const pipe of [child.stdin, child.stdout]) (pipe.on('error', () => {}) as Socket).unref()
    child.stdout.setEncoding('utf8')
    return child
  }
}

/** Which of these paths give no answer, whether or not they are there. */
export async function silentOf(paths: readonly string[], ms: number = DISK_ANSWER_MS): Promise<string[]> {
  const silent = await Promise.all(paths.map(async (path) => await ask(touching(path), ms) === null))
  return paths.filter((_, i) => silent[i])
}

/** Resolves when a path answers, which may be never; nothing here waits for it. */
export async function answered(path: string): Promise<unknown> {
  const argv = touching(path)
  const what = argv.join('\0')
  return asked.get(what) ?? start(argv, what)
}

export const answersSync = (path: string, ms: number = DISK_ANSWER_MS): boolean =>
  askSync(touching(path), ms) !== null

function askSync(argv: readonly string[], ms: number): Answer | null {
  const all = ['-c', PROGRAM_LEFT, 'rankzero', ...argv]
  const { error, status, stdout, stderr } = spawnSync('/bin/sh', all, {
    stdio: ['ignore', 'pipe', 'pipe'], cwd: '/', encoding: 'utf8', timeout: ms, killSignal: 'SIGKILL',
    maxBuffer: Infinity,
  })
  return errnoOf(error) === 'ETIMEDOUT' ? null : { status, stdout, stderr }
}

export function parseJson<T>(text: string): T | null {
  try {
    return JSON.parse(text) as T
  } catch {
    return null
  }
}

const LOOKUP = 'require("dns").lookup(process.argv[1], { all: true }, (_, found) =>'
  + ' console.log(JSON.stringify((found ?? []).map((one) => one.address))))'

/** Addresses of a name; null: nobody said so in time. */
export async function lookupAside(name: string, ms: number): Promise<string[] | null> {
  const answer = await ask([process.execPath, '-e', LOOKUP, '--', name], ms)
  return answer === null ? null : parseJson<string[]>(answer.stdout) ?? []
}
