/** Two ranks on each of several hosts, started as a launcher without a supervisor starts them. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { hosts, type Hosts } from '../setup/netns.ts'
import { Place, TRAINER, until, type Ended, type Started } from './harness.ts'
import { nameOf, valueOf } from './value.js'

export interface Job {
  /** Nothing but the network joins the hosts; else the parent of the run directories does too. */
  shared: boolean
  /** One home, lock directory and even directory of journals for all hosts. */
  home?: 'one'
  metrics: number
  steps: number
  rate: number
  env?: NodeJS.ProcessEnv
  /** Steps go on until `place.stop()`. */
  endless?: true
  /** World size; default 4. */
  ranks?: number
}

const PER_HOST = 2

export class TwoHosts {
  readonly place = new Place()
  readonly secret = join(this.place.root, 'secret')
  readonly net: Hosts
  readonly job: Job
  readonly ranks: Started[] = []

  private constructor(net: Hosts, job: Job) {
    this.net = net
    this.job = job
    this.writeSecret(this.secret)
  }

  static async make(job: Job, count = 2): Promise<TwoHosts> {
    return new TwoHosts(await hosts(count), job)
  }

  writeSecret(path: string): void {
    writeFileSync(path, randomBytes(32).toString('base64'), { mode: 0o600 })
  }

  /** The environment of host i: its own home, locks and shared memory. */
  envOf(i: number, secret: string | null = this.job.shared ? null : this.secret): NodeJS.ProcessEnv {
    const home = join(this.place.root, this.job.home === 'one' ? 'home' : `home-${i}`)
    mkdirSync(home, { recursive: true })
    const shm = this.job.home === 'one' ? join(home, 'shm') : '/dev/shm/rz'
    const own = { HOME: home, RANKZERO_LOCK_DIR: join(home, 'locks'), RANKZERO_SHM_DIR: shm }
    return {
      ...this.place.env, ...own, RANKZERO_DIR: this.dirOf(i),
      ...secret === null ? {} : { RANKZERO_SECRET_FILE: secret }, ...this.job.env,
    }
  }

  dirOf(i: number): string {
    return this.job.shared || i === 0 ? this.place.dir : join(this.place.root, `runs-${i}`)
  }

  /** Run directories of host i. */
  runsOf(i: number): string[] {
    const dir = this.dirOf(i)
    return existsSync(dir) ? readdirSync(dir).filter((name) => /^\d/.test(name)) : []
  }

  /** Starts the ranks of host i, which are `first` and the next one. */
  start(i: number, first: number, env = this.envOf(i), truth = this.truth): Started[] {
    const { metrics, steps, rate } = this.job
    const trainer = [process.execPath, TRAINER]
    const started = Array.from({ length: PER_HOST }, (_, local) => this.net.start(i, trainer, {
      ...env, RANK: String(first + local), WORLD_SIZE: String(this.job.ranks ?? 4),
      LOCAL_RANK: String(local), LOCAL_WORLD_SIZE: String(PER_HOST),
      MASTER_ADDR: this.net.name(0), MASTER_PORT: '29511',
      T_METRICS: String(metrics), T_STEPS: String(steps), T_RATE: String(rate),
      ...this.job.endless === undefined ? {} : this.place.endless, T_TRUTH: truth,
    }))
    this.ranks.push(...started)
    return started
  }

  get truth(): string {
    return join(this.place.root, 'truth')
  }

  async finished(): Promise<Ended[]> {
    const all = await Promise.all(this.ranks.map(({ ended }) => ended))
    for (const { code, stderr } of all) expect(code, stderr).toBe(0)
    return all
  }

  /** The run ended well with every point of all ranks; the books agree. */
  async expectWhole(dir = this.place.dir): Promise<void> {
    const args = ['--dir', dir]
    const run = readdirSync(dir).filter((name) => /^\d/.test(name)).sort().at(-1)
    await until('the end of the run', 60_000, () => this.place.picture(run, dir)?.state === 'ended')
    const status = this.place.json<Record<string, unknown>>(['status', 'latest', '--json', ...args])
    expect(status, JSON.stringify(status)).toMatchObject({ status: 'finished', ranks: 4 })
    this.expectPoints([0, 1, 2, 3], dir)
    const audit = this.place.json(['audit', 'latest', '--json', ...args])
    expect(audit).toMatchObject({ balanced: true, complete: true })
  }

  /** Every point that a trainer of these ranks was told is recorded, once and nothing else. */
  expectPoints(ranks: readonly number[], dir = this.place.dir): void {
    const { metrics } = this.job
    const expected: string[] = []
    for (const rank of ranks) {
      for (const step of readFileSync(`${this.truth}.${rank}`, 'utf8').trim().split('\n').map(Number)) {
        for (let metric = 0; metric < metrics; metric++) {
          expected.push(`${nameOf(metric)} ${step} ${rank} ${valueOf(rank, step, metric)}`)
        }
      }
    }
    const points = this.place.points('latest', '--dir', dir)
    const got = points.filter(({ rank }) => ranks.includes(rank))
      .map(({ metric, step, rank, value }) => `${metric} ${step} ${rank} ${value}`)
    expect(got.length).toBe(expected.length)
    expect(got.sort()).toEqual(expected.sort())
  }

  dispose(): void {
    this.net.dispose()
    this.place.dispose()
  }
}
