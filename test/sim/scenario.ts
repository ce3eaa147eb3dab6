/**
 * One seed: a small cluster, its jobs and its faults; then quiet, in which everything must come to its end.
 *
 * In: a seed, the knobs that may be used. Out: a Scenario that can run itself and says what was broken.
 * Invariants: the plan (cluster, jobs, faults) follows from seed and knobs alone and can be cut down without
 * changing what is left of it.
 */
import { enter } from './context.ts'
import { apply, LEASE_MS } from './faults.ts'
import { Job, type JobPlan } from './job.ts'
import { forgetful, type Fault, type Knob, type NetKnobs } from './knobs.ts'
import { Laws } from './laws.ts'
import { Net } from './net.ts'
import { PictureLaw } from './picture-law.ts'
import { Random } from './random.ts'
import { forgetAll, whenPainted } from './seams/fs.ts'
import type { Journal } from './seams/journal.ts'
import { readLedger, type LedgerFile } from './seams/ledger.ts'
import { JOIN_TIMEOUT_MS, SEAL_AFTER_MS } from '../../lib/limits.ts'
import { audit } from '../../lib/aggregator/audit.ts'
import { installGlobals } from './globals.ts'
import { judge } from './verdict.ts'
import { Violation, World } from './world.ts'

export interface Plan {
  seed: number
  knobs: readonly Knob[]
  nodes: number
  shared: boolean
  offsets: number[]
  rates: number[]
  ranks: number
  steps: number
  pace: number
  supervised: boolean
  /** Each node has locks of its own for elections and keys. */
  ownLocks: boolean
  /** Settings: longer than a run waits for its end, or not. */
  sealAfterMs: number
  joinTimeoutMs: number
  key: string | null
  journalBytes: number
  spoolBytes: number
  secondRun: boolean
  net: NetKnobs
  /** Null: no backend but the ledger. */
  tracker: Laws['tracker'] | null
  faults: Fault[]
}

/** Faults come within this time (ms); then there is quiet. */
const TROUBLE_MS = 20_000

/**
 * Liveness: so long (ms) after the last fault and the last trainer, all that rankzero's own processes can do
 * is done: an agent gives a head that takes nothing HEAD_PATIENCE_MS, an aggregator waits JOIN_TIMEOUT_MS for
 * ranks that never came and, when a node is gone for good, MEMBER_SILENT_MS for it (shorter here: bundle.js).
 */
export const QUIET_MS = 100_000
export const QUIET_AFTER_POWER_MS = 150_000
/** … `sync` has as long again; a user runs it so long after nobody of ours was left on a node. */
const SYNC_AFTER_MS = 20_000

