/**
 * What a tracker may see of a run: rows that are closed in the ledger, each batch once, or again with the
 * same bytes; nothing is left out, and in the end each row stands there as the ledger has it.
 */
import type { OutboxNote } from '../../lib/session/core-standing.ts'
import type { Row } from '../../lib/record/row.ts'
import type { Laws } from './laws.ts'
import type { LedgerFile } from './seams/ledger.ts'

const SAME = 'the same batch, the same bytes'
const COMMITTED = 'delivered ≤ committed'
const COUNTED = 'a repeat is counted first'

interface Stored { first: number; last: number; text: string }

/** The last batch that a ledger has a note of. */
interface Decided { from: number; to: number; sends: number; stored: number }

/** Without what may change after a row has closed and no late point concerns it: who else logs the metric. */
export const figuresOf = ({ expected: _, amended: __, ...figures }: Row): string => JSON.stringify(figures)

export class DeliveryLaw {
  private readonly laws: Laws
  private readonly decided = new Map<string, Decided>()
  private readonly stored = new Map<string, Stored[]>()
  /** The last line of each row, by run directory. */
  private readonly rows = new Map<string, Map<string, string>>()

  constructor(laws: Laws) {
    this.laws = laws
  }

  /** An `outbox` note is durable. */
  noted(ledger: string, note: OutboxNote): void {
    const path = ledger.slice(0, ledger.lastIndexOf('/'))
    if (note.is === 'batch') this.decided.set(path, { from: note.from, to: note.to, sends: 1, stored: 0 })
    if (note.is === 'again') this.decided.get(path)!.sends++
  }

  /** `isLate`: by a head that lost its lease, and will know by its next transaction. */
  take(path: string, text: string, file: LedgerFile | undefined, isLate: boolean): void {
    const lines = text.trimEnd().split('\n')
    const numberOf = (line: string | undefined): number => Number(line?.split(' ', 1)[0])
    const batch = { first: numberOf(lines[0]), last: numberOf(lines.at(-1)), text }
    const all = this.stored.get(path) ?? []
    this.stored.set(path, all)
    // It may repeat what it had decided, as its successor did; nothing else.
    if (isLate && all.some((one) => one.first === batch.first && one.text === text)) return
    this.wasDecided(path, batch)
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
        this.laws.broken(COMMITTED, `${path}: ${metric} step ${step} is not closed`)
      }
      rows.set(`${metric} ${step}`, figuresOf(JSON.parse(json) as Row))
    }
  }

  private wasDecided(path: string, { first, last }: Stored): void {
    const decided = this.decided.get(path)
    const rows = `${path}: rows ${first}-${last}`
    if (decided === undefined || decided.from !== first || decided.to !== last) {
      return this.laws.broken(COMMITTED, `${rows} are sent, the ledger has no note of that`)
    }
    if (++decided.stored <= decided.sends) return
    this.laws.broken(COUNTED, `${rows} came ${decided.stored} times, the ledger knows of ${decided.sends}`)
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
