/** The part of `rankzero status` that says how the calls of a backend went. */
import { count } from '../launch/progress.ts'
import type { BackendStatus } from '../record/run-status.ts'
import { duration, style } from './output.ts'

/** More are in --json. */
const SLOW_SHOWN = 2

/** Nothing for a backend without calls. */
export function callFields({ calls, warning }: BackendStatus): [string, string][] {
  const lines: string[] = []
  if (calls !== undefined) {
    const { made, throttled, denied, failed, slowest } = calls
    const bad = [
      [throttled, 'throttled (429)'], [denied, 'refused for the key (401, 403)'], [failed, 'failed'],
    ] as const
    const slow = slowest.slice(0, SLOW_SHOWN)
      .map(({ ms, call, status }) => `${call} ${duration(ms)} (${status})`)
    lines.push(`${count(made)} made`
      + bad.filter(([n]) => n > 0).map(([n, what]) => `, ${count(n)} ${what}`).join('')
      + `; slowest: ${slow.join(', ')}`)
  }
  if (warning !== undefined) lines.push(style('yellow', warning))
  return lines.map((line, at) => [at === 0 && calls !== undefined ? 'calls' : '', line])
}