export function planOf(seed: number, knobs: readonly Knob[]): Plan {
  const random = new Random(seed, 2)
  // A scenario with every trouble at once finds less than one with a few; and most mistakes show in small
  // runs, of which many more can be walked.
  const wide = knobs.length > 8
  const share = wide ? 0.3 : 0.8
  const drawn = knobs.filter(() => random.chance(share))
  // Rows on their way to a tracker cost as much as all the rest, and have laws and mutations of their own.
  const tracked = !wide || random.chance(0.4)
  const active = tracked ? drawn : drawn.filter((knob) => !knob.startsWith('backend'))
  const has = (knob: Knob): boolean => active.includes(knob)
  const nodes = random.chance(0.5) ? 1 : random.between(2, 3)
  const rate = (): number => has('clock-rate') ? 1 + (random.next() - 0.5) * 0.02 : 1
  const supervised = nodes === 1 && random.chance(0.4)
  const plan: Plan = {
    seed, knobs: active, nodes, shared: nodes > 1,
    offsets: Array.from({ length: nodes }, () => nodes > 1 ? Math.round((random.next() - 0.5) * 2000) : 0),
    rates: Array.from({ length: nodes }, rate),
    ranks: random.between(nodes, 4),
    steps: wide && random.chance(0.8) ? random.between(2, 12) : random.between(5, 40),
    pace: random.pick([20, 80, 200]),
    supervised, ownLocks: false, sealAfterMs: SEAL_AFTER_MS, joinTimeoutMs: JOIN_TIMEOUT_MS,
    key: has('second-run') || random.chance(0.2) ? 'k' : null,
    journalBytes: has('small-journal') ? random.between(2000, 6000) : 2 ** 20,
    // Less than a batch: the spool takes nothing.
    spoolBytes: has('small-spool') ? 50_000 : 2 ** 20,
    secondRun: has('second-run'),
    net: {
      loss: has('loss') ? random.next() * 0.3 : 0, duplicate: has('duplicate') ? random.next() * 0.3 : 0,
      reorder: has('reorder') ? random.next() : 0, delay: has('delay') ? random.next() * 0.5 : 0,
      delayMs: random.pick([50, 500, 4000]),
    },
    tracker: active.some((knob) => knob.startsWith('backend')) ? {
      busy: has('backend-busy') ? 0.4 : 0, fails: has('backend-fails') ? 0.3 : 0,
      hangs: has('backend-hangs') ? 0.1 : 0, stores: has('backend-stores') ? 0.3 : 0,
    } : null,
    faults: [],
  }
  const trouble = Math.min(TROUBLE_MS, 2 * plan.steps * plan.pace + 3000)
  for (const knob of active) {
    for (let n = COUNTS[knob] ?? 0; n > 0 && random.chance(0.75); n--) {
      const within = WHILE_TRAINING.includes(knob) ? plan.steps * plan.pace : trouble
      plan.faults.push({
        at: Math.round(random.next() * within), knob, node: random.below(nodes), other: random.below(nodes),
        ms: random.pick([100, 1000, 3000, 6000, 12_000]), steps: random.below(40), amount: random.next(),
      })
    }
  }
  plan.faults.sort((a, b) => a.at - b.at)
  plan.sealAfterMs = random.pick([SEAL_AFTER_MS, SEAL_AFTER_MS, 60_000])
  plan.ownLocks = random.chance(0.5)
  plan.joinTimeoutMs = random.pick([JOIN_TIMEOUT_MS, JOIN_TIMEOUT_MS, 60_000])
  return plan
}

/** Knobs that keep none of our own processes from its work, and let no rank come back without rank 0. */
const OWN_WORK: readonly Knob[] = ['clock-jump', 'elastic', 'kill-trainer', 'clock-rate', 'short-reads']

/** What comes too late has no victim. */
const WHILE_TRAINING: readonly Knob[] = [
  'damage', 'kill-trainer', 'replay', 'elastic', 'rival', 'lost-node', 'lease',
]

export const losesPower = ({ faults }: Plan): boolean =>
  faults.some(({ knob }) => knob === 'power' || knob === 'lost-node')

/** Its directory is named for it. */
const runOf = ({ path }: LedgerFile): string => path.split('/').at(-2)!

/** Faults of a kind in one scenario, at most; knobs that are not here are on all the time. */
const COUNTS: Partial<Record<Knob, number>> = {
  'cut': 2, 'oneway': 2, 'reset': 4, 'ghost': 6, 'kill-trainer': 2, 'kill-agent': 3, 'kill-aggregator': 4,
  'kill-supervisor': 1, 'term': 2, 'stop': 3, 'power': 1, 'lost-node': 1,
  'lease': 1, 'disk-full': 2, 'disk-slow': 2, 'disk-fails': 2,
  'clock-jump': 2, 'elastic': 2, 'replay': 2, 'rival': 1, 'damage': 3,
}

export interface Outcome {
  violation: Violation | null
  hash: number
  transcript: string[]
  events: number
  simulated: number
  synced: boolean
}

export class Scenario {
  readonly plan: Plan
  readonly world: World
  readonly laws: Laws
  readonly net: Net
  readonly jobs: Job[] = []
  readonly random: Random
  private struck = 0

  constructor(plan: Plan, keepTranscript = false) {
    this.plan = plan
    this.world = new World(plan.seed)
    this.world.keepTranscript = keepTranscript
    this.random = new Random(plan.seed, 3)
    this.laws = new Laws(this.world)
    this.net = new Net(this.world, new Random(plan.seed, 4), this.laws)
    this.net.knobs = plan.net
    if (plan.tracker !== null) this.laws.tracker = { ...plan.tracker }
    this.laws.shortReads = plan.knobs.includes('short-reads')
    const lies = ['clock-jump', 'disk-full', 'power', 'lost-node']
    this.laws.clocksLie = plan.faults.some(({ knob }) => lies.includes(knob))
    this.furnish()
  }

