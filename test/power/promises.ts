/**
 * What was promised to somebody at each point of a recorded run: what was acknowledged, which terms were
 * shown.
 */
import { basename } from 'node:path/posix'
import { AGENT_COPY, HEADER } from '../../lib/journal/format.ts'
import { CELL } from '../../lib/journal/cells.ts'
import type { Endpoint } from '../../lib/record/run-status.ts'
import type { Disk } from './disk.ts'
import type { Op } from './trace.ts'

export class Promises {
  /**
   * Per instance: every record up to this seq is in the ledger or in the spool. The agent writes it into the
   * header of a journal when the acknowledgement has come, or the spool's fsync has.
   */
  readonly safe = new Map<string, number>()
  /** The highest term that was told to anybody, of the run and of each key's lock (by its path). */
  term = 0
  readonly keys = new Map<string, number>()
  run: { dir: string; meeting: string } | null = null
  readonly #all: ReadonlyMap<string, number>

  /** `all`: last seq of each instance. */
  constructor(all: ReadonlyMap<string, number>) {
    this.#all = all
  }

  /** After `op` was applied to the disk. `termOf` reads the lock database at a path. */
  note(op: Op, disk: Disk, termOf: (path: string) => number): void {
    const instance = basename(op.path).split('.')[0]!
    if (op.type === 'write' && op.path.endsWith('.jnl') && op.at === HEADER.agent) {
      const cell = (at: number): number =>
        Math.min(op.data.readDoubleLE(8 * at), op.data.readDoubleLE(8 * (at + AGENT_COPY)))
      this.#raise(instance, Math.max(cell(CELL.trimmed), cell(CELL.acked)))
    } else if (op.type === 'unlink' && op.path.endsWith('.jnl')) {
      this.#raise(instance, this.#all.get(instance) ?? 0)
    } else if (op.type === 'rename' && op.to.endsWith('/endpoint.json')) {
      const { dir, meeting, term } = JSON.parse(disk.read(op.to)!.toString()) as Endpoint
      this.run = { dir, meeting }
      this.term = Math.max(this.term, term)
    } else if (op.type === 'rename' && /\/[0-9a-f]{64}\.json$/.test(op.to)) {
      const path = op.to.replace(/json$/, 'lock')
      this.keys.set(path, termOf(path))
    }
  }

  #raise(instance: string, seq: number): void {
    this.safe.set(instance, Math.max(this.safe.get(instance) ?? 0, seq))
  }
}
