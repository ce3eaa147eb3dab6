/**
 * When a row closes (DESIGN 7), decided per family, and the range code of seal notes. Pure; time is an
 * argument.
 *
 * In: members, families, the time. Out: `seal` notes to append. Deciding changes nothing: the note does, once
 * applied.
 * Invariants: by progress only when every live rank that takes part is in the row or past it; by deadline
 * otherwise, so that no row waits for ever; under memory pressure the oldest rows go first.
 */
import { SEAL_BACKLOG_MS } from '../limits.ts'
import { openFamilies } from './core-blocks.ts'
import type { Members } from './core-members.ts'
import type { Block, Family, Metric, Rank } from './core-model.ts'
import type { Metrics } from './core-metrics.ts'
import { toRuns, type Run } from './core-steps.ts'
import type { NoteDraft, SealBody, SealedBy, StateOptions } from './core-types.ts'

/** Steps may come twice, in any order. */
type Chosen = Map<SealedBy, Map<Family, number[]>>

export interface SealFacts {
  members: Members
  metrics: Metrics
  options: StateOptions
  openBytes: number
  now: number
  /** When this aggregator began to listen: no wait that it could not hear counts. */
  woke: number
}

export function sealsDue(facts: SealFacts): NoteDraft[] {
  const chosen: Chosen = new Map()
  const { members, options, now, woke } = facts
  const joined = [...members.ranks.keys()].filter((rank) => rank < members.worldSize()).length
  const joinBy = Math.max(members.firstJoinAt, woke) + options.joinTimeoutMs
  const joining = joined < members.worldSize() && now < joinBy
  let live = 0
  for (const rank of members.ranks.values()) if (rank.current !== null) live++
  for (const family of facts.metrics.families) {
    if (family.shapes.every((shape) => shape.blocks.size === 0)) continue
    const standing = standingOf(family)
    const newcomers = live > standing.live && now < Math.max(family.firstAt, woke) + options.sealAfterMs
    const reached = joining || newcomers ? -1 : standing.progress
    for (const block of openBlocks(family)) {
      if (block.step <= reached) choose(chosen, 'progress', family, block.step)
      else if (isDue(block, standing.backlogged, facts)) choose(chosen, 'deadline', family, block.step)
    }
  }
  if (facts.openBytes > options.openRowsBytesMax) relieve(chosen, facts)
  return [...chosen].map(([by, rows]) => ({ type: 'note', at: now, kind: 'seal', body: encode(by, rows) }))
}

/** Every open row. */
export function sealsAll(metrics: Metrics, now: number): NoteDraft[] {
  const chosen: Chosen = new Map()
  for (const family of metrics.families) {
    for (const block of openBlocks(family)) choose(chosen, 'drain', family, block.step)
  }
  return [...chosen].map(([by, rows]) => ({ type: 'note', at: now, kind: 'seal', body: encode(by, rows) }))
}

interface Standing {
  /** Live ranks that take part. */
  live: number
  /** All of them are in or past every step up to this one; Infinity when there are none. */
  progress: number
  /** Some of them have sent less than their agent says they logged, and are only in or past this step. */
  backlogged: number
}

function standingOf(family: Family): Standing {
  const standing: Standing = { live: 0, progress: Infinity, backlogged: Infinity }
  if (family.shapes.length === 1) {
    const { ranks, tracks } = family.shapes[0]!
    for (let slot = 0; slot < ranks.length; slot++) {
      count(standing, ranks[slot]!, tracks[slot]?.progress ?? -1)
    }
    return standing
  }
  const reached = new Map<Rank, number>()
  for (const { ranks, tracks } of family.shapes) {
    for (let slot = 0; slot < ranks.length; slot++) {
      const rank = ranks[slot]!
      reached.set(rank, Math.max(reached.get(rank) ?? -1, tracks[slot]?.progress ?? -1))
    }
  }
  for (const [rank, progress] of reached) count(standing, rank, progress)
  return standing
}

