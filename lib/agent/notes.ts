import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openDiary, type Diary } from '../diary.ts'
import { whyNotOurs } from '../files.ts'

/** Facts told once; a place that fails anew each second must not fill the diary. */
const TOLD_MAX = 1000

/** What is said before there is a file is kept for it: stderr of a daemon is nobody's. */
const EARLY_MAX = 100

/** The agent's diary: on stderr until the run directory is known, then in it. */
export class Notes {
  #diary: Diary = openDiary('agent', null)
  #path: string | null = null
  readonly #told = new Set<string>()
  readonly #early: string[] = []

  /** `dir` is the run directory; on a node that does not share it, stderr stays the place. */
  moveTo(dir: string): void {
    const path = join(dir, 'log', 'agent.log')
    if (path === this.#path || !existsSync(dirname(dirname(path)))) return
    this.#open(path)
  }

  /** A file of this node, while no run directory can be seen from it; call again where it cannot be made. */
  stayAt(path: string): void {
    if (this.#path !== null) return
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    } catch {
      // A full disk stops no agent: what it has to say waits, and is on stderr.
      return
    }
    if (whyNotOurs(dirname(path)) === null) this.#open(path)
  }

  /** An event: each time it happens. */
  say(line: string): void {
    this.#write(line)
  }

  /** A condition: the first time that it is seen. */
  once(line: string): void {
    if (this.#told.has(line) || this.#told.size >= TOLD_MAX) return
    this.#told.add(line)
    this.#write(line)
  }

  #open(path: string): void {
    this.#path = path
    this.#diary = openDiary('agent', path)
    for (const line of this.#early.splice(0)) this.#diary(line)
  }

  #write(line: string): void {
    if (this.#path === null && this.#early.length < EARLY_MAX) this.#early.push(line)
    this.#diary(line)
  }
}
