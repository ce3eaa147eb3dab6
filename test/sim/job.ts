/**
 * A training job: its processes, and who starts and restarts them. What users and launchers do is simulated,
 * what rankzero's own processes do is the real code.
 */
import { runAgent } from '../../lib/agent/index.ts'
import { runAggregator, type AggregatorOptions } from '../../lib/aggregator/index.ts'
import { placeSettings } from '../../lib/backend/index.ts'
import { AGENT_PATIENCE_MS, BEAT_STALE_MS, LOGGER_TICK_MS } from '../../lib/limits.ts'
import { Kind, type Origin, type SupervisorEvent } from '../../lib/record/index.ts'
import { Sender } from '../aggregator/sender.ts'
import type { Laws } from './laws.ts'
import type { Random } from './random.ts'
import { Journal } from './seams/journal.ts'
import type { Node, Process, World } from './world.ts'

const NONE = { why: 'nobody asks' }
const NO_KEYS = { cometApiKey: NONE, webhookUrl: NONE, webhookSecret: NONE }

export interface JobPlan {
  name: string
  meeting: string
  key: string | null
  onCollision: 'wait' | 'rename'
  supervised: boolean
  worldSize: number
  /** Steps that each rank logs. */
  steps: number
  /** ms between two steps. */
  pace: number
  startAt: number
  nodes: readonly Node[]
  /** Parent of the run directories. */
  dir: string
  lockDir: string
  journalBytes: number
  spoolBytes: number
  exitTimeoutMs: number
  sealAfterMs: number
  joinTimeoutMs: number
  /** Rows go to a backend too. */
  backend: boolean
}

export interface Life {
  rank: number
  journal: Journal
  process: Process
  step: number
  /** Ended by itself, all steps logged. */
  well: boolean
}

export class Job {
  readonly plan: JobPlan
  readonly lives: Life[] = []
  worldSize: number
  run: string | null = null
  /** Of a supervised run: follows from the run id. */
  meeting: string
  readonly meetings: Set<string>
  private readonly world: World
  private readonly laws: Laws
  private readonly random: Random
  private supervisor: { process: Process; journal: Journal } | null = null

  constructor(plan: JobPlan, world: World, laws: Laws, random: Random) {
    this.plan = plan
    this.world = world
    this.laws = laws
    this.random = random
    this.worldSize = plan.worldSize
    this.meeting = plan.meeting
    this.meetings = new Set([plan.meeting])
    world.at(plan.startAt, null, () => this.begin())
  }

  /** All ranks of the present world have logged all their steps, or will never. */
  get trained(): boolean {
    return this.world.now >= this.plan.startAt && this.lives.length > 0
      && this.lives.every(({ process }) => !process.alive) && !(this.supervisor?.process.alive === true)
  }

  get current(): Life[] {
    const newest = new Map<number, Life>()
    for (const life of this.lives) newest.set(life.rank, life)
    return [...newest.values()].filter(({ rank }) => rank < this.worldSize)
  }

  private begin(): void {
    const { supervised, nodes } = this.plan
    if (supervised) this.supervise(nodes[0]!)
    else for (let rank = 0; rank < this.worldSize; rank++) this.start(rank, 0)
  }

  nodeOf(rank: number): Node {
    const { nodes } = this.plan
    return nodes[Math.floor(rank * nodes.length / Math.max(1, this.worldSize))] ?? nodes.at(-1)!
  }

  // --- trainers

  /** A new life of a rank, from a checkpoint of step `from`. */
  start(rank: number, from: number, node = this.nodeOf(rank)): void {
    if (!node.up) return
    this.world.spawn(node, 'trainer', `${this.plan.name}${node.name}/rank${rank}`, (process) => {
      const journal = this.openJournal(process, rank, 'worker')
      const life: Life = { rank, journal, process, step: from, well: false }
      this.lives.push(life)
      const { key } = this.plan
      const open = { source: 'test', config: { rank }, ...key === null ? {} : { key } }
      journal.say(Kind.open, open, this.world.wall(node))
      if (from > 0) journal.say(Kind.resume, { step: from }, this.world.wall(node))
      this.train(life)
      this.keep(life)
    })
  }

  private openJournal(process: Process, rank: number, role: Origin['role']): Journal {
    const { world, plan } = this
    const { node } = process
    const origin: Origin = {
      instance: this.random.hex(16), meeting: this.meeting, run: this.run, role, rank,
      worldSize: this.worldSize, localRank: Math.max(rank, 0), node: node.name, bootId: node.bootId, pidns: 1,
      pid: process.pid, procStart: process.started, startedAt: world.wall(node), dir: plan.dir, cli: '[]',
      ...plan.nodes.length > 1 ? { candidates: [plan.nodes[0]!.name] } : {},
      ...role === 'supervisor' ? { supervisors: 1 } : {},
    }
    const journal = new Journal(new Sender(origin), process, plan.journalBytes)
    node.shm.objects.set(journal.path, journal)
    this.laws.journals.set(origin.instance, journal)
    world.tell(process.name, `opens the journal of ${origin.instance.slice(0, 6)}`)
    return journal
  }

