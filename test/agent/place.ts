import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AgentOptions } from '../../lib/agent/index.ts'
import { createJournal, newInstanceId, procStart, type JournalWriter } from '../../lib/journal/index.ts'
import { Kind, type Origin } from '../../lib/record/index.ts'

/** Directories of one test, in shared memory and on disk, with the options of an agent that works in them. */
export interface Place {
  root: string
  shm: string
  options: AgentOptions
  remove(): void
}

export function makePlace(over: Partial<AgentOptions> = {}): Place {
  const root = mkdtempSync(join(tmpdir(), 'rz-agent-'))
  const shm = mkdtempSync('/dev/shm/rz-agent-test-')
  const dir = join(root, 'runs')
  mkdirSync(dir)
  const options: AgentOptions = {
    meeting: randomBytes(16).toString('hex'), run: null, dir, lockDir: join(root, 'locks'), node: hostname(),
    env: { RANKZERO_SHM_DIR: shm }, spoolCap: 1 << 30, overflowCap: 256 << 20, exitTimeoutMs: 10_000,
    everyNode: false,
    systemMetricsMs: 10_000, secretFile: null,
    startHead: () => {}, ...over,
  }
  mkdirSync(options.lockDir)
  return {
    root, shm, options,
    remove() {
      rmSync(root, { recursive: true, force: true })
      rmSync(shm, { recursive: true, force: true })
    },
  }
}

const BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()

export function originOf({ options }: Place, over: Partial<Origin> = {}): Origin {
  return {
    instance: newInstanceId(), meeting: options.meeting, run: null,
    role: 'worker', rank: 0, worldSize: 1, localRank: 0,
    node: hostname(), bootId: BOOT, pidns: 0, pid: process.pid, procStart: procStart(process.pid),
    startedAt: Date.now(), dir: options.dir, cli: '', ...over,
  }
}

/** A logger reduced to its journal: one metric, values that follow from the step. */
export class Owner {
  readonly origin: Origin
  readonly journal: JournalWriter
  logged = 0
  #step = 0

  constructor(place: Place, over: Partial<Origin> = {}, o: { overflowCap?: number } = {}) {
    this.origin = originOf(place, over)
    this.journal = createJournal({
      origin: this.origin, env: place.options.env, overflowCap: o.overflowCap ?? 256 << 20, localWorldSize: 1,
    })
    this.journal.payload(Kind.open, { source: 'single' }, Date.now())
    this.journal.define(0, ['loss'], Date.now())
  }

  get instance(): string { return this.origin.instance }

  log(count = 1): void {
    for (let i = 0; i < count; i++) {
      const step = this.#step++
      const at = this.journal.begin(1, false)
      if (at < 0) {
        this.journal.drop(0, 1)
        continue
      }
      this.journal.f64[at] = valueOf(step)
      this.journal.commit(0, 1, step, NaN, Date.now())
      this.logged++
    }
  }

  end(exit = 0): void {
    this.journal.payload(Kind.end, { exit, logged: this.journal.logged, refused: 0 }, Date.now())
    this.journal.close()
  }
}

export const valueOf = (step: number): number => Math.fround(Math.sin(step))

export const expected = (count: number, from = 0): [number, number][] =>
  Array.from({ length: count }, (_, i) => [from + i, valueOf(from + i)])