function count(standing: Standing, rank: Rank, progress: number): void {
  const { current } = rank
  if (current === null) return
  standing.live++
  if (progress < standing.progress) standing.progress = progress
  const { soft } = current
  if (soft === null || soft.backlog === 0 || progress >= standing.backlogged) return
  // A backlog of bytes alone proves nothing: an agent always has some in flight.
  if (soft.logged - soft.lost > current.admitted) standing.backlogged = progress
}

function isDue(block: Block, backlogged: number, facts: SealFacts): boolean {
  const waited = facts.now - Math.max(block.firstAt, facts.woke)
  return waited >= (backlogged < block.step ? Math.max(SEAL_BACKLOG_MS, facts.options.sealAfterMs)
    : facts.options.sealAfterMs)
}

/** The oldest rows, until a quarter of the cap is free again, so that this is rare. */
function relieve(chosen: Chosen, { metrics, openBytes, options }: SealFacts): void {
  const left: Block[] = []
  let bytes = openBytes
  const before = new Map<Family, Set<number>>()
  for (const rows of chosen.values()) {
    for (const [family, steps] of rows) {
      const all = before.get(family)
      before.set(family, new Set(all === undefined ? steps : [...all, ...steps]))
    }
  }
  const isChosen = (family: Family, step: number): boolean => before.get(family)?.has(step) === true
  for (const shape of metrics.shapes) {
    for (const block of shape.blocks.values()) {
      const open = openFamilies(shape, block.step)
      if (open.every((family) => isChosen(family, block.step))) bytes -= 8 * block.size
      else left.push(block)
    }
  }
  left.sort((a, b) => a.firstAt - b.firstAt || a.step - b.step)
  for (const block of left) {
    if (bytes <= 0.75 * options.openRowsBytesMax) return
    bytes -= 8 * block.size
    for (const family of openFamilies(block.shape, block.step)) {
      if (!isChosen(family, block.step)) choose(chosen, 'memory', family, block.step)
    }
  }
}

function* openBlocks(family: Family): Iterable<Block> {
  for (const shape of family.shapes) {
    for (const block of shape.blocks.values()) if (!family.sealed.has(block.step)) yield block
  }
}

function choose(chosen: Chosen, by: SealedBy, family: Family, step: number): void {
  let rows = chosen.get(by)
  if (rows === undefined) chosen.set(by, rows = new Map())
  const steps = rows.get(family)
  if (steps === undefined) rows.set(family, [step])
  else steps.push(step)
}

/** Families with the same steps share a group, so that 10,000 metrics of one step are one line. */
function encode(by: SealedBy, rows: ReadonlyMap<Family, number[]>): SealBody {
  const groups = new Map<string, { ids: number[]; steps: Run[] }>()
  for (const [family, chosen] of rows) {
    const steps = toRuns(chosen)
    const key = JSON.stringify(steps)
    const group = groups.get(key) ?? { ids: [], steps }
    groups.set(key, group)
    for (const metric of family.metrics) group.ids.push(metric.id)
  }
  return { by, groups: [...groups.values()].map(({ ids, steps }) => ({ metrics: rangesOf(ids), steps })) }
}

function rangesOf(ids: number[]): [number, number][] {
  const ranges: [number, number][] = []
  for (const id of ids.sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === id - 1) last[1] = id
    else ranges.push([id, id])
  }
  return ranges
}

/** The families that a group of a seal note means; one of which only a part is meant is split. */
export function familiesOf(metrics: Metrics, ranges: readonly [number, number][]): Set<Family> {
  const parts = new Map<Family, Metric[]>()
  for (const [from, to] of ranges) {
    for (let id = from; id <= Math.min(to, metrics.list.length - 1); id++) {
      const metric = metrics.list[id]
      if (metric === undefined) continue
      const part = parts.get(metric.family)
      if (part === undefined) parts.set(metric.family, [metric])
      else part.push(metric)
    }
  }
  return new Set([...parts].map(([family, part]) => metrics.split(family, part)))
}

