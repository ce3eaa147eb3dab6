/**
 * Equal lines of several ranks become one block. Pure; also behind `rankzero console`.
 *
 * In: lines with rank, stream and time, those of one rank in order. Out: blocks, about in order of time.
 * Invariants: every line is in exactly one block, with its very text; a block names the ranks that said it
 * and no other; the lines of one rank stay in order; a line waits at most `holdMs`, and at most as many wait
 * as the limits allow.
 *
 * Blocks wait in a queue, in order of their level. A line without a partner begins a block at the end. A line
 * joins a block with its text behind the last block that its rank shares with others; blocks that its rank
 * has begun alone since then move before that one, into the levels between. So the k-th occurrence of a text
 * in one rank meets the k-th in another, whatever either says in between.
 */
import { rankText } from '../aggregator/core-params.ts'

export type Stream = 'stdout' | 'stderr'

export interface Said {
  rank: number
  /** Null: a text of the logger. */
  stream: Stream | null
  line: string
  /** Ms since the epoch. */
  time: number
}

export interface Block {
  /** When the first rank said it. */
  time: number
  /** Ascending. */
  ranks: number[]
  stream: Stream | null
  line: string
}

interface Waiting extends Block {
  level: number
  /** Order of arrival, among equals of level. */
  index: number
  text: Text
  since: number
  /** Members that may still speak. */
  speaking: number
  gone: boolean
}

/** Waiting blocks with the same text. */
interface Text {
  key: string
  blocks: Ordered
  /** The last of them that a rank is in. */
  lastOf: Map<number, Waiting>
}

interface Rank {
  speaks: boolean
  /** Level of the last block that it shares. */
  shared: number
  /** Its own waiting blocks behind that one. */
  alone: Ordered
}

export interface Bounds {
  holdMs: number
  lines: number
  chars: number
}

/** Levels closer than this could not be told apart after some 10^11 blocks. */
const LEVEL_STEP_MIN = 2 ** -16

const isBefore = (a: Waiting, b: Waiting): boolean =>
  a.level < b.level || (a.level === b.level && a.index < b.index)

export class Collapser {
  private readonly bounds: Bounds
  private readonly queue = new Ordered()
  /** In order of arrival; those that are gone leave when they come first. */
  private readonly byAge: Waiting[] = []
  private oldest = 0
  private arrivals = 0
  /** Level of the last block that was taken. */
  private floor = 0
  private chars = 0
  private readonly texts = new Map<string, Text>()
  private readonly ranks = new Map<number, Rank>()
  private speaking = 0

  constructor(bounds: Bounds) {
    this.bounds = bounds
  }

  get waiting(): number {
    return this.queue.size
  }

  /** This rank may speak: blocks wait for it. */
  open(rank: number): void {
    if (this.ranks.has(rank)) return
    this.ranks.set(rank, { speaks: true, shared: 0, alone: new Ordered() })
    this.speaking++
  }

  /** It will not speak any more. */
  close(rank: number): void {
    const state = this.ranks.get(rank)
    if (state?.speaks !== true) return
    state.speaks = false
    this.speaking--
    for (const block of this.queue.all()) if (block.ranks.includes(rank)) block.speaking--
  }

  /** `now`: of one clock that never goes back, ms. */
  add({ rank, stream, line, time }: Said, now: number): void {
    this.open(rank)
    const state = this.ranks.get(rank)!
    const key = `${stream ?? ''} ${line}`
    let text = this.texts.get(key)
    if (text === undefined) this.texts.set(key, text = newText(key))
    const partner = this.partnerOf(rank, state, text)
    const block = partner ?? this.append({ time, ranks: [], stream, line }, text, now)
    if (partner !== undefined) this.share(partner)
    block.ranks.push(rank)
    if (state.speaks) block.speaking++
    text.lastOf.set(rank, block)
    if (partner === undefined) {
      state.alone.insert(block)
    } else {
      state.shared = block.level
      state.alone.clear()
    }
  }

  /** Blocks that have waited long enough, or that every rank has joined. */
  due(now: number): Block[] {
    const { holdMs, lines, chars } = this.bounds
    const taken: Block[] = []
    for (let first = this.queue.first; first !== undefined; first = this.queue.first) {
      const age = now - this.eldest()!.since
      const isWhole = first.speaking >= this.speaking
      if (!isWhole && age < holdMs && this.queue.size <= lines && this.chars <= chars) break
      taken.push(this.take(first))
    }
    return taken
  }

  flush(): Block[] {
    const taken: Block[] = []
    for (let first = this.queue.first; first !== undefined; first = this.queue.first) {
      taken.push(this.take(first))
    }
    return taken
  }

  private append({ time, ranks, stream, line }: Block, text: Text, now: number): Waiting {
    const level = (this.queue.last?.level ?? this.floor) + 1
    const index = this.arrivals++
    const waiting: Waiting = {
      time, ranks, stream, line, level, index, text, since: now, speaking: 0, gone: false,
    }
    this.queue.insert(waiting)
    this.byAge.push(waiting)
    text.blocks.insert(waiting)
    this.chars += line.length
    return waiting
  }

  /** The block to join, with this rank's own blocks moved before it. */
  private partnerOf(rank: number, state: Rank, text: Text): Waiting | undefined {
    const after = Math.max(state.shared, text.lastOf.get(rank)?.level ?? 0)
    const partner = text.blocks.firstAbove(after)
    if (partner === undefined) return undefined
    const { stays, moves } = state.alone.split(partner)
    // Just before it, so that they stay near their time; whole levels are what blocks begin with.
    const from = Math.max(state.shared, this.floor, partner.level - 1, stays?.level ?? 0)
    const step = (partner.level - from) / (moves.length + 1)
    if (step < LEVEL_STEP_MIN && moves.length > 0) return undefined
    for (const [i, block] of moves.entries()) this.move(block, from + step * (i + 1))
    return partner
  }

