/**
 * Tells whether a signal came to our whole process group or to us alone: a child in the group that dies of
 * what the group gets. COMMAND is in the group too, and a launcher that is told twice does worse than one
 * that is not told: mpirun leaves at once, and its ranks live on.
 *
 * In: a signal that we have just got. Out: whether the group got it. Invariants: it never outlives us (its
 * standard input ends with us); without it a signal counts as ours alone.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { monotonicMs } from '../clock.ts'
import { CANARY_MS } from '../limits.ts'

/** No core file of a QUIT. */
const SITS = ['-c', 'ulimit -c 0; exec cat']

export class Canary {
  private child: ChildProcess | null = null
  private fell = { signal: '', at: -Infinity }
  private waiting: (() => void) | null = null
  private closed = false

  constructor() {
    this.sit()
  }

  /** Bounded by CANARY_MS. */
  async fellOf(signal: NodeJS.Signals): Promise<boolean> {
    const asked = monotonicMs()
    const isIt = (): boolean => this.fell.signal === signal && this.fell.at > asked - CANARY_MS
    if (this.child === null && !isIt()) return false
    if (!isIt()) {
      await new Promise<void>((resolve) => {
        this.waiting = resolve
        setTimeout(resolve, CANARY_MS)
      })
    }
    this.waiting = null
    const fell = isIt()
    if (fell) this.fell.at = -Infinity
    return fell
  }

  close(): void {
    this.closed = true
    this.child?.kill('SIGKILL')
  }

  private sit(): void {
    const child = spawn('/bin/sh', SITS, { stdio: ['pipe', 'ignore', 'ignore'] })
    child.on('error', () => { this.child = null })
    child.stdin.on('error', () => {})
    child.on('exit', (_, signal) => {
      this.child = null
      if (this.closed || signal === null) return
      this.fell = { signal, at: monotonicMs() }
      this.sit()
      this.waiting?.()
    })
    child.unref()
    ;(child.stdin as unknown as { unref?: () => void }).unref?.()
    this.child = child
  }
}
