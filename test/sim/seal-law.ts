/**
 * The law of sealing by progress: every rank that ever logged the metric, and lives, is in the row or past
 * it.
 * Judged from the ledger's order and the trainers' own records, with none of the code that decides it.
 */
import type { SealBody } from '../../lib/aggregator/core-types.ts'
import { Kind, type Origin } from '../../lib/record/index.ts'
import type { Laws } from './laws.ts'
import type { LedgerFile } from './seams/ledger.ts'

interface Life {
  rank: number
  state: 'live' | 'ended' | 'out'
  /** Highest step since the last rewind, by metric. */
  reached: Map<string, number>
}

interface Told {
  lives: Map<string, Life>
  /** In order of first appearance, as seal notes count them. */
  names: string[]
  sealed: Set<string>
}

const newTold = (): Told => ({ lives: new Map(), names: [], sealed: new Set() })

export class SealLaw {
  private readonly laws: Laws
  private readonly told = new Map<LedgerFile, Told>()

  constructor(laws: Laws) {
    this.laws = laws
  }

  private of(file: LedgerFile): Told {
    const told = this.told.get(file) ?? newTold()
    this.told.set(file, told)
    return told
  }

  noted(file: LedgerFile, kind: string, body: Record<string, unknown>): void {
    const { lives } = this.of(file)
    const life = lives.get(body['instance'] as string)
    if (kind === 'joined') {
      const { origin } = body as unknown as { origin: Origin }
      if (origin.role !== 'worker' || lives.has(origin.instance)) return
      lives.set(origin.instance, { rank: origin.rank, state: 'live', reached: new Map() })
    } else if (life !== undefined && kind === 'conflict') {
      life.state = 'out'
    } else if (life !== undefined && kind === 'ended' && life.state === 'live') {
      life.state = 'ended'
    }
  }

  took(file: LedgerFile, instance: string, first: number, last: number): void {
    const { lives, names } = this.of(file)
    const sender = this.laws.journals.get(instance)?.sender
    const life = lives.get(instance)
    if (sender === undefined || life === undefined) return
    for (const record of sender.records.slice(first - 1, last)) {
      if (record.kind === Kind.layout) {
        const layout = record.body as { names: string[] }
        for (const name of layout.names) if (!names.includes(name)) names.push(name)
      } else if (record.kind === Kind.resume) {
        const { step } = record.body as { step: number }
        for (const [name, reached] of life.reached) life.reached.set(name, Math.min(reached, step - 1))
      } else if (record.kind === Kind.values) {
        for (const name of sender.layouts[record.layout]!) {
          life.reached.set(name, Math.max(life.reached.get(name) ?? -1, record.step))
        }
      }
    }
  }

  isSealed(file: LedgerFile, metric: string, step: number): boolean {
    return this.of(file).sealed.has(`${metric} ${step}`)
  }

  check(file: LedgerFile, { by, groups }: SealBody): void {
    const { names, sealed } = this.of(file)
    for (const { metrics, steps } of groups) {
      for (const [from, to] of metrics) {
        for (const [start, stride, count] of steps) {
          for (let id = from; id <= to; id++) {
            for (let i = 0; i < count; i++) sealed.add(`${names[id]} ${start + stride * i}`)
          }
        }
      }
    }
    if (by !== 'progress') return
    for (const { metrics, steps } of groups) {
      const top = Math.max(...steps.map(([start, stride, count]) => start + stride * (count - 1)))
      for (const [from, to] of metrics) for (let id = from; id <= to; id++) this.row(file, names[id]!, top)
    }
  }

  private row(file: LedgerFile, metric: string, step: number): void {
    const lives = [...this.of(file).lives.values()].filter(({ state }) => state !== 'out')
    const ranks = new Set(lives.filter(({ reached }) => reached.has(metric)).map(({ rank }) => rank))
    for (const rank of ranks) {
      const [life, ...more] = lives.filter((one) => one.rank === rank)
      // Of several lives, who is waited for depends on verdicts that no note tells before they are due.
      if (life === undefined || more.length > 0 || life.state !== 'live') continue
      const at = life.reached.get(metric) ?? -1
      if (at >= step) continue
      this.laws.broken('sealed when all are past',
        `${metric} step ${step} is sealed by progress, but rank ${rank} is at ${at}`)
    }
  }
}
