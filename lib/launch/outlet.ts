import { spawn } from 'node:child_process'
import { constants, fstatSync, openSync, write, writeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { isatty } from 'node:tty'
import { monotonicMs } from '../clock.ts'
import { errnoOf } from '../errors.ts'
import {
  CONSOLE_QUEUE_BYTES, CONSOLE_RETRY_MS_MAX, CONSOLE_RETRY_MS_MIN, CONSOLE_STALL_MS,
} from '../limits-console.ts'

/** Writes some of `bytes`; 0 when there is no room now. Never before the caller has returned. */
type Put = (bytes: Uint8Array, done: (error: Error | null, written: number) => void) => void

export interface OutletEvents {
  /** It has room again. */
  onRoom: () => void
  /** It takes nothing any more; told once. */
  onFailure?: (error: Error) => void
  /** What stands in place of `bytes` that were left out. */
  gap: (bytes: number) => string
}

/** At most this much goes in one system call. */
const CHUNK_BYTES = 256 * 1024

/**
 * A bounded queue before something that may be slow, stand still or be full: a terminal, a pipe, a disk.
 * It never blocks the event loop, which holds the signals and the workers. When it is full, whoever feeds it
 * should wait, at most CONSOLE_STALL_MS, or CONSOLE_FILE_STALLS times that for a file; after `giveUp()`
 * it leaves out whole pieces until it is empty, and says how much that was.
 */
export class Outlet {
  private readonly put: Put
  private readonly events: OutletEvents
  private queue: Uint8Array[] = []
  private bytes = 0
  private busy = false
  private leavesOut = false
  private missing = 0
  private broken = false
  private movedAt = 0

  constructor(put: Put, events: OutletEvents) {
    this.put = put
    this.events = events
  }

  write(piece: string | Uint8Array): void {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
    if (this.broken || bytes.length === 0) return
    if (this.leavesOut) {
      this.missing += bytes.length
      return
    }
    if (this.bytes === 0) this.movedAt = monotonicMs()
    this.queue.push(bytes)
    this.bytes += bytes.length
    this.pump()
  }

  /** Whoever feeds it should wait for `onRoom`. */
  get isFull(): boolean {
    return !this.leavesOut && this.bytes >= CONSOLE_QUEUE_BYTES
  }

  /** Nobody waits for it any more; `unlessSince`: but for one that took something since then. */
  giveUp(unlessSince = Infinity): void {
    if (this.isFull && this.movedAt < unlessSince) this.leavesOut = true
  }

  /** Everything is written, or nothing moved for CONSOLE_STALL_MS after `begun`. */
  isDone(begun: number): boolean {
    if (this.broken || this.bytes === 0) return true
    return monotonicMs() - Math.max(begun, this.movedAt) > CONSOLE_STALL_MS
  }

  private pump(): void {
    if (this.busy || this.bytes === 0) return
    this.busy = true
    const chunk = this.queue.length === 1 ? this.queue[0]! : Buffer.concat(this.queue)
    this.queue = [chunk]
    this.put(chunk.subarray(0, CHUNK_BYTES), (error, written) => {
      this.busy = false
      if (error !== null) return this.fail(error)
      if (written > 0) this.movedAt = monotonicMs()
      const wasFull = this.isFull
      const rest = chunk.subarray(written)
      if (rest.length > 0) this.queue[0] = rest
      else this.queue.shift()
      this.bytes -= written
      if (this.bytes === 0) this.fillGap()
      this.pump()
      if (wasFull && !this.isFull) this.events.onRoom()
    })
  }

  private fillGap(): void {
    this.leavesOut = false
    if (this.missing === 0) return
    const note = this.events.gap(this.missing)
    this.missing = 0
    this.write(note)
  }

  /** It takes nothing any more. */
  fail(error: Error): void {
    if (this.broken) return
    this.broken = true
    this.queue = []
    this.bytes = 0
    this.events.onFailure?.(error)
    this.events.onRoom()
  }
}

/** Our own output, where it is a regular file: its writes may wait for a disk, another thread makes them. */
const fileWriter = (fd: number): Put => (bytes, done) => {
  write(fd, bytes, 0, bytes.length, null, (error, written) => done(error, written ?? 0))
}

/** Terminals, pipes and sockets that say EAGAIN when they are full. */
function eagerWriter(fd: number): Put {
  let pause = CONSOLE_RETRY_MS_MIN
  return (bytes, done) => {
    let written = 0
    let failure: Error | null = null
    try {
      written = writeSync(fd, bytes)
      pause = CONSOLE_RETRY_MS_MIN
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') failure = error as Error
    }
    if (written === bytes.length || failure !== null) return void queueMicrotask(() => done(failure, written))
    setTimeout(done, pause, null, written)
    pause = Math.min(pause * 2, CONSOLE_RETRY_MS_MAX)
  }
}

/** Ends a line that an earlier life of the run left open. */
const APPEND = '[ "$2" ] && [ -s "$1" ] && echo >>"$1"\nexec cat >>"$1"'

/**
 * A file that is appended to by a small process of its own: a thread of ours that waits for a dead disk would
 * keep us from exiting. `ended` tells when all of it is written.
 */
export function fileOutlet(
  path: string, events: OutletEvents, options: { newLine?: boolean } = {},
): { outlet: Outlet; end: () => void; ended: () => boolean } {
  const child = spawn('/bin/sh', ['-c', APPEND, 'rankzero', path, options.newLine ? 'x' : ''], {
    stdio: ['pipe', 'ignore', 'pipe'], detached: true, cwd: '/',
  })
  let said = ''
  let over = false
  child.unref()
  const pipe = child.stdin as Socket
  pipe.unref()
  pipe.on('error', () => {})
  ;(child.stderr as Socket).setEncoding('utf8').on('data', (text: string) => { said += text }).unref()
  const outlet = new Outlet((bytes, done) => {
    pipe.write(bytes, (error) => error == null ? done(null, bytes.length) : setImmediate(() => fail()))
  }, events)
  const fail = (): void => outlet.fail(new Error(said.trim().split('\n').at(-1) ?? 'its writer is gone'))
  child.on('error', (error) => {
    over = true
    outlet.fail(error)
  }).on('close', (status) => {
    over = true
    if (status !== 0) fail()
  })
  return { outlet, end: () => pipe.end(), ended: () => over }
}

/** Our own standard output or error. */
export function standardOutlet(stream: NodeJS.WriteStream & { fd: number }, events: OutletEvents): Outlet {
  const { fd } = stream
  // Node has made a pipe or socket non-blocking by now (the stream was touched), but a terminal blocking: it
  // is opened once more, so that whoever shares it with us notices nothing.
  if (isatty(fd)) return new Outlet(eagerWriter(again(fd)), events)
  return new Outlet(fstatSync(fd).isFile() ? fileWriter(fd) : eagerWriter(fd), events)
}

function again(fd: number): number {
  try {
    return openSync(`/dev/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return fd // Another user's terminal: it may block us, as it would block COMMAND.
  }
}
