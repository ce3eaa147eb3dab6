import { spawn, spawnSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Pipe {
  read: number
  write: number
}

/**
 * Real pipes. What Node makes for children are sockets, which programs cannot open as /dev/stdout, and which
 * nobody but us can read on. Null: they cannot be made here.
 */
export function makePipes(count: number): Pipe[] | null {
  const pipes: Pipe[] = []
  let dir: string | null = null
  try {
    dir = mkdtempSync(join(tmpdir(), 'rankzero-'))
    const paths = Array.from({ length: count }, (_, i) => join(dir!, `${i}`))
    if (spawnSync('mkfifo', ['-m', '600', ...paths], { stdio: 'ignore' }).status !== 0) return null
    for (const path of paths) {
      const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
      pipes.push({ read, write: -1 })
      pipes.at(-1)!.write = openSync(path, 'w')
    }
    return pipes
  } catch {
    for (const fd of pipes.flatMap(({ read, write }) => [read, write])) if (fd >= 0) closeSync(fd)
    return null
  } finally {
    if (dir !== null) rmSync(dir, { recursive: true, force: true })
  }
}

/**
 * Waits for a word of ours; without it, we were killed, and the workers' output still needs a reader. Who
 * opens a FIFO without a writer waits for one: here it is himself, for that moment, since all may be gone.
 */
const KEEP_READING = 'read -r _ && exit 0\n'
  + 'n=3\n'
  + 'for file; do (exec <>"/dev/fd/$n"; exec cat <"/dev/fd/$n" >>"$file") & n=$((n + 1)); done\n'
  + 'wait\n'

/**
 * A small process that holds the pipes as well: when this one is killed, workers that print go on, as they
 * would on a terminal, and their output goes to `files`. Returns what sends it away.
 */
export function keepReading(pipes: readonly Pipe[], files: readonly string[]): () => void {
  const child = spawn('/bin/sh', ['-c', KEEP_READING, 'rankzero', ...files], {
    stdio: ['pipe', 'ignore', 'ignore', ...pipes.map(({ read }) => read)], detached: true, cwd: '/',
  })
  child.on('error', () => {})
  child.stdin!.on('error', () => {})
  child.unref()
  return () => child.stdin!.end('done\n')
}