  private train(life: Life): void {
    const { world, random, plan } = this
    const { process } = life
    world.after(plan.pace * (0.5 + random.next()), process, () => {
      if (life.step >= plan.steps) return this.leave(life, 0)
      this.logStep(life)
      life.step += random.chance(0.05) ? 2 : 1
      this.train(life)
    })
  }

  private logStep({ journal, process, rank, step }: Life): void {
    const { random } = this
    const time = this.world.wall(process.node)
    const acc = random.chance(0.5) ? 1 : this.number()
    const values: Record<string, number> = { loss: this.number(), acc }
    if (rank === 0) values['lr'] = 0.1
    if (step % 5 === 0 && rank % 2 === 0) values['val'] = this.number()
    const weight = random.chance(0.5) ? random.below(5) : undefined
    journal.log(values, step, { weight, time })
    if (random.chance(0.1)) journal.log({ acc: this.number() }, step, { time })
    if (step % 7 === 3) journal.log({ ...values, loss: step }, step, { time })
    if (random.chance(0.05)) journal.log({ epoch: rank }, Math.floor(step / 10), { time })
    if (random.chance(0.03)) journal.say(Kind.text, { line: `step ${step}` }, time)
    if (random.chance(0.02)) journal.say(Kind.params, { params: { step } }, time)
  }

  private number(): number {
    const kind = this.random.next()
    if (kind < 0.02) return NaN
    if (kind < 0.03) return Infinity
    if (kind < 0.04) return -0
    return (this.random.next() - 0.5) * 10 ** this.random.below(6)
  }

  /** end(), and the exit that follows. */
  leave(life: Life, exit: number): void {
    const { journal, process } = life
    const { sender, lost, refused } = journal
    journal.report(this.world.wall(process.node))
    journal.say(Kind.end, { exit, logged: sender.logged + lost, refused }, this.world.wall(process.node))
    life.well = exit === 0
    this.world.after(this.random.between(1, 300), process, () => this.world.kill(process, null, exit))
  }

  /** The logger's timer: an agent that gives no beat is started anew, and first by a node's first rank. */
  private keep(life: Life): void {
    const { world } = this
    const { process, journal, rank } = life
    const { node } = process
    const patience = rank === 0 || this.nodeOf(rank - 1) !== node ? 0 : AGENT_PATIENCE_MS
    const startedAt = { agent: -Infinity, own: world.wall(node) }
    const look = (): void => {
      const now = world.wall(node)
      const recent = (at: number): boolean => Math.abs(now - at) < BEAT_STALE_MS
      const known = recent(journal.beatAt) || recent(startedAt.agent)
      if (!this.plan.supervised && !known && Math.abs(now - startedAt.own) >= patience) {
        startedAt.agent = now
        this.startAgent(node)
      }
      world.after(LOGGER_TICK_MS * node.rate, process, look)
    }
    world.after(this.random.below(10), process, look)
  }

  // --- our own processes

  startAgent(node: Node, everyNode = false): Process {
    const { plan, run, meeting, world } = this
    return world.spawn(node, 'agent', `${plan.name}${node.name}/agent`, (process) => {
      void runAgent({
        meeting, run, dir: plan.dir, env: {}, lockDir: plan.lockDir, spoolCap: plan.spoolBytes,
        overflowCap: plan.journalBytes, exitTimeoutMs: plan.exitTimeoutMs, systemMetricsMs: 0,
        node: node.name, everyNode, secretFile: null,
        startHead: ({ wide, run: taken, adopt }) => {
          this.startAggregator(node, { run: run ?? taken, wide, adopt })
        },
      }).then((status) => world.kill(process, null, status), (error: unknown) => world.fails(process, error))
    })
  }

