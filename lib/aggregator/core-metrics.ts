/**
 * Names to metrics, name lists to shapes, and the partition of metrics into families (see core-model.ts).
 *
 * In: the layouts of instances and the views they declare, in ledger order. Out: the same objects on every
 * replay.
 * Invariants: a metric is in exactly one family; the metrics of a family occur in the same shapes; families
 * only split.
 */
import { globToRegExp, type Reduce } from '../record/index.ts'
import { isOlder, type Family, type Member, type Metric, type Shape } from './core-model.ts'
import { StepSet } from './core-steps.ts'

interface Declared {
  glob: string
  pattern: RegExp | null
  reduce: Reduce
  member: Member
  seq: number
}

export class Metrics {
  readonly list: Metric[] = []
  readonly families = new Set<Family>()
  readonly shapes: Shape[] = []
  private readonly byName = new Map<string, Metric>()
  private readonly byNames = new Map<string, Shape>()
  private readonly declared = new Map<string, Declared>()

  get(name: string): Metric | undefined {
    return this.byName.get(name)
  }

  /** The shape of these names in this order; equal lists of different instances share it. */
  shape(names: readonly string[]): Shape {
    const key = JSON.stringify(names)
    const known = this.byNames.get(key)
    if (known !== undefined) return known
    const fresh = newFamily()
    const metrics = names.map((name) => this.byName.get(name) ?? this.add(name, fresh))
    if (fresh.metrics.length > 0) this.families.add(fresh)
    const shape: Shape = {
      metrics, column: new Map(metrics.map((metric, column) => [metric, column])), families: [],
      sealedTop: -1, ranks: [], tracks: [], ordered: null, blocks: new Map(),
    }
    const touched = new Map<Family, Metric[]>()
    for (const metric of shape.column.keys()) {
      const part = touched.get(metric.family)
      if (part === undefined) touched.set(metric.family, [metric])
      else part.push(metric)
    }
    for (const [family, part] of touched) join(this.split(family, part), shape)
    this.byNames.set(key, shape)
    this.shapes.push(shape)
    return shape
  }

  /** The family of exactly these metrics of one family: itself, or a part cut off. */
  split(family: Family, part: readonly Metric[]): Family {
    if (part.length === family.metrics.length) return family
    const cut = newFamily()
    const members = new Set(part)
    cut.metrics = family.metrics.filter((metric) => members.has(metric))
    family.metrics = family.metrics.filter((metric) => !members.has(metric))
    for (const metric of cut.metrics) metric.family = cut
    cut.sealed = family.sealed.copy()
    for (const shape of family.shapes) {
      join(cut, shape)
      for (const block of shape.blocks.values()) if (!cut.sealed.has(block.step)) block.open++
    }
    cut.amended = family.amended.copy()
    cut.firstAt = family.firstAt
    this.families.add(cut)
    return cut
  }

  /**
   * The lowest rank's word holds, then its newest life's, then its latest: independent of the order of
   * arrival.
   */
  declare(member: Member, seq: number, glob: string, reduce: Reduce): void {
    const known = this.declared.get(glob)
    if (known !== undefined && !outranks(member, seq, known)) return
    const pattern = glob.includes('*') ? globToRegExp(glob) : null
    this.declared.set(glob, { glob, pattern, reduce, member, seq })
    for (const metric of this.list) metric.reduce = null
  }

  /** The declared view of a metric: its own name first, then the longest pattern; mean when none fits. */
  viewOf(metric: Metric): Reduce {
    metric.reduce ??= this.lookUp(metric.name)
    return metric.reduce
  }

  private lookUp(name: string): Reduce {
    let best: Declared | null = null
    for (const one of this.declared.values()) {
      if (one.pattern === null ? one.glob !== name : !one.pattern.test(name)) continue
      if (best === null || moreExact(one, best)) best = one
    }
    return best?.reduce ?? 'mean'
  }

  private add(name: string, family: Family): Metric {
    const metric: Metric = { id: this.list.length, name, family, newest: null, reduce: null }
    family.metrics.push(metric)
    this.list.push(metric)
    this.byName.set(name, metric)
    return metric
  }
}

function newFamily(): Family {
  return { metrics: [], shapes: [], sealed: new StepSet(), amended: new StepSet(), firstAt: Infinity }
}

function join(family: Family, shape: Shape): void {
  family.shapes.push(shape)
  shape.families.push(family)
  shape.sealedTop = Math.max(shape.sealedTop, family.sealed.top)
}

function outranks(member: Member, seq: number, known: Declared): boolean {
  const rank = member.rank?.rank ?? Infinity
  const other = known.member.rank?.rank ?? Infinity
  if (rank !== other) return rank < other
  return member === known.member ? seq > known.seq : isOlder(known.member, member)
}

function moreExact(a: Declared, b: Declared): boolean {
  if (a.pattern === null || b.pattern === null) return a.pattern === null
  return a.glob.length > b.glob.length || (a.glob.length === b.glob.length && a.glob < b.glob)
}
