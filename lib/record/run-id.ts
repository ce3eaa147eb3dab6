/** Sorts by time, so that `latest` needs no file: `20261123-184512-3fa92c`. `random` is 6 hex digits. */
export function runIdOf(now: number, random: string): string {
  const stamp = new Date(now).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)
  return `${stamp}-${random}`
}
