/** What hangs: a disk that answers nobody, processes that are stopped; and how long it may be waited for. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect } from 'vitest'
import { sleep, TRAINER, type Ended, type Started } from '../scenario/harness.ts'

const SERVER = resolve(import.meta.dirname, 'disk.py')
export const NODE_TRAINER = [process.execPath, TRAINER]

/** For a machine with many other things to do; what has no bound takes longer than any of this. */
export const SLACK_MS = 20_000

/** A directory on a disk that hangs when it is told to: whoever asks it then cannot even be killed. */
export class Disk {
  private readonly root = mkdtempSync(join(tmpdir(), 'rz-disk-'))
  readonly path = join(this.root, 'disk')
  private readonly server: ChildProcess
  private readonly ready: Promise<unknown>

  private constructor() {
    const backing = join(this.root, 'backing')
    for (const dir of [this.path, backing]) mkdirSync(dir)
    this.server = spawn('python3', [SERVER, backing, this.path], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.ready = once(this.server.stdout!, 'data')
  }

  static async make(): Promise<Disk> {
    const disk = new Disk()
    await disk.ready
    return disk
  }

  hang = (): Promise<void> => this.tell('hang')
  go = (): Promise<void> => this.tell('go')

  /** Who still waits goes on, and the disk is away. */
  async dispose(): Promise<void> {
    if (this.server.exitCode !== null) return
    const gone = once(this.server, 'exit')
    this.server.stdin!.end()
    await gone
    rmSync(this.root, { recursive: true, force: true })
  }

  private async tell(word: string): Promise<void> {
    const heard = once(this.server.stdout!, 'data')
    this.server.stdin!.write(`${word}\n`)
    await heard
  }
}

/** Waits no longer than this: then it says who waits for what in the kernel. */
export async function endedWithin(started: Started, ms: number): Promise<Ended> {
  const done = await Promise.race([started.ended, sleep(ms)])
  if (done) return done
  const { exitCode, signalCode } = started.child
  const who = await new Promise<string>((told) => {
    const look = 'ps -eo pid,ppid,stat,wchan:30,args; for p in /proc/[0-9]*; do'
      + ' grep -qs "^State:.D" $p/status && { echo "$p:"; cat $p/stack; }; done'
    execFile('sh', ['-c', look], { timeout: 10_000, killSignal: 'SIGKILL' }, (_, stdout) => told(stdout))
  })
  throw new Error(`not ended within ${ms} ms (exit ${exitCode ?? signalCode}): ${started.stderr()}\n${who}`)
}

/** It ended within its bound, which is real time from its start unless `from` says a later one. */
export function expectWithin(done: Ended, boundMs: number, from = 0): void {
  expect(done.ms - from, `${done.stderr}\nbound ${boundMs} ms`).toBeLessThan(boundMs + SLACK_MS)
}