  private furnish(): void {
    const { plan, world, laws } = this
    for (let i = 0; i < plan.nodes; i++) {
      const node = world.addNode(`n${i}`, plan.offsets[i]!, plan.rates[i]!)
      node.disk.makeDirectory('/home', true)
    }
    world.shared.makeDirectory('/shared', true)
    const dir = plan.shared ? '/shared/rz' : '/home/rz'
    const lockDir = plan.shared && !plan.ownLocks ? '/shared/locks' : '/home/locks'
    laws.lockDir = lockDir
    const base: JobPlan = {
      name: '', meeting: '', key: plan.key, onCollision: 'wait', supervised: plan.supervised,
      worldSize: plan.ranks, steps: plan.steps, pace: plan.pace, startAt: 0, nodes: world.nodes, dir, lockDir,
      journalBytes: plan.journalBytes, spoolBytes: plan.spoolBytes, exitTimeoutMs: 10_000,
      backend: plan.tracker !== null, sealAfterMs: plan.sealAfterMs, joinTimeoutMs: plan.joinTimeoutMs,
    }
    const add = (more: Partial<JobPlan>, n: number): void => {
      const job: JobPlan = { ...base, meeting: world.random.hex(16), ...more }
      this.jobs.push(new Job(job, world, laws, new Random(plan.seed, 10 + n)))
    }
    add({}, 0)
    if (!plan.secondRun) return
    const onCollision = this.random.chance(0.5) ? 'wait' as const : 'rename' as const
    add({
      name: 'second:', onCollision, supervised: false, worldSize: 1, nodes: [world.nodes[0]!], steps: 10,
      startAt: this.random.between(0, 8000),
    }, 1)
  }

  /** The whole life of a scenario on one screen. */
  async run(): Promise<Outcome> {
    const { world, laws, net, plan } = this
    enter({ world, net, laws })
    installGlobals(world)
    forgetAll()
    const pictures = new PictureLaw(laws)
    whenPainted((path, file) => pictures.painted(path, file))
    world.check = () => laws.check()
    for (const fault of plan.faults) world.at(fault.at, null, () => { this.strike(fault) })
    // However it goes, trainers come to their end: the launcher's time limit.
    const trained = (): boolean => this.jobs.every((job) => job.trained && job.restarts === 0)
    await world.run(600_000, () => this.faultsOver && trained())
    this.cease()
    const lost = losesPower(plan) || plan.faults.some(({ knob }) => knob === 'clock-jump' || knob === 'lease')
    const limit = lost ? QUIET_AFTER_POWER_MS : QUIET_MS
    const quiet = world.now
    await world.run(quiet + SYNC_AFTER_MS, () => this.atRest)
    if (!this.isAbandoned) await world.run(quiet + limit, () => this.atRest)
    const synced = world.violation === null && (this.isAbandoned || (this.atRest && this.targets.length > 0))
    if (synced) {
      this.mayNeedSync()
      await this.sync(limit)
    }
    if (world.violation === null) this.end()
    enter(null)
    return {
      violation: world.violation, hash: world.hash, transcript: world.transcript, events: world.events,
      simulated: world.now, synced,
    }
  }

  private strike(fault: Fault): void {
    this.struck++
    apply(fault, this)
  }

  /** Counted, as another event of the last fault's instant may come before it. */
  private get faultsOver(): boolean {
    const { faults } = this.plan
    return this.struck === faults.length && faults.every(({ at, knob, ms }) =>
      knob !== 'lease' || this.world.now >= at + LEASE_MS + ms)
  }

  /** No more faults: what is stopped goes on, what is full is empty, what is cut is whole. */
  private cease(): void {
    const { world } = this
    world.tell('faults', 'cease')
    this.net.knobs = forgetful()
    this.net.heal()
    this.laws.tracker = { busy: 0, fails: 0, hangs: 0, stores: 0 }
    for (const process of world.processes.values()) {
      process.dieAt = 0
      world.resume(process)
    }
    for (const disk of [world.shared, ...world.nodes.map((node) => node.disk)]) {
      disk.full = false
      disk.failSyncs = 0
      disk.syncMs = 0
    }
    for (const node of world.nodes) if (!node.up && !node.lost) world.boot(node)
  }