  private move(block: Waiting, level: number): void {
    const lists = [this.queue, block.text.blocks]
    for (const list of lists) list.remove(block)
    block.level = level
    for (const list of lists) list.insert(block)
  }

  /** Somebody joins: for the rank that began it, it is a shared block from now on. */
  private share(block: Waiting): void {
    if (block.ranks.length !== 1) return
    const state = this.ranks.get(block.ranks[0]!)!
    if (!state.alone.has(block)) return
    state.shared = block.level
    while (state.alone.first !== block) state.alone.shift()
    state.alone.shift()
  }

  private eldest(): Waiting | undefined {
    while (this.byAge[this.oldest]?.gone === true) this.oldest++
    if (this.oldest * 2 > this.byAge.length) this.oldest -= this.byAge.splice(0, this.oldest).length
    return this.byAge[this.oldest]
  }

  private take(first: Waiting): Block {
    this.queue.shift()
    first.gone = true
    this.floor = first.level
    this.chars -= first.line.length
    this.forget(first, first.text)
    const { time, ranks, stream, line } = first
    return { time, ranks: ranks.sort((a, b) => a - b), stream, line }
  }

  private forget(block: Waiting, text: Text): void {
    text.blocks.shift()
    if (text.blocks.size === 0) this.texts.delete(text.key)
    const { alone } = this.ranks.get(block.ranks[0]!)!
    if (alone.first === block) alone.shift()
  }
}

const newText = (key: string): Text => ({ key, blocks: new Ordered(), lastOf: new Map() })

/** Blocks in order of level, then of arrival. */
class Ordered {
  private list: Waiting[] = []
  private head = 0

  get size(): number {
    return this.list.length - this.head
  }

  get first(): Waiting | undefined {
    return this.list[this.head]
  }

  get last(): Waiting | undefined {
    return this.size > 0 ? this.list.at(-1) : undefined
  }

  all(): Waiting[] {
    return this.list.slice(this.head)
  }

  has(block: Waiting): boolean {
    return this.list[this.placeOf(block)] === block
  }

  firstAbove(level: number): Waiting | undefined {
    return this.list[this.search((one) => one.level > level)]
  }

  /** The last below the level of `block`, and all others. */
  split({ level }: Waiting): { stays: Waiting | undefined; moves: Waiting[] } {
    const at = this.search((one) => one.level >= level)
    return { stays: at > this.head ? this.list[at - 1] : undefined, moves: this.list.slice(at) }
  }

  shift(): void {
    this.head++
    if (this.head * 2 > this.list.length) this.head -= this.list.splice(0, this.head).length
  }

  insert(block: Waiting): void {
    const last = this.last
    if (last === undefined || isBefore(last, block)) this.list.push(block)
    else this.list.splice(this.placeOf(block), 0, block)
  }

  remove(block: Waiting): void {
    this.list.splice(this.placeOf(block), 1)
  }

  clear(): void {
    this.list = []
    this.head = 0
  }

  private placeOf(block: Waiting): number {
    return this.search((one) => !isBefore(one, block))
  }

  /** Place of the first that `isThere`; all behind it are. */
  private search(isThere: (one: Waiting) => boolean): number {
    let from = this.head
    let to = this.list.length
    while (from < to) {
      const middle = (from + to) >> 1
      if (isThere(this.list[middle]!)) to = middle
      else from = middle + 1
    }
    return from
  }
}

/** `ranks 0–2,5: `, or `rank 3: `. */
export function prefixOf(ranks: readonly number[]): string {
  return ranks.length === 1 ? `rank ${ranks[0]}: ` : `ranks ${rankText(ranks).replaceAll('-', '–')}: `
}

/** A block for people; what has several lines stands below itself. */
export function shownBlock({ ranks, line }: Pick<Block, 'ranks' | 'line'>): string {
  const prefix = prefixOf(ranks)
  const text = line.includes('\n') ? line.replaceAll('\n', `\n${' '.repeat(prefix.length)}`) : line
  // A colour that is left on would run into the next line.
  const reset = text.includes('\x1b') && !text.endsWith('\x1b[0m') ? '\x1b[0m' : ''
  return `${prefix}${text}${reset}\n`
}

/** A line of collapsed.jsonl. */
export function blockLine({ time, ranks, stream, line }: Block): string {
  return `${JSON.stringify({ time, ranks: rankText(ranks), ...stream && { stream }, line })}\n`
}

/** Null: no such line, or half of one. */
export function parseBlock(text: string): Block | null {
  try {
    const { time, ranks, stream, line } = JSON.parse(text) as Record<string, unknown>
    if (typeof time !== 'number' || typeof ranks !== 'string' || typeof line !== 'string') return null
    const known = stream === 'stdout' || stream === 'stderr' ? stream : null
    return { time, ranks: ranksOf(ranks), stream: known, line }
  } catch {
    return null
  }
}

const RANKS_MAX = 65_536

/** `0-63,70` as numbers. */
function ranksOf(text: string): number[] {
  const ranks: number[] = []
  for (const part of text.split(',')) {
    const [from = NaN, to = from] = part.split('-').map(Number)
    for (let rank = from; rank <= to && ranks.length < RANKS_MAX; rank++) ranks.push(rank)
  }
  return ranks
}