  startAggregator(node: Node, more: Partial<AggregatorOptions>): Process {
    const { plan, meeting, world } = this
    return world.spawn(node, 'aggregator', `${plan.name}${node.name}/head`, (process) => {
      void runAggregator({
        meeting, run: null, fresh: false, adopt: false, closing: false, alone: false, parent: plan.dir,
        lockDir: plan.lockDir, key: plan.key, project: null, name: null,
        onCollision: plan.onCollision, sealAfterMs: plan.sealAfterMs, joinTimeoutMs: plan.joinTimeoutMs,
        wide: plan.nodes.length > 1, secretFile: null, backends: plan.backend ? ['jsonl'] : [],
        settings: placeSettings({}), endMs: 20_000,
        usual: { key: null, project: null, name: null }, keys: () => Promise.resolve(NO_KEYS),
        debug: false, remarks: [],
        ...more,
        tell: (line) => {
          world.tell(process.name, `tells ${JSON.stringify(line)}`)
          if ('error' in line) this.failed(process, line.error as { code: string; message: string })
          more.tell?.(line)
        },
      }).then((status) => world.kill(process, null, status), (error: unknown) => world.fails(process, error))
    })
  }

  private failed(process: Process, { code, message }: { code: string; message: string }): void {
    if (code === 'INTERNAL' && process.alive && !/E(NOSPC|IO|NOENT)/.test(message)) {
      this.world.caught(process, new Error(message))
    }
  }

  // --- the supervisor: starts the head, then the agent, then the ranks; starts again what dies

  private supervise(node: Node): void {
    const { world, plan } = this
    world.spawn(node, 'supervisor', `${plan.name}${node.name}/supervisor`, (process) => {
      const told = (line: object): void => {
        if ('ready' in line && this.supervisor === null && process.alive) {
          const { run, meeting } = line.ready as { run: string; meeting: string }
          this.run = run
          this.meeting = meeting
          this.meetings.add(meeting)
          this.open(process)
        }
      }
      const head = this.startAggregator(node, { meeting: null, tell: told })
      let agent: Process | null = null
      let latest = head
      const watch = (): void => {
        const { run } = this
        if (!latest.alive && run === null) {
          latest = this.startAggregator(node, { meeting: null, tell: told })
        } else if (!latest.alive && latest.exit !== 0) {
          latest = this.startAggregator(node, { run })
        }
        const missing = agent === null || (!agent.alive && agent.exit !== 0)
        if (run !== null && missing) agent = this.startAgent(node)
        if (this.supervisor !== null) this.watchCommand(process)
        world.after(500 * node.rate, process, watch)
      }
      world.after(1, process, watch)
    })
  }

  private open(process: Process): void {
    const journal = this.openJournal(process, -1, 'supervisor')
    this.supervisor = { process, journal }
    this.event({ type: 'started', command: 'train', nproc: this.worldSize })
    for (let rank = 0; rank < this.worldSize; rank++) this.start(rank, 0)
  }

  private event(event: SupervisorEvent): void {
    const { process, journal } = this.supervisor!
    journal.say(Kind.event, event, this.world.wall(process.node))
  }

  private readonly seenExits = new Set<Process>()

  private watchCommand(process: Process): void {
    for (const { process: { pid, exit, signal, alive }, process: worker, rank } of this.lives) {
      if (alive || this.seenExits.has(worker)) continue
      this.seenExits.add(worker)
      this.event({ type: 'worker-exit', rank, pid, exit, signal, stopped: false })
    }
    const running = this.lives.some(({ process: { alive } }) => alive) || this.restarts > 0
    if (running || this.lives.length < this.worldSize) return
    const exit = this.current.every(({ well }) => well) ? 0 : 1
    this.event({ type: 'command-exit', exit, signal: null })
    const { journal } = this.supervisor!
    journal.say(Kind.end, { exit: 0, logged: 0, refused: 0 }, this.world.wall(process.node))
    this.world.after(50, process, () => this.world.kill(process, null, exit))
  }

  /** Restarts that a launcher has decided on and not done yet. */
  restarts = 0

  /** Kills one rank; as its launcher does, nobody, it alone, or all start again `back` steps earlier. */
  fail(life: Life, how: 'gone' | 'rank' | 'all', back: number, worldSize: number): void {
    const { world, random } = this
    world.kill(life.process, 'SIGKILL')
    if (how === 'gone' || this.supervisor?.process.alive === false) return
    this.restarts++
    const pause = random.between(50, 3000)
    if (how === 'rank') {
      world.after(pause, null, () => {
        this.restarts--
        // On its own node, or where there is room.
        const { node } = random.chance(0.5) ? { node: random.pick(this.plan.nodes) } : life.process
        this.start(life.rank, Math.max(0, life.step - back), node)
      })
      return
    }
    for (const other of this.lives) world.kill(other.process, 'SIGTERM')
    const from = Math.max(0, Math.min(...this.current.map(({ step }) => step)) - back)
    world.after(pause, null, () => {
      this.restarts--
      this.worldSize = worldSize
      for (let rank = 0; rank < worldSize; rank++) this.start(rank, from)
    })
  }
}
