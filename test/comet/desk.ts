/** What a test asks of the server and tells it; the same by a call, and over the control port. */
import type { StandIn } from './index.ts'
import type { Budgets, Knobs } from './knobs.ts'
import type { Calls, Entry, Filter } from './log.ts'
import type { Asset, Experiment, Write } from './model.ts'

/** Everything of an experiment but the values of its metrics; assets without their bytes. */
export interface View {
  key: string
  name: string | null
  workspace: string
  project: string
  via: 'sdk' | 'rest'
  offline: boolean
  resumed: number
  state: 'running' | 'ended' | 'silent' | 'new'
  life: Experiment['life']
  createdMs: number
  startMs: number
  endMs: number | null
  throttled: boolean
  archived: boolean
  afterEnd: number
  errors: Experiment['errors']
  /** How many values each metric got. */
  metrics: Record<string, number>
  /** The last value by name; every write is in `writes()`. */
  parameters: Record<string, unknown>
  others: Record<string, unknown>
  tags: string[]
  output: Experiment['output']
  html: string
  system: Record<string, unknown>
  notes: Record<string, unknown[]>
  assets: Omit<Asset, 'bytes'>[]
  artifacts: unknown[]
}

export interface Desk {
  /** Changes these; `faults` begin their counts anew. */
  set(patch: Partial<Knobs>): Promise<void>
  /** Forgets experiments, log and what was charged to budgets; knobs stay. */
  clear(): void
  experiments(): View[]
  experiment(key: string): View | null
  /** Every stored value by name of the metric, in the order of arrival, doubles too. */
  series(key: string, name?: string): Record<string, Write[]>
  writes(key: string, of: 'parameters' | 'others'): Record<string, Write[]>
  /** Base64; null for a reference. */
  asset(key: string, assetId: string): string | null
  log(filter?: Filter): Entry[]
  /** Total, and worst window, of the calls that arrived, answered or not. */
  calls(windowMs: number, filter?: Filter): Calls
  budgets(): ReturnType<Budgets['state']>
}

const lastOf = (writes: Map<string, Write[]>): Record<string, unknown> =>
  Object.fromEntries([...writes].map(([name, list]) => [name, list.at(-1)!.value]))

function viewOf(one: Experiment, aliveMs: number): View {
  const { key, name, workspace, project, via, offline, resumed, life, createdMs, startMs, endMs } = one
  const { throttled, archived, afterEnd, errors, output, html, system, notes } = one
  return {
    key, name, workspace, project, via, offline, resumed, life, createdMs, startMs, endMs, throttled,
    archived, afterEnd, errors, output, html, system, notes,
    state: one.state(Date.now(), aliveMs), tags: [...one.tags],
    metrics: Object.fromEntries([...one.metrics].map(([metric, writes]) => [metric, writes.length])),
    parameters: lastOf(one.parameters), others: lastOf(one.others), artifacts: [...one.artifacts.values()],
    assets: [...one.assets.values()].map(({ bytes: _, ...asset }) => asset),
  }
}

export function deskOf(standIn: StandIn): Desk {
  const { world, log } = standIn
  const known = (key: string): Experiment => {
    const experiment = world.experiments.get(key)
    if (!experiment) throw new Error(`no experiment ${key}`)
    return experiment
  }
  const view = (one: Experiment): View => viewOf(one, standIn.knobs.aliveMs)
  return {
    set: (patch) => standIn.set(patch),
    clear: () => { standIn.clear() },
    experiments: () => [...world.experiments.values()].map(view),
    experiment: (key) => world.experiments.has(key) ? view(known(key)) : null,
    series(key, name) {
      const { metrics } = known(key)
      return name === undefined ? Object.fromEntries(metrics) : { [name]: metrics.get(name) ?? [] }
    },
    writes: (key, of) => Object.fromEntries(known(key)[of]),
    asset: (key, assetId) => known(key).assets.get(assetId)?.bytes?.toString('base64') ?? null,
    log: (filter) => log.select(filter),
    calls: (windowMs, filter) => log.calls(windowMs, filter),
    budgets: () => standIn.budgets.state(standIn.knobs, Date.now()),
  }
}
