/**
 * Merging: values records into the open rows, rows out of them when they seal. Pure.
 *
 * In: decoded batches of accepted members, in seq order per instance, members in any order. Out: blocks; per
 * row the winning value of each rank, in rank order; the books of who was delivered and who was superseded.
 * Invariants: of two values of a rank and step the newer life's wins, within a life the higher seq, whatever
 * the order of arrival; a point is counted exactly once, as pending, delivered, superseded or rejected.
 * It does not decide when a row seals (core-seal.ts).
 */
import { Kind } from '../record/index.ts'
import { Blocks, openFamilies, slotsOf, widthOf } from './core-blocks.ts'
import type { Members } from './core-members.ts'
import {
  HOLDER, isOlder, SEQ, SLOT_HEAD, WEIGHT, type Block, type Family, type Member, type Metric, type Shape,
  type Track,
} from './core-model.ts'
import { jsonOf } from './core-payload.ts'
import { goodWeight, newSample, reserve, type Sample } from './core-reduce.ts'
import { StepSet } from './core-steps.ts'
import type { Batch } from './core-types.ts'

type Group = Batch['groups'][number]

interface Rewind {
  seq: number
  step: number
}

export class Merge {
  readonly blocks = new Blocks()
  /** Changes of sealed rows since the last `amend` note, and the time of the first. */
  amended = 0
  amendedAt = Infinity
  onAmended: ((family: Family, step: number, member: Member) => void) | null = null
  private readonly members: Members
  private sample: Sample = newSample(64)
  /** What `pick` found: per rank in rank order its winner, the block and the place of its slot. */
  private picked = 0
  private readonly winners: Member[] = []
  private readonly where: Block[] = []
  private readonly places: number[] = []

  constructor(members: Members) {
    this.members = members
  }

  /** Records with a seq ≥ `from`; `at` is the aggregator's time. */
  take(member: Member, batch: Batch, from: number, at: number): void {
    const rewinds = rewindsOf(batch)
    for (const { step } of rewinds) {
      for (const track of member.tracks.values()) track.progress = Math.min(track.progress, step - 1)
    }
    for (const group of batch.groups) {
      const shape = shapeOf(member, batch, group)
      if (shape === null) member.rejected += pointsFrom(group, from)
      else this.takeGroup(member, shape, group, from, at, rewinds)
    }
  }

  private takeGroup(
    member: Member, shape: Shape, group: Group, from: number, at: number, rewinds: readonly Rewind[],
  ): void {
    const track = member.tracks.get(shape) ?? this.track(member, shape, at)
    const { seqs, steps, weights } = group
    for (let i = firstIndex(group, from); i < group.count; i++) {
      const step = steps[i]!
      let reached = step
      for (const rewind of rewinds) if (rewind.seq > seqs[i]!) reached = Math.min(reached, rewind.step - 1)
      if (reached > track.progress) track.progress = reached
      const weight = weights === null ? NaN : weights[i]!
      if (weight === weight && !goodWeight(weight)) member.badWeights++
      this.put(member, track, group, i, weight, at)
    }
  }

  private put(member: Member, track: Track, group: Group, i: number, weight: number, at: number): void {
    const { shape, slot } = track
    const step = group.steps[i]!
    const seq = group.seqs[i]!
    let open = shape.metrics.length
    if (step <= shape.sealedTop) open -= this.late(member, shape, step, at)
    track.steps.add(step)
    if (open === 0) return
    const block = this.block(shape, step, slot, at)
    const { data } = block
    const place = block.at + slot * (SLOT_HEAD + shape.metrics.length)
    const holder = data[place + HOLDER]!
    if (holder !== 0) {
      const other = this.members.list[holder - 1]!
      if (other === member ? seq < data[place + SEQ]! : isOlder(member, other)) {
        member.superseded += open
        return
      }
      other.superseded += open
    }
    data[place + HOLDER] = member.index + 1
    data[place + SEQ] = seq
    data[place + WEIGHT] = weight
    const { count, values } = group
    for (let at = i, to = place + SLOT_HEAD; at < values.length; at += count, to++) data[to] = values[at]!
  }

