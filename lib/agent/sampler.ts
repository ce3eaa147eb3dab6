/**
 * Agent, sampler: reads the node, its workers and its GPUs.
 *
 * In: /proc, nvidia-smi. Out: values under their names. Invariants: a look costs some dozen small reads, no
 * process and no wait; what cannot be read is left out; nvidia-smi runs beside, one at a time, for a bounded
 * time.
 */
import { execFile, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { GPU_QUERY_MS, SYSTEM_PROCESSES_MAX } from '../limits.ts'
import type { Origin } from '../record/index.ts'
import {
  cpuOf, diskOf, GPU_QUERY, gpusOf, memoryOf, networkOf, nodeValues, NODE_NAMES, rankNames, rankValues, rssOf,
  ticksOf, type NodeReading, type RankReading,
} from './core-system.ts'

export type Take = (names: readonly string[], values: readonly number[]) => void

export class Sampler {
  /** Hardware, not bridges and tunnels, which would count the same bytes again. */
  readonly #hardware = new Map<string, boolean>()
  readonly #nvidia: string | null
  readonly #ranks = new Map<string, RankReading>()
  #node: NodeReading
  #asking: ChildProcess | null = null

  /** The first rates are since now. @throws the system's error where there is no /proc. */
  constructor(env: NodeJS.ProcessEnv, at: number) {
    this.#nvidia = onPath('nvidia-smi', env)
    this.#node = this.#readNode(at)
  }

  /** `workers` live in our pid namespace. GPUs may be told later. */
  sample(workers: readonly Origin[], at: number, take: Take): void {
    const node = this.#readNode(at)
    take(NODE_NAMES, nodeValues(this.#node, node))
    this.#node = node
    for (const worker of workers) this.#sampleRank(worker, at, take)
    if (this.#nvidia !== null && this.#asking === null) this.#askGpus(this.#nvidia, take)
  }

  /** Called once a worker is known, so that its first rate is not since its birth. */
  watch(worker: Origin, at: number): void {
    const reading = readRank(worker, at)
    if (reading !== null) this.#ranks.set(worker.instance, reading)
  }

  close(): void {
    this.#asking?.kill('SIGKILL')
  }

  #sampleRank(worker: Origin, at: number, take: Take): void {
    const before = this.#ranks.get(worker.instance)
    const now = readRank(worker, at)
    if (now === null) {
      this.#ranks.delete(worker.instance)
      return
    }
    this.#ranks.set(worker.instance, now)
    if (before !== undefined) take(rankNames(worker.rank), rankValues(before, now))
  }

  #askGpus(path: string, take: Take): void {
    const args = [`--query-gpu=${GPU_QUERY}`, '--format=csv,noheader,nounits']
    const options = { timeout: GPU_QUERY_MS, killSignal: 'SIGKILL' } as const
    this.#asking = execFile(path, args, options, (error, stdout) => {
      this.#asking = null
      if (error === null) for (const { names, values } of gpusOf(stdout)) take(names, values)
    })
    // Nobody waits for it.
    this.#asking.unref()
  }

  #readNode(at: number): NodeReading {
    const cpu = cpuOf(read('/proc/stat'))
    const memory = memoryOf(read('/proc/meminfo'))
    // In a container the one interface has no device of its own.
    const net = networkOf(optional('/proc/net/dev'), (name) =>
      name === 'eth0' || this.#isHardware(`/sys/class/net/${name}/device`))
    const disk = diskOf(optional('/proc/diskstats'), (name) => this.#isHardware(`/sys/block/${name}/device`))
    return {
      at, cpuBusy: cpu.busy, cpuAll: cpu.all, load: Number.parseFloat(optional('/proc/loadavg')) || 0,
      memory: memory.used, memoryAll: memory.all, ...net, ...disk,
    }
  }

  #isHardware(path: string): boolean {
    let known = this.#hardware.get(path)
    if (known === undefined) this.#hardware.set(path, known = existsSync(path))
    return known
  }
}

/** The worker with its children, as far as its first thread has started them. */
function readRank({ pid, procStart }: Origin, at: number): RankReading | null {
  let ticks = 0
  let rss = 0
  const pids = [pid]
  for (let i = 0; i < pids.length && i < SYSTEM_PROCESSES_MAX; i++) {
    const one = pids[i]!
    try {
      const own = ticksOf(read(`/proc/${one}/stat`), i === 0 ? procStart : null)
      if (own === null) return null
      ticks += own
      rss += rssOf(read(`/proc/${one}/status`))
    } catch {
      if (i === 0) return null
    }
    for (const child of optional(`/proc/${one}/task/${one}/children`).split(' ')) {
      if (child !== '') pids.push(Number(child))
    }
  }
  return { at, ticks, rss }
}

const read = (path: string): string => readFileSync(path, 'latin1')

function optional(path: string): string {
  try {
    return read(path)
  } catch {
    return ''
  }
}

function onPath(name: string, env: NodeJS.ProcessEnv): string | null {
  const places = (env['PATH'] ?? '').split(delimiter).map((dir) => join(dir || '.', name))
  return places.find((path) => existsSync(path)) ?? null
}
