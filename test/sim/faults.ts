/** Carries out one fault of a plan; one that finds no victim does nothing. */
import type { Fault } from './knobs.ts'
import type { Job } from './job.ts'
import type { Scenario } from './scenario.ts'
import type { Process } from './world.ts'

type Apply = (fault: Fault, scenario: Scenario) => void

const nth = <T>(list: readonly T[], amount: number): T | undefined => list[Math.floor(amount * list.length)]

/** At its n-th step from now, wherever that is. */
function killSoon({ world }: Scenario, process: Process | undefined, steps: number): void {
  if (process === undefined) return
  if (steps === 0) world.kill(process, 'SIGKILL')
  else process.dieAt = process.steps + steps
}

const killOf = (role: string): Apply => ({ steps, amount }, scenario) =>
  killSoon(scenario, nth(scenario.world.alive(role), amount), steps)

const first = ({ jobs }: Scenario): Job => jobs[0]!

function failing(how: 'gone' | 'rank' | 'all'): Apply {
  return ({ amount, steps, ms }, scenario) => {
    const job = first(scenario)
    const victim = nth(job.current.filter(({ process }) => process.alive), amount)
    if (victim === undefined) return
    const world = how === 'all' ? 1 + ms % 4 : job.worldSize
    job.fail(victim, how, steps % 8, Math.max(world, job.plan.nodes.length))
  }
}

/** Long enough for another node to take the run over. */
export const LEASE_MS = 20_000

const APPLY: Partial<Record<Fault['knob'], Apply>> = {
  'cut': ({ node, other, ms }, { net, world: { nodes } }) => {
    if (node === other) return
    net.cut(nodes[node]!, nodes[other]!, ms)
    net.cut(nodes[other]!, nodes[node]!, ms)
  },
  'oneway': ({ node, other, ms }, { net, world: { nodes } }) => {
    if (node !== other) net.cut(nodes[node]!, nodes[other]!, ms)
  },
  'reset': (_, { net }) => net.resetAll(),
  'ghost': (_, { net }) => net.ghost(),
  'kill-trainer': failing('gone'),
  'replay': failing('rank'),
  'elastic': failing('all'),
  'kill-agent': killOf('agent'),
  'kill-aggregator': killOf('aggregator'),
  'kill-supervisor': killOf('supervisor'),
  'term': ({ amount }, { world }) => {
    const victim = nth([...world.alive('agent'), ...world.alive('aggregator')], amount)
    if (victim !== undefined) world.signal(victim, 'SIGTERM')
  },
  'stop': ({ amount, ms }, { world }) => {
    const victim = nth([...world.processes.values()].filter(({ alive }) => alive), amount)
    if (victim === undefined) return
    world.stop(victim)
    world.after(ms, null, () => world.resume(victim))
  },
  'power': ({ node, ms }, { world, random }) => {
    const victim = world.nodes[node]!
    if (!victim.up) return
    world.crash(victim, random)
    world.after(ms, null, () => { if (!victim.up) world.boot(victim) })
  },
  'lost-node': ({ node, amount }, { world, plan, random }) => {
    const head = world.alive('aggregator')[0]?.node
    const victim = amount < 0.7 ? head ?? world.nodes[node]! : world.nodes[node]!
    if (!plan.shared || !victim.up || world.nodes.filter(({ up }) => up).length < 2) return
    victim.lost = true
    world.crash(victim, random)
  },
  'lease': ({ ms }, { world, plan }) => {
    const victim = world.alive('aggregator')[0]
    if (!plan.shared || victim === undefined) return
    world.stop(victim)
    world.after(1000, null, () => {
      if (!victim.stopped) return
      victim.leaseLost = true
      for (const lock of world.shared.locks.values()) if (lock.holder === victim) lock.holder = null
    })
    world.after(LEASE_MS + ms, null, () => world.resume(victim))
  },
  'disk-full': ({ node, ms, amount }, { world, plan }) => {
    const disk = plan.shared && ms % 2 === 0 ? world.shared : world.nodes[node]!.disk
    world.tell(world.nodes[node]!.name, 'disk is full')
    disk.full = true
    disk.room = Math.floor(amount * 600)
    world.after(ms, null, () => { disk.full = false })
  },
  'disk-slow': ({ node, ms, amount }, { world, plan }) => {
    const disk = plan.shared && ms % 2 === 0 ? world.shared : world.nodes[node]!.disk
    disk.syncMs = amount * 1500
    world.after(ms, null, () => { disk.syncMs = 0 })
  },
  'disk-fails': ({ node, amount }, { world }) => {
    for (const disk of [world.nodes[node]!.disk, world.shared]) disk.failSyncs = 1 + Math.floor(amount * 3)
  },
  'clock-jump': ({ node, amount, ms }, { world }) => {
    const by = Math.round((amount - 0.5) * (ms > 5000 ? 7_200_000 : 4 * ms))
    world.tell(world.nodes[node]!.name, `clock jumps by ${by} ms`)
    world.nodes[node]!.offset += by
  },
  'rival': ({ amount }, scenario) => {
    const job = first(scenario)
    const victim = nth(job.current.filter(({ process }) => process.alive), amount)
    if (victim !== undefined) job.start(victim.rank, victim.step, victim.process.node)
  },
  'damage': ({ amount }, { laws, world }) => {
    const journal = nth([...laws.journals.values()], amount)
    if (journal === undefined || journal.sender.seq <= journal.trimmed) return
    world.tell(journal.path, `record ${journal.sender.seq} is damaged`)
    journal.damaged.add(journal.sender.seq)
  },
}

export function apply(fault: Fault, scenario: Scenario): void {
  APPLY[fault.knob]?.(fault, scenario)
}