  /**
   * Books a record's points of rows that are sealed already; returns how many. The newest life's amend the
   * row.
   */
  private late(member: Member, shape: Shape, step: number, at: number): number {
    let points = 0
    for (const family of shape.families) {
      if (!family.sealed.has(step)) continue
      const count = family.metrics.length
      points += count
      if (isReplaced(member, family, step)) {
        member.superseded += count
      } else {
        member.delivered += count
        family.amended.add(step)
        this.amended++
        this.amendedAt = Math.min(this.amendedAt, at)
        this.onAmended?.(family, step, member)
      }
    }
    return points
  }

  private block(shape: Shape, step: number, slot: number, at: number): Block {
    let block = shape.blocks.get(step)
    if (block === undefined) {
      block = this.blocks.open(shape, step, shape.ranks.length, at)
      shape.blocks.set(step, block)
    } else if (slot >= slotsOf(block)) {
      this.blocks.grow(block, Math.max(shape.ranks.length, 2 * slotsOf(block)))
    }
    return block
  }

  private track(member: Member, shape: Shape, at: number): Track {
    const rank = member.rank!
    let slot = rank.slots.get(shape)
    if (slot === undefined) {
      slot = shape.ranks.length
      shape.ranks.push(rank)
      shape.tracks.push(null)
      shape.ordered = null
      rank.slots.set(shape, slot)
    }
    const track: Track = { shape, slot, progress: -1, steps: new StepSet() }
    member.tracks.set(shape, track)
    if (rank.current === member) shape.tracks[slot] = track
    for (const family of shape.families) family.firstAt = Math.min(family.firstAt, at)
    return track
  }

  /** Closes one row of each metric of the family: its points are delivered. */
  seal(family: Family, step: number): void {
    if (family.sealed.has(step)) return
    const points = family.metrics.length
    this.pick(family, step, points)
    for (let i = 0; i < this.picked; i++) this.winners[i]!.delivered += points
    family.sealed.add(step)
    for (const shape of family.shapes) {
      shape.sealedTop = Math.max(shape.sealedTop, step)
      const block = shape.blocks.get(step)
      if (block === undefined || --block.open > 0) continue
      shape.blocks.delete(step)
      this.blocks.close(block)
    }
  }

  /**
   * The open row of each metric of a family, one value per rank in rank order; a sample is valid until the
   * next.
   */
  *rows(family: Family, step: number): Iterable<[Metric, Sample]> {
    this.pick(family, step, 0)
    for (const metric of family.metrics) yield [metric, this.pickedOf(metric)]
  }

  /** Whose values are in the open row of each metric of a family, in rank order. */
  holders(family: Family, step: number): number[] {
    this.pick(family, step, 0)
    return this.winners.slice(0, this.picked).map(({ index }) => index)
  }

  column(metric: Metric, step: number): Sample {
    this.pick(metric.family, step, 0)
    return this.pickedOf(metric)
  }

  private pickedOf(metric: Metric): Sample {
    const sample = reserve(this.sample, this.picked)
    this.sample = sample
    sample.n = this.picked
    let shape: Shape | null = null
    let column = 0
    for (let i = 0; i < this.picked; i++) {
      const block = this.where[i]!
      const place = this.places[i]!
      if (block.shape !== shape) {
        shape = block.shape
        column = SLOT_HEAD + shape.column.get(metric)!
      }
      sample.ranks[i] = this.winners[i]!.rank!.rank
      sample.weights[i] = block.data[place + WEIGHT]!
      sample.values[i] = block.data[place + column]!
    }
    return sample
  }

  /** Points of open rows per member index. */
  openPoints(shapes: readonly Shape[]): Map<number, number> {
    const open = new Map<number, number>()
    for (const shape of shapes) {
      for (const block of shape.blocks.values()) {
        let points = 0
        for (const { metrics } of openFamilies(shape, block.step)) points += metrics.length
        for (let slot = 0; slot < Math.min(slotsOf(block), shape.ranks.length); slot++) {
          const holder = block.data[block.at + slot * widthOf(shape) + HOLDER]!
          if (holder !== 0) open.set(holder - 1, (open.get(holder - 1) ?? 0) + points)
        }
      }
    }
    return open
  }

