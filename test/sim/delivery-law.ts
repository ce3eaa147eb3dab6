/**
 * What a tracker may see of a run: rows that are closed in the ledger, each batch once, or again with the
 * same bytes; nothing is left out, and in the end each row stands there as the ledger has it.
 */
import type { Row } from '../../lib/record/row.ts'
import type { Laws } from './laws.ts'
import type { LedgerFile } from './seams/ledger.ts'

const SAME = 'the same batch, the same bytes'

interface Stored { first: number; last: number; text: string }

/** Without what may change after a row has closed and no late point concerns it: who else logs the metric. */
export const figuresOf = ({ expected: _, amended: __, ...figures }: Row): string => JSON.stringify(figures)

export class DeliveryLaw {
  private readonly laws: Laws
  private readonly stored = new Map<string, Stored[]>()
  /** The last line of each row, by run directory. */
  private readonly rows = new Map<string, Map<string, string>>()

  constructor(laws: Laws) {
    this.laws = laws
  }

  take(path: string, text: string, file: LedgerFile | undefined): void {
    const lines = text.trimEnd().split('\n')
    const numberOf = (line: string | undefined): number => Number(line?.split(' ', 1)[0])
    const batch = { first: numberOf(lines[0]), last: numberOf(lines.at(-1)), text }
    const all = this.stored.get(path) ?? []
    this.stored.set(path, all)
    const before = all.at(-1)
    const next = (before?.last ?? 0) + 1
    if (before !== undefined && batch.first === before.first) {
      if (before.text !== text) this.laws.broken(SAME, `${path}: rows from ${batch.first}`)
      return
    }
    if (batch.first !== next) {
      this.laws.broken(SAME, `${path}: rows from ${batch.first}, due ${next}`)
    }
    all.push(batch)
    const rows = this.rows.get(path) ?? new Map<string, string>()
    this.rows.set(path, rows)
    for (const line of lines) {
      const json = line.slice(line.indexOf(' ') + 1)
      const { metric, step } = JSON.parse(json) as Row
      if (file === undefined || !this.laws.seals.isSealed(file, metric, step)) {
        this.laws.broken('delivered ≤ committed', `${path}: ${metric} step ${step} is not closed`)
      }
      rows.set(`${metric} ${step}`, figuresOf(JSON.parse(json) as Row))
    }
  }

  /** Differences between what was delivered and what the ledger has; '' when there is none. */
  compare(path: string, wanted: ReadonlyMap<string, string>): string {
    const rows = this.rows.get(path) ?? new Map<string, string>()
    for (const [key, line] of wanted) {
      const got = rows.get(key) ?? 'missing'
      if (got !== line) return `${path}: ${key} is ${got}, the ledger has ${line}`
    }
    return rows.size === wanted.size ? '' : `${path}: ${rows.size} rows, the ledger has ${wanted.size}`
  }
}
