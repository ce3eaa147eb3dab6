import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

/** The compiled library: real processes cannot run TypeScript on Node 20. */
export const DIST = resolve(process.env['RANKZERO_TEST_DIST'] ?? 'dist')

/** A child that answers in JSON lines. */
export class Child {
  readonly process: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(command: string, args: string[]) {
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.process.stdout! })[Symbol.asyncIterator]()
  }

  /** The next line; null after the last. */
  async next<T>(): Promise<T | null> {
    const line = await this.#lines.next()
    return line.done === true ? null : JSON.parse(line.value) as T
  }

  /** What it still said, until its end. */
  async rest<T>(): Promise<T[]> {
    const all: T[] = []
    for (let line = await this.next<T>(); line !== null; line = await this.next<T>()) all.push(line)
    return all
  }

  async ask<T>(word: string): Promise<T> {
    this.process.stdin!.write(`${word}\n`)
    return await this.next<T>() as T
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const exited = this.process.exitCode !== null || this.process.signalCode !== null
    this.process.kill(signal)
    if (!exited) await once(this.process, 'exit')
  }
}

export function nodeChild(script: string, ...args: string[]): Child {
  return new Child(process.execPath, [resolve(import.meta.dirname, 'child', script), DIST, ...args])
}
