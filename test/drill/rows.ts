/** Merged rows, computed again from their definitions and from nothing that the product computed. */
import { nameOf, valueOf, type Oracle } from '../../lib/cli/drill/core-oracle.ts'
import { csvLines } from './csv.ts'

const RELATIVE_ERROR_MAX = 1e-12

export interface RowCheck { rows: number; problems: string[] }

const PROBLEMS_MAX = 3

/** Compares `export --format csv` with what the ranks that came out must give, in rank order. */
export async function checkRows(path: string, oracle: Oracle, metrics: number): Promise<RowCheck> {
  const problems: string[] = []
  let rows = 0
  const numbers = new Map(Array.from({ length: metrics }, (_, metric) => [nameOf(metric), metric]))
  for await (const row of csvLines(path)) {
    rows++
    const [name, stepText, , , , ...rest] = row
    const step = Number(stepText)
    const metric = numbers.get(name!) ?? -1
    const why = whyWrong(row, rest.map(Number), step, metric, oracle.ranksAt(step, metric))
    if (why !== null && problems.length < PROBLEMS_MAX) problems.push(`row ${name} ${step}: ${why}`)
  }
  const expected = oracle.rowsExpected()
  if (rows !== expected) problems.push(`${rows} rows instead of ${expected}`)
  return { rows, problems }
}

/** `rest`: mean, min, max, minRank, maxRank, std, sum, median, p95, last, nan, inf. */
function whyWrong(
  row: string[], rest: number[], step: number, metric: number, ranks: number[],
): string | null {
  const values = ranks.map((rank) => valueOf(rank, step, metric))
  if (Number(row[3]) !== values.length) return `of ${row[3]} ranks instead of ${values.length}`
  if (row[17] !== 'true') return 'not sealed'
  const want = statistics(values, ranks)
  const near = [0, 5, 6, 7, 8]
  const wrong = want.findIndex((value, at) => near.includes(at)
    ? Math.abs(value - rest[at]!) > RELATIVE_ERROR_MAX * Math.max(1, Math.abs(value)) : value !== rest[at])
  return wrong < 0 ? null : `column ${wrong + 6} is ${rest[wrong]} instead of ${want[wrong]}`
}

function statistics(values: number[], ranks: number[]): number[] {
  const sum = values.reduce((a, b) => a + b, 0)
  const mean = sum / values.length
  const sorted = [...values].sort((a, b) => a - b)
  const at = (q: number): number => {
    const place = (sorted.length - 1) * q
    const low = Math.floor(place)
    return sorted[low]! + (place - low) * ((sorted[low + 1] ?? sorted[low]!) - sorted[low]!)
  }
  const [min, max] = [sorted[0]!, sorted.at(-1)!]
  const std = Math.sqrt(values.reduce((a, value) => a + (value - mean) ** 2, 0) / values.length)
  const rankOf = (value: number): number => ranks[values.indexOf(value)]!
  return [mean, min, max, rankOf(min), rankOf(max), std, sum, at(0.5), at(0.95), values.at(-1)!, 0, 0]
}
