/** One merged row (DESIGN 13). Non-finite results are strings, as JSON cannot carry them. */
export interface Row {
  metric: string
  step: number
  value: number | string | null
  count: number
  expected: number
  mean: number | string | null
  min: number | string | null
  max: number | string | null
  minRank: number | null
  maxRank: number | null
  std: number | string | null
  sum: number | string | null
  median: number | string | null
  p95: number | string | null
  last: number | string | null
  nan: number
  inf: number
  sealed: boolean
  amended: boolean
}

/** JSON of a flat object that keeps -0, which JSON.stringify would lose. */
export function jsonLine(object: object): string {
  const parts: string[] = []
  for (const [name, value] of Object.entries(object)) {
    if (value === undefined) continue
    parts.push(`${JSON.stringify(name)}:${Object.is(value, -0) ? '-0' : JSON.stringify(value)}`)
  }
  return `{${parts.join(',')}}\n`
}
