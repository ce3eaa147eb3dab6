/** What a drill does to a run: each fault is one blow, from its beginning to its healing. */
import { processesOf, type Kind } from '../../lib/cli/drill/processes.ts'
import { kill, sleep } from '../scenario/harness.ts'
import type { World } from './world.ts'

export interface Fault {
  name: string
  /** Strikes and heals; says what it did, or null when there was nothing to strike. */
  strike: (world: World, random: () => number) => Promise<string | null>
}

const between = (random: () => number, low: number, high: number): number =>
  Math.round(low + random() * (high - low))
const pick = <T>(random: () => number, from: readonly T[]): T | undefined =>
  from[Math.floor(random() * from.length)]

const ALL: readonly Kind[] = ['worker', 'agent', 'aggregator', 'supervisor']
const DAEMONS: readonly Kind[] = ['agent', 'aggregator']

// --- processes

/** Daemons that were killed need some seconds to be there again; a supervisor never is. */
const BACK_MS_MAX = 6000

async function someone(world: World, random: () => number, kind: Kind): Promise<number | undefined> {
  const until = performance.now() + BACK_MS_MAX
  while (world.pids(kind).length === 0 && !world.supervisorKilled && performance.now() < until) {
    await sleep(100)
  }
  return pick(random, world.pids(kind))
}

function killOf(kind: Kind): Fault {
  return {
    name: `SIGKILL ${kind}`,
    strike: async (world, random) => {
      if (kind !== 'worker') return killed(world, kind, await someone(world, random, kind))
      const life = world.someLife(random)
      return life === null ? null : world.killLife(life)
    },
  }
}

function killed(world: World, kind: Kind, pid: number | undefined): string | null {
  if (pid === undefined) return null
  kill(pid)
  if (kind === 'supervisor') world.supervisorKilled = true
  return `killed ${kind} (pid ${pid})`
}

/** Up to longer than the beat by which others see a death. */
const STOP_MS_MAX = 6500

function stopOf(kind: Kind): Fault {
  return {
    name: `SIGSTOP ${kind}`,
    strike: async (world, random) => {
      const pid = await someone(world, random, kind)
      if (pid === undefined) return null
      const ms = between(random, 50, Math.min(STOP_MS_MAX, world.options.longestMs ?? Infinity))
      await held(pid, ms)
      return `stopped ${kind} (pid ${pid}) for ${ms} ms`
    },
  }
}

async function held(pid: number, ms: number): Promise<void> {
  kill(pid, 'SIGSTOP')
  await sleep(ms)
  kill(pid, 'SIGCONT')
}

// --- the link between two hosts

const [CUT_MS_MIN, CUT_MS_MAX] = [500, 6500]

function linkFault(name: string, begin: (world: World) => unknown, heal: (world: World) => unknown): Fault {
  return {
    name,
    strike: async (world, random) => {
      const ms = between(random, CUT_MS_MIN, Math.min(CUT_MS_MAX, world.options.longestMs ?? Infinity))
      await begin(world)
      await sleep(ms)
      await heal(world)
      return `${name} for ${ms} ms`
    },
  }
}

const cutOf = (how: 'carrier' | 'silent'): Fault => linkFault(
  `link cut (${how})`, ({ net }) => net.cut(1, how), ({ net }) => net.heal(1))

/** Packets of a host go to an address that nobody has: they vanish, while those of the other arrive. */
const oneWayFrom = (host: 0 | 1): Fault => linkFault(
  `link cut one way, from host ${host}`,
  (w) => w.exec(host, 'ip', 'neigh', 'replace', w.net.ip(1 - host), 'lladdr', '02:00:00:00:00:99',
    'dev', 'eth0', 'nud', 'permanent'),
  (w) => w.exec(host, 'ip', 'neigh', 'del', w.net.ip(1 - host), 'dev', 'eth0'))

