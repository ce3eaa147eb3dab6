/** What the server takes and a good client does not send: times that are no epoch ms, names too long. */

const TIMES = ['timestamp', 'localTimestamp', 'local_timestamp']
const NAMES = ['metricName', 'parameterName']
const VALUES = ['metricValue', 'parameterValue']
const LISTS = ['values', 'outputLines']
const FIRST_MS = Date.UTC(2020, 0, 1)
const AHEAD_MS = 86_400_000
/** As the SDK cuts them (comet.md 1.4). */
const NAME_MAX = 100 + ' [truncated]'.length
const VALUE_MAX = 1_000 + ' [truncated]'.length

/** Each kind of slip once, with an example. */
export function oddities(fields: Record<string, any>, now: number): string[] {
  const found = new Map<string, string>()
  const items = LISTS.flatMap((list) => (fields[list] ?? []) as Record<string, unknown>[])
  for (const item of [fields, ...items]) {
    for (const field in item) {
      const odd = oddity(field, item[field], now)
      if (odd !== null && !found.has(field)) found.set(field, odd)
    }
  }
  return [...found.values()]
}

function oddity(field: string, value: unknown, now: number): string | null {
  if (TIMES.includes(field) && typeof value === 'number' && !(value > FIRST_MS && value < now + AHEAD_MS)) {
    return `${field} ${value} is no time in ms`
  }
  const most = NAMES.includes(field) ? NAME_MAX : VALUES.includes(field) ? VALUE_MAX : Infinity
  return typeof value === 'string' && value.length > most ? `${field} has ${value.length} characters` : null
}
