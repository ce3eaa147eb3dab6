/**
 * Where a drill happens: one or two hosts (namespaces), eight workers, the command line, and the hands that
 * break things. In: what the drill asks for. Out: a run that works, or is being broken.
 *
 * One host: `rankzero run -- pool`, so with a supervisor. Two hosts: a pool on each and no supervisor,
 * nothing shared but the secret, and the second host meets the head through a proxy of ours.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { allReady, writeGo } from '../../lib/cli/drill/papers.ts'
import { lifeOf, processesOf, type Kind } from '../../lib/cli/drill/processes.ts'
import { CLI, kill, Place, sleep, until, type Ended, type Started } from '../scenario/harness.ts'
import { hosts, type Hosts } from '../setup/netns.ts'

export interface WorldOptions {
  hosts: 1 | 2
  workers: number
  /** Steps per second of each worker. */
  rate: number
  metrics: number
  env?: NodeJS.ProcessEnv
  /** No process stands still, and no link is cut, for longer (ms). */
  longestMs?: number
}

const here = import.meta.dirname
const POOL = join(here, 'pool.js')
const PROXY = join(here, 'proxy.js')
const CLIENT = join(here, '../../lib/python')
const PROXY_PORT = 29512
/** Eight interpreters start on two busy cores. */
const START_MS_MAX = 90_000
/** An agent at work has looked at a new journal by then, and holds its owner's pidfd. */
const SEEN_MS = 2000
/** Bytes of the file that shifts clocks. */
const SHIFT_BYTES = 8

/** Of file systems in memory, as `mount` wants it: what is said with `loud` stays in the ledger. */
export const ROOMY = '4g'
/** Down to a few MB more than it holds, which a file takes; more may have come meanwhile: then once more. */
const SHRINK = `for try in 1 2 3 4 5 6 7 8 9; do
  used=$(df -k --output=used "$1" | tail -n 1)
  mount -o remount,size=$((used + 4096))k "$1" 2>/dev/null && break
done
cat /dev/zero >"$1/ballast" 2>/dev/null
true`

export type ProxyFaults = { delayMs?: number; mute?: 'up' | 'down' | 'both'; flip?: number; reset?: number }

/** The interpreter itself: what stands on PATH may be a script that looks for it anew each time. */
let python: string | null = null
const findPython = (): string =>
  python ??= execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim()

export class World {
  readonly place = new Place()
  readonly options: WorldOptions
  readonly net: Hosts
  /** How often each rank was killed. */
  readonly killed = new Map<number, number>()
  /** … when its agent had surely seen it, and so must know how it left. */
  killsSeen = 0
  supervisorKilled = false
  clockIsBack = false
  /** Jobs of the hosts, in order. */
  readonly jobs: Started[] = []
  private resets = 0
  private louds = 0
  private readonly secret = join(this.place.root, 'secret')

  private constructor(options: WorldOptions, net: Hosts) {
    this.options = options
    this.net = net
    writeFileSync(this.secret, randomBytes(32).toString('base64'), { mode: 0o600 })
    mkdirSync(this.place.dir)
  }

  static async make(options: WorldOptions): Promise<World> {
    return new World(options, await hosts(options.hosts))
  }

  get root(): string {
    return this.place.root
  }

  /** Starts all ranks and lets them log for so long, from when they all stand ready. */
  async begin(ms: number): Promise<void> {
    const { workers, hosts: count } = this.options
    if (count === 2) await this.startProxy()
    for (let host = 0; host < count; host++) this.jobs.push(this.startHost(host))
    await until('all workers', START_MS_MAX, () => allReady(this.root, workers) || this.anyEnded())
    writeGo(this.root, ms)
    await until('a first log() of each', START_MS_MAX, () => this.anyEnded()
      || Array.from({ length: workers }, (_, rank) => lifeOf(this.root, rank)).every((pid) => pid !== null))
  }

  private startHost(host: number): Started {
    const { workers, rate, metrics, hosts: count } = this.options
    const local = workers / count
    const pool = [process.execPath, POOL, this.root, host * local, local, rate, metrics, findPython()]
    const run = ['run', '--dir', this.place.dir, '--exit-timeout', '60', '--']
    const argv = count === 1 ? [process.execPath, CLI, ...run, ...pool] : pool
    return this.net.start(host, argv.map(String), {
      ...this.envOf(host), WORLD_SIZE: String(workers), LOCAL_WORLD_SIZE: String(local),
      MASTER_ADDR: this.net.name(0), MASTER_PORT: '29511',
      ...count === 1 ? {} : { RANKZERO_SECRET_FILE: this.secret, RANKZERO_EXIT_TIMEOUT: '60' },
      ...host === 1 ? { RANKZERO_HEAD: `${this.net.name(0)}:${PROXY_PORT}` } : {},
    })
  }

