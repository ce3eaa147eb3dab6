import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { FENCE_LOOK_MS } from '../limits.ts'
import { fencePath, readShared } from '../lock/index.ts'
import { native } from '../native.ts'
import { Adoption, type AdoptLook } from './core-adopt.ts'

export interface AdopterOptions {
  meeting: string
  /** Parent of the run directories. */
  dir: string
  /** Our host name. */
  node: string
}

/** Looks at the run directory that another node's head works in, as far as it is shared (core-adopt.ts). */
export class Adopter {
  readonly #options: AdopterOptions
  readonly #adoption = new Adoption(Math.random)
  #lookedAt = -Infinity

  constructor(options: AdopterOptions) {
    this.#options = options
  }

  /** The run whose lock was seen held from here, by another node. */
  get proved(): string | null {
    return this.#adoption.proved
  }

  /** Whether a head of `run` is to be started here now; `last`: the run that this node's last head served. */
  due(now: number, run: string | null, live: boolean, last: string | undefined): boolean {
    if (now - this.#lookedAt < FENCE_LOOK_MS) return false
    this.#lookedAt = now
    const { meeting, dir, node } = this.#options
    const shared = readShared(dir, meeting)
    const head = shared && { run: shared.run, here: shared.hostname === node }
    const lock = head === null ? 'unknown' : lockOf(join(dir, head.run))
    return this.#adoption.look({ now, run, head, ours: run === last, lock, live })
  }
}

/** Asked of the kernel, which asks the server of a network file system; nothing is locked by it. */
function lockOf(runDir: string): AdoptLook['lock'] {
  const path = fencePath(runDir)
  if (!existsSync(path)) return 'unknown'
  const holder = native.lockHolder(path)
  return holder === 0 ? 'free' : holder === -1 ? 'unknown' : 'held'
}