/** A twentieth of what four workers send, with a short queue: what does not fit is dropped. */
const rateLimited: Fault = linkFault(
  'link limited to 16 kbit/s',
  (w) => w.exec(1, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', 'rate', '16kbit', 'burst', '4kb',
    'latency', '200ms'),
  (w) => w.exec(1, 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root'))

const delayed = linkFault('delayed by 100-300 ms', (w) => w.proxy({ delayMs: 200 }), (w) => w.proxy({}))
const muteOf = (mute: 'up' | 'down' | 'both'): Fault =>
  linkFault(`half-open (${mute})`, (world) => world.proxy({ mute }), (world) => world.proxy({}))
const flipped = linkFault('one byte of 2,000 flipped', (w) => w.proxy({ flip: 2000 }), (w) => w.proxy({}))
const reset: Fault = {
  name: 'connections reset',
  strike: async (world, random) => {
    const times = between(random, 1, 5)
    for (let i = 0; i < times; i++) {
      world.proxy({ reset: 1 })
      await sleep(between(random, 20, 400))
    }
    return `reset all connections ${times} times`
  },
}

// --- resources

const fullDisk: Fault = {
  name: 'disk full',
  strike: async (world, random) => {
    const ms = between(random, 500, 5000)
    await world.shrink(world.place.dir)
    const also = random() < 0.5 ? pick(random, DAEMONS) : undefined
    if (also !== undefined) {
      await sleep(ms / 2)
      killed(world, also, pick(random, world.pids(also)))
    }
    await sleep(ms / 2)
    await world.grow(world.place.dir)
    return `disk full for ${ms} ms${also === undefined ? '' : `, killed ${also} meanwhile`}`
  },
}

/** Below what one record may have; DRILL_LOUD_STEPS of them are more than a ring. */
const TEXT_BYTES = 200_000
const SHM = '/dev/shm'

/** No room in shared memory while rings overflow, and a worker comes that wants a journal. */
const fullShm: Fault = {
  name: 'shared memory full',
  strike: async (world, random) => {
    const agent = await someone(world, random, 'agent')
    const ms = between(random, 1500, 4000)
    await world.shrink(SHM)
    if (agent !== undefined) kill(agent, 'SIGSTOP')
    world.loud(TEXT_BYTES)
    const life = random() < 0.5 ? await killOf('worker').strike(world, random) : null
    await sleep(ms)
    if (agent !== undefined) kill(agent, 'SIGCONT')
    await sleep(between(random, 0, 1000))
    await world.grow(SHM)
    return `shared memory full, agent stopped for ${ms} ms${life === null ? '' : `, ${life}`}`
  },
}

/** Nothing takes what rings have no room for: the one case in which points are lost, and counted. */
const fullBoth: Fault = {
  name: 'disk and shared memory full',
  strike: async (world, random) => {
    await world.shrink(world.place.dir)
    try {
      return `disk full; ${await fullShm.strike(world, random)}`
    } finally {
      await world.grow(world.place.dir)
    }
  },
}

const NOFILE = 64

const noFiles: Fault = {
  name: `open files limited to ${NOFILE}`,
  strike: async (world, random) => {
    const kind = pick(random, ALL)!
    for (const pid of world.pids(kind)) await limit(world, pid, `--nofile=${NOFILE}:`)
    await sleep(between(random, 300, 1500))
    const also = random() < 0.5 ? pick(random, DAEMONS)! : null
    if (also !== null) killed(world, also, pick(random, world.pids(also)))
    await sleep(between(random, 300, 2500))
    // Those who were started meanwhile have inherited it.
    for (const { pid } of processesOf(world.root)) await limit(world, pid, '--nofile=1024:')
    return `64 open files for every ${kind}${also === null ? '' : `, killed ${also} meanwhile`}`
  },
}

/** Data segment as it is, and this much more (MiB): V8 aborts when it gets nothing. */
const noMemory: Fault = {
  name: 'memory limited',
  strike: async (world, random) => {
    const kind = pick(random, DAEMONS)!
    const pid = pick(random, world.pids(kind))
    if (pid === undefined) return null
    const more = between(random, 0, 4)
    const script = 'prlimit --pid "$1" --data=$(( ($(sed -n "s/VmData:[^0-9]*\\([0-9]*\\) kB/\\1/p" '
      + '/proc/$1/status) + $2 * 1024) * 1024 )): 2>/dev/null || true'
    await world.exec(0, 'sh', '-c', script, 'limit', String(pid), String(more))
    world.loud(TEXT_BYTES)
    await sleep(between(random, 500, 2500))
    const survived = world.pids(kind).includes(pid)
    if (survived) await limit(world, pid, '--data=unlimited:')
    return `${kind} gets ${more} MiB more and no further: it ${survived ? 'survived' : 'died'}`
  },
}

/** A process may be gone by now. */
async function limit(world: World, pid: number, what: string): Promise<void> {
  await world.exec(0, 'sh', '-c', 'prlimit --pid "$1" "$2" 2>/dev/null || true', 'limit', String(pid), what)
}

const HOUR_MS = 3_600_000

/** Back, then forward again: both are jumps that a clock service makes. */
const clock: Fault = {
  name: 'clock set back by an hour',
  strike: async (world, random) => {
    const back = !world.clockIsBack
    world.shiftClock(back ? -HOUR_MS : 0)
    await sleep(between(random, 0, 1500))
    const also = random() < 0.7 ? pick(random, DAEMONS)! : null
    if (also !== null) killed(world, also, pick(random, world.pids(also)))
    await sleep(between(random, 0, 1500))
    return `clock ${back ? 'back' : 'forward'} by an hour${also === null ? '' : `, killed ${also}`}`
  },
}

/** What is measured without any. */
const none: Fault = { name: 'none', strike: async () => null }

export const FAULTS = {
  none,
  killWorker: killOf('worker'), stopWorker: stopOf('worker'),
  killAgent: killOf('agent'), stopAgent: stopOf('agent'),
  killAggregator: killOf('aggregator'), stopAggregator: stopOf('aggregator'),
  killSupervisor: killOf('supervisor'), stopSupervisor: stopOf('supervisor'),
  cutCarrier: cutOf('carrier'), cutSilent: cutOf('silent'),
  oneWayUp: oneWayFrom(1), oneWayDown: oneWayFrom(0), rateLimited, delayed,
  muteUp: muteOf('up'), muteDown: muteOf('down'), muteBoth: muteOf('both'),
  flipped, reset,
  fullDisk, fullShm, fullBoth, noFiles, noMemory, clock,
} as const
