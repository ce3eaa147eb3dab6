/**
 * The JSON bodies of payload records. A body that is not a JSON object counts as empty: replay must never
 * stop.
 */
const decoder = new TextDecoder()

export function jsonOf(body: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(decoder.decode(body))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** Sum of the counts in a `lost`, `refused` or `skip` body. */
export function sumOf(counts: unknown): number {
  if (typeof counts !== 'object' || counts === null) return 0
  let sum = 0
  for (const count of Object.values(counts)) if (typeof count === 'number') sum += count
  return sum
}
