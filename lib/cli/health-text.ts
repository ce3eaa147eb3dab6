/** The part of `rankzero status` that says what is wrong while a run goes on, and what ranks disagree on. */
import { count } from '../launch/progress.ts'
import type { HealthStatus, OddValue, ParamStatus, Straggler } from '../record/run-status.ts'
import { duration, style } from './output.ts'

/** As of a list in status-text.ts: what a screen holds. */
const LISTED_MAX = 16
/** Of one param. */
const VALUE_CHARS_MAX = 60

type Field = [string, string]

/** Nothing when all is well; a status of an older version has no `health`. */
export function healthFields({ health, state }: { state: string; health?: HealthStatus }): Field[] {
  if (health === undefined) return []
  const { missing, hang, stragglers, firstNaN } = health
  const lines: string[] = []
  if (hang !== null) lines.push(style('red', hangText(hang)))
  if (missing !== null) {
    const how = state === 'ended' ? 'never came' : 'never came, or nothing is heard of it now'
    lines.push(`${ranksOf(missing)} missing: ${how}`)
  }
  lines.push(...cut(stragglers.map(stragglerText), 'stragglers'), ...cut(firstNaN.map(oddText), 'metrics'))
  return lines.map((line, at) => [at === 0 ? 'health' : '', line])
}

function hangText({ ranks, sinceStep, forMs, others }: NonNullable<HealthStatus['hang']>): string {
  const silent = `no record for ${duration(forMs)}, last step ${count(sinceStep)}`
  return others === null ? `all ranks have stopped: ${silent}`
    : `${ranksOf(ranks)} stopped: ${silent}; others are at step ${count(others)}`
}

function stragglerText({ rank, ratio, stepMs, lateMs }: Straggler): string {
  const why = stepMs !== undefined ? `${duration(stepMs)} a step`
    : `logs ${duration(lateMs ?? 0)} after the others`
  return `rank ${rank} is slow: ${ratio.toFixed(1)} × the usual step (${why})`
}

const oddText = ({ metric, rank, step, kind }: OddValue): string =>
  `first ${kind} of ${metric}: rank ${rank}, step ${count(step)}`

const ranksOf = (ranks: string): string => `rank${/[-,]/.test(ranks) ? 's' : ''} ${ranks}`

function cut(lines: readonly string[], what: string): string[] {
  if (lines.length <= LISTED_MAX) return [...lines]
  const more = `… ${count(lines.length - LISTED_MAX)} more ${what} (--json has all)`
  return [...lines.slice(0, LISTED_MAX), more]
}

/** Those that ranks disagree on first, each value with its ranks: `lr  0.1 (ranks 0-2), 0.2 (rank 3)`. */
export function paramsText(params: readonly ParamStatus[]): string {
  if (params.length === 0) return ''
  const odd = (one: ParamStatus): number => one.divergence === undefined ? 1 : 0
  const listed = [...params].sort((a, b) => odd(a) - odd(b)).slice(0, LISTED_MAX)
  const width = Math.max(...listed.map(({ key }) => [...key].length), 'param'.length)
  const lines = listed.map(({ key, value, divergence }) => {
    const text = divergence === undefined ? short(value)
      : divergence.map(({ value: one, ranks }) => `${short(one)} (${ranksOf(ranks)})`).join(', ')
    const name = `${key}${' '.repeat(width - [...key].length)}`
    return `${name}  ${divergence === undefined ? text : style('yellow', text)}`
  })
  const more = params.length > LISTED_MAX
    ? [`… ${count(params.length - LISTED_MAX)} more params (--json has all)`] : []
  return `\n${[style('dim', `${'param'.padEnd(width)}  value`), ...lines, ...more].join('\n')}\n`
}

function short(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value) ?? 'null'
  const line = [...text.replaceAll(/\s+/g, ' ')]
  return line.length <= VALUE_CHARS_MAX ? line.join('') : `${line.slice(0, VALUE_CHARS_MAX - 1).join('')}…`
}
