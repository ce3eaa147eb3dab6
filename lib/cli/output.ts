import { styleText } from 'node:util'
import { RankzeroError, messageOf } from '../errors.ts'
import { say } from '../launch/progress.ts'

/** Every failure of a command, in one form: what and where, then what to do about it. */
export function tell(error: unknown): number {
  if (!(error instanceof RankzeroError)) {
    say(messageOf(error))
    say('to do: this is not expected; please report it with the text above')
    return 1
  }
  say(`${error.message} [${error.code}]`)
  if (error.remedy !== '') say(`to do: ${error.remedy}`)
  return error.exit
}

/** A number, a duration in seconds, or nothing. */
const NUMERIC = /^(–|[-+]?[\d.,]+(e[-+]\d+)?\*?( m?s)?)$/

type Cell = string | number | null | undefined

/** Columns that hold numbers are set to the right. An empty table is an empty text. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell === null || cell === undefined ? '–' : String(cell)))
  const right = head.map((_, at) => cells.length > 0 && cells.every((row) => NUMERIC.test(row[at] ?? '')))
  const widths = head.map((name, at) => Math.max(width(name), ...cells.map((row) => width(row[at] ?? ''))))
  const line = (row: readonly string[]): string => row.map((cell, at) => {
    const fill = ' '.repeat(Math.max(0, widths[at]! - width(cell)))
    return right[at] ? fill + cell : cell + fill
  }).join('  ').trimEnd()
  return [style('dim', line(head)), ...cells.map(line)].map((text) => `${text}\n`).join('')
}

/** In code points; names in wide scripts may stand a little out of line. */
const width = (text: string): number => [...text].length

type Style = Parameters<typeof styleText>[0]

/** Colour only where a person looks, and unless NO_COLOR is set. */
export function style(format: Style, text: string): string {
  return process.stdout.isTTY && !process.env['NO_COLOR'] ? styleText(format, text) : text
}

const HOUR_MS = 3_600_000

/** `412 ms`, `3.2 s`, `2 min 03 s`, `5 h 07 min`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const two = (n: number): string => String(Math.floor(n)).padStart(2, '0')
  if (ms < HOUR_MS) return `${Math.floor(ms / 60_000)} min ${two(ms % 60_000 / 1000)} s`
  return `${Math.floor(ms / HOUR_MS)} h ${two(ms % HOUR_MS / 60_000)} min`
}

/** A metric's number for people: 6 significant digits; exact ones are in the JSON. */
export function brief(value: number | string | null): string {
  if (typeof value !== 'number') return value ?? '–'
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value)
  return String(Number(value.toPrecision(6)))
}

/** RFC 4180: quoted only where needed; null is empty. */
export function csvLine(values: readonly unknown[]): string {
  return `${values.map((value) => {
    if (value === null || value === undefined) return ''
    const text = Object.is(value, -0) ? '-0' : String(value)
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }).join(',')}\n`
}