  private envOf(host: number): NodeJS.ProcessEnv {
    const home = join(this.root, `home-${host}`)
    mkdirSync(home, { recursive: true })
    return {
      ...this.place.env, HOME: home, RANKZERO_LOCK_DIR: join(home, 'locks'),
      RANKZERO_SHM_DIR: '/dev/shm/rz', PYTHONPATH: CLIENT,
      RANKZERO_DIR: host === 0 ? this.place.dir : join(this.root, 'runs-1'), ...this.options.env,
    }
  }

  private anyEnded(): boolean {
    return this.jobs.some(({ child }) => child.exitCode !== null)
  }

  private async startProxy(): Promise<void> {
    const argv = [process.execPath, PROXY, this.root, String(PROXY_PORT), this.place.dir]
    const proxy = this.net.start(0, argv)
    await until('the proxy', START_MS_MAX, () => proxy.stdout().includes('ready'))
  }

  // --- looking

  pids(kind: Kind): number[] {
    return processesOf(this.root).filter((one) => one.kind === kind).map(({ pid }) => pid)
  }

  /** A rank whose present life has logged, with its pid. */
  someLife(random: () => number): { rank: number; pid: number } | null {
    const live = new Set(this.pids('worker'))
    const lives = Array.from({ length: this.options.workers }, (_, rank) => ({
      rank, pid: lifeOf(this.root, rank) ?? 0,
    })).filter(({ pid }) => live.has(pid))
    return lives[Math.floor(random() * lives.length)] ?? null
  }

  /** `rankzero ARGS` on the host of the head, where the run directory may be a mount of its own. */
  cli(...args: string[]): Promise<Ended> {
    return this.net.start(0, [process.execPath, CLI, ...args], this.envOf(0), this.root).ended
  }

  // --- hands

  /** SIGKILL for a life that has logged. */
  killLife({ rank, pid }: { rank: number; pid: number }): string {
    const age = Date.now() - statSync(join(this.root, `life.${rank}`)).mtimeMs
    kill(pid)
    this.killed.set(rank, (this.killed.get(rank) ?? 0) + 1)
    if (age > SEEN_MS) this.killsSeen++
    return `killed worker ${rank} (pid ${pid})`
  }

  /** A program on a host; what it printed. @throws Error when it fails. */
  async exec(host: number, ...argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.net.start(host, argv).ended
    if (code !== 0) throw new Error(`${argv.join(' ')}: ${code}: ${stderr}`)
    return stdout
  }

  proxy(faults: ProxyFaults): void {
    if (faults.reset !== undefined) this.resets += faults.reset
    writeFileSync(join(this.root, 'proxy.json'), JSON.stringify({ ...faults, reset: this.resets }))
  }

  /** Each worker says so many bytes with each of its next steps. */
  loud(bytes: number): void {
    const path = join(this.root, 'loud')
    writeFileSync(`${path}.new`, `${bytes} ${++this.louds}`)
    renameSync(`${path}.new`, path)
  }

  /** Makes a small file system of host 0 as small as what it holds, or as large as before. */
  async shrink(path: string): Promise<void> {
    await this.exec(0, 'sh', '-c', SHRINK, 'shrink', path)
  }

  async grow(path: string): Promise<void> {
    await this.exec(0, 'mount', '-o', `remount,size=${ROOMY}`, path)
    await this.exec(0, 'rm', '-f', join(path, 'ballast'))
  }

  /** The wall clock of all processes that were started with `shiftable`. */
  shiftClock(ms: number): void {
    this.clockIsBack = ms < 0
    const shift = Buffer.alloc(SHIFT_BYTES)
    shift.writeBigInt64LE(BigInt(ms) * 1_000_000n)
    const path = join(this.root, 'clock')
    // Never truncated: it is mapped.
    writeFileSync(path, shift, { flag: existsSync(path) ? 'r+' : 'w' })
  }

  /** Environment of processes whose wall clock can be shifted; to be given before they start. */
  shiftable(): NodeJS.ProcessEnv {
    const library = join(this.root, 'clock.so')
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, join(here, 'clock.c'), '-ldl'])
    this.shiftClock(0)
    return { LD_PRELOAD: library, RZ_DRILL_CLOCK: join(this.root, 'clock') }
  }

  async ended(ms: number): Promise<Ended[]> {
    const all = Promise.all(this.jobs.map((job) => job.ended))
    const late = sleep(ms).then(() => { throw new Error(`the workers were not done in ${ms} ms`) })
    return Promise.race([all, late])
  }

  /** What all said, and wrote about themselves, for whoever looks into a failure. */
  diaries(): string {
    const logs = this.place.runs().flatMap((run) => ['agent', 'aggregator'].map((who) =>
      join(this.place.dir, run, 'log', `${who}.log`)))
    const waiting = [this.place.dir, join(this.root, 'runs-1')].map((dir, host) =>
      join(dir, '.pending', `agent-${this.net.name(host)}.log`))
    const read = [...logs, ...waiting].filter((path) => existsSync(path))
      .map((path) => `${path}:\n${readFileSync(path, 'utf8')}`)
    return [...this.jobs.map((job) => `said:\n${job.stderr()}`), ...read].join('\n')
  }

  dispose(): void {
    this.net.dispose()
    this.place.dispose()
  }
}