  /** The winner of every rank; each loser is booked as superseded with `points`. */
  private pick(family: Family, step: number, points: number): void {
    this.picked = 0
    let only: Block | null = null
    let more = false
    for (const { blocks } of family.shapes) {
      const block = blocks.get(step)
      if (block === undefined) continue
      if (only !== null) more = true
      only = block
    }
    if (more) this.pickBest(family, step, points)
    else if (only !== null) this.pickOnly(only)
  }

  private pickOnly(block: Block): void {
    const { shape, data, at } = block
    const width = widthOf(shape)
    const slots = slotsOf(block)
    for (const slot of slotsInOrder(shape)) {
      const place = at + slot * width
      if (slot >= slots || data[place + HOLDER] === 0) continue
      this.winners[this.picked] = this.members.list[data[place + HOLDER]! - 1]!
      this.where[this.picked] = block
      this.places[this.picked++] = place
    }
  }

  /**
   * The metric was logged in several shapes at this step, by different ranks or by one rank more than once.
   */
  private pickBest(family: Family, step: number, points: number): void {
    const best = new Map<number, { member: Member; block: Block; place: number }>()
    for (const { blocks } of family.shapes) {
      const block = blocks.get(step)
      if (block === undefined) continue
      this.pickOnly(block)
      for (let i = 0; i < this.picked; i++) {
        const found = { member: this.winners[i]!, block, place: this.places[i]! }
        const { index } = found.member.rank!
        const other = best.get(index)
        if (other === undefined) {
          best.set(index, found)
          continue
        }
        const wins = found.member === other.member
          ? seqAt(found) > seqAt(other)
          : isOlder(other.member, found.member)
        if (wins) best.set(index, found)
        const loser = wins ? other : found
        loser.member.superseded += points
      }
      this.picked = 0
    }
    for (const rank of this.members.ranksInOrder()) {
      const found = best.get(rank.index)
      if (found === undefined) continue
      this.winners[this.picked] = found.member
      this.where[this.picked] = found.block
      this.places[this.picked++] = found.place
    }
  }
}

const seqAt = (found: { block: Block; place: number }): number => found.block.data[found.place + SEQ]!

function slotsInOrder(shape: Shape): Int32Array {
  const { ranks } = shape
  shape.ordered ??= Int32Array.from(ranks.keys()).sort((a, b) => ranks[a]!.rank - ranks[b]!.rank)
  return shape.ordered
}

/** A newer life of the rank has logged the row already. */
function isReplaced(member: Member, family: Family, step: number): boolean {
  const { lives } = member.rank!
  for (let i = lives.length - 1; lives[i] !== member; i--) {
    for (const shape of family.shapes) {
      if (lives[i]!.tracks.get(shape)?.steps.has(step)) return true
    }
  }
  return false
}

/** null: the definition of the layout is in a hole, so nobody can say what these points are. */
export function shapeOf(member: Member, batch: Batch, group: Group): Shape | null {
  const layout = member.layouts.get(group.layout)
  if (layout === undefined || layout.from > batch.lastSeq) return null
  return layout.shape.metrics.length === group.width ? layout.shape : null
}

function rewindsOf(batch: Batch): Rewind[] {
  const rewinds: Rewind[] = []
  for (const { kind, seq, body } of batch.payloads) {
    if (kind !== Kind.resume) continue
    const { step } = jsonOf(body)
    if (typeof step === 'number') rewinds.push({ seq, step })
  }
  return rewinds
}

/** First record of the group with a seq ≥ `from`: not 0 only where ledger rows overlap. */
function firstIndex(group: Group, from: number): number {
  let i = 0
  while (i < group.count && group.seqs[i]! < from) i++
  return i
}

export const pointsFrom = (group: Group, from: number): number =>
  (group.count - firstIndex(group, from)) * group.width
