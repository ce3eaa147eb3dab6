/** The drills, as data. */
import { FAULTS, type Fault } from './faults.ts'
import { ROOMY, type World } from './world.ts'

export interface Drill {
  name: string
  hosts: 1 | 2
  faults: readonly Fault[]
  /** Between two blows, ms. */
  pauseMs: readonly [number, number]
  /** Points may be lost if they are booked as lost. */
  mayLose?: true
  /** Before the workers start; the environment that they get. */
  setUp?: (world: World) => Promise<NodeJS.ProcessEnv>
}

const OFTEN = [300, 2000] as const
const RARELY = [1500, 3500] as const

/** One that can be made full at once; the run directory and what waits beside it are on it. */
const onOwnDisk = async (world: World): Promise<NodeJS.ProcessEnv> => {
  await world.exec(0, 'mount', '-t', 'tmpfs', '-o', `size=${ROOMY}`, 'tmpfs', world.place.dir)
  return {}
}

/** The home directory too, which is where overflow goes when nothing else takes it. */
const withoutRefuge = async (world: World): Promise<NodeJS.ProcessEnv> => {
  await onOwnDisk(world)
  const home = `${world.place.dir}/.home`
  await world.exec(0, 'mkdir', home)
  return { HOME: home }
}

const one = (name: string, fault: Fault, more: Partial<Drill> = {}): Drill =>
  ({ name, hosts: 1, faults: [fault], pauseMs: OFTEN, ...more })
const link = (name: string, fault: Fault): Drill => one(name, fault, { hosts: 2, pauseMs: RARELY })

/** One fault each: the rows of the table that is reported. */
export const DRILLS: readonly Drill[] = [
  one('none', FAULTS.none),
  one('kill-worker', FAULTS.killWorker), one('stop-worker', FAULTS.stopWorker),
  one('kill-agent', FAULTS.killAgent), one('stop-agent', FAULTS.stopAgent),
  one('kill-aggregator', FAULTS.killAggregator), one('stop-aggregator', FAULTS.stopAggregator),
  one('kill-supervisor', FAULTS.killSupervisor), one('stop-supervisor', FAULTS.stopSupervisor),
  one('full-disk', FAULTS.fullDisk, { setUp: onOwnDisk, pauseMs: RARELY }),
  one('full-shm', FAULTS.fullShm, { pauseMs: RARELY }),
  one('full-both', FAULTS.fullBoth, { setUp: withoutRefuge, pauseMs: RARELY, mayLose: true }),
  one('no-files', FAULTS.noFiles, { pauseMs: RARELY }),
  one('no-memory', FAULTS.noMemory, { pauseMs: RARELY }),
  one('clock-back', FAULTS.clock, { setUp: async (world) => world.shiftable() }),
  link('cut-carrier', FAULTS.cutCarrier), link('cut-silent', FAULTS.cutSilent),
  link('cut-up', FAULTS.oneWayUp), link('cut-down', FAULTS.oneWayDown),
  link('half-open-up', FAULTS.muteUp), link('half-open-down', FAULTS.muteDown),
  link('half-open', FAULTS.muteBoth),
  link('delay', FAULTS.delayed), link('rate', FAULTS.rateLimited), link('flip', FAULTS.flipped),
  link('reset', FAULTS.reset),
]

/** Several faults in one run: what continuous integration has the time for. */
export const GROUPS: readonly Drill[] = [
  { name: 'workers', hosts: 1, faults: [FAULTS.killWorker, FAULTS.stopWorker], pauseMs: OFTEN },
  {
    name: 'daemons', hosts: 1, pauseMs: OFTEN,
    faults: [FAULTS.killAgent, FAULTS.stopAgent, FAULTS.killAggregator, FAULTS.stopAggregator],
  },
  { name: 'supervisor', hosts: 1, faults: [FAULTS.stopSupervisor, FAULTS.killSupervisor], pauseMs: OFTEN },
  {
    name: 'full', hosts: 1, pauseMs: OFTEN, setUp: onOwnDisk, faults: [FAULTS.fullDisk, FAULTS.fullShm],
  },
  { name: 'limits', hosts: 1, pauseMs: OFTEN, faults: [FAULTS.noFiles, FAULTS.noMemory] },
  {
    name: 'links', hosts: 2, pauseMs: OFTEN,
    faults: [FAULTS.cutCarrier, FAULTS.cutSilent, FAULTS.oneWayUp, FAULTS.oneWayDown, FAULTS.rateLimited],
  },
  {
    name: 'proxy', hosts: 2, pauseMs: OFTEN,
    faults: [FAULTS.muteUp, FAULTS.muteDown, FAULTS.muteBoth, FAULTS.delayed, FAULTS.flipped, FAULTS.reset],
  },
]

export const drillNamed = (name: string): Drill | undefined =>
  [...DRILLS, ...GROUPS].find((drill) => drill.name === name)
