/**
 * Sorts by the time of its start, to the millisecond, so that `latest` needs no file:
 * `20261123-184512.345-3fa92c`. `random` is 6 hex digits.
 */
export function runIdOf(now: number, random: string): string {
  const stamp = new Date(now).toISOString().replace(/[-:Z]/g, '').replace('T', '-')
  return `${stamp}-${random}`
}