  /** Nobody of ours is at work any more. */
  private get atRest(): boolean {
    return [...this.world.processes.values()].every(({ alive }) => !alive)
  }

  /** Journals that somebody has to deliver yet. */
  private get waiting(): Journal[] {
    const { laws } = this
    return [...laws.journals.values()].filter((one) =>
      !laws.ended(one.sender.instance) && !laws.gone.has(one))
  }

  /** Runs that are not over, by id. */
  private get open(): LedgerFile[] {
    return this.laws.ledgers.filter((file) => this.laws.account(file).session?.state !== 'ended'
      || (this.plan.tracker !== null && !audit(readLedger(file)).complete))
  }

  /** Something waits on a node where no agent of ours is at work: only `sync` there can help. */
  private get isAbandoned(): boolean {
    return this.waiting.some(({ owner }) =>
      !owner.alive && this.world.alive('agent', owner.node).length === 0)
  }

  /** What a user does then: `rankzero sync --all` on each node, which starts a head where none serves. */
  private async sync(limit: number): Promise<void> {
    const { world } = this
    for (let round = 0; round < 3 && world.violation === null; round++) {
      const targets = this.targets
      if (targets.length === 0) return
      for (const { job, meeting, run } of targets) {
        world.tell('user', `runs sync for ${run ?? meeting}`)
        job.meeting = meeting
        job.run = run
        const up = world.nodes.filter((node) => node.up)
        const own = up.filter((node) => job.plan.nodes.includes(node))
        const nodes = own.length > 0 ? own : up.slice(0, 1)
        const served = world.alive('aggregator').length > 0
        if (!served) job.startAggregator(nodes[0]!, { run, key: null, closing: true })
        nodes.forEach((node, i) =>
          world.after(300 + 100 * i, null, () => job.startAgent(node, !served && i === 0)))
        const begun = world.now
        await world.run(begun + limit, () => world.now > begun + 2000 && this.atRest)
      }
    }
  }

  /** A job that is only restarted, on nodes whose clocks may be set, is delivered by its own agents. */
  private mayNeedSync(): void {
    const { faults, knobs, net } = this.plan
    const quiet = net.loss + net.duplicate + net.reorder + net.delay === 0
    if (!quiet || knobs.some((knob) => !OWN_WORK.includes(knob)) || faults.length === 0) return
    const why = this.waiting.map(({ path }) => path).join(' ')
    const message = `nobody hindered our agents, and yet sync is needed: ${why}`
    this.world.caught(null, new Violation('liveness', message))
  }

  private get targets(): { job: Job; meeting: string; run: string | null }[] {
    const found = new Map<string, { job: Job; meeting: string; run: string | null }>()
    const add = (meeting: string, run: string | null): void => {
      const job = this.jobs.find((one) => one.meetings.has(meeting)) ?? this.jobs[0]!
      found.set(`${meeting} ${run}`, { job, meeting, run })
    }
    for (const file of this.open) {
      if (file.meta['meeting'] !== undefined) add(file.meta['meeting'], runOf(file))
    }
    for (const { run, sender: { origin: { meeting } } } of this.waiting) {
      // As `sync --all` does: what knows no run is offered to the runs of its meeting, the oldest first.
      const runs = run === null ? this.runsOf(meeting) : [run]
      for (const one of runs.length > 0 ? runs : [null]) add(meeting, one)
    }
    return [...found.values()]
  }

  private runsOf(meeting: string): string[] {
    return this.laws.ledgers.filter(({ meta }) => meta['meeting'] === meeting).map(runOf).sort()
  }

  private who(): string {
    return [...this.world.processes.values()].filter(({ alive }) => alive).map(({ name }) => name).join(', ')
  }

  private end(): void {
    const { world } = this
    try {
      const why = `${this.who()}; no END of ${this.laws.unended().join(' ')}`
      if (!this.atRest) throw new Violation('liveness', `still at work after the quiet: ${why}`)
      judge(this)
    } catch (error) {
      world.caught(null, error)
    }
  }
}
