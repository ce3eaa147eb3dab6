/**
 * Readers of one raw value each: what a person writes in a flag or a variable, or a value that is already
 * typed. Each returns the value in our unit, or throws an Error that says why not (settings.ts adds place and
 * remedy).
 */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { SYSTEM_INTERVAL_MS, SYSTEM_INTERVAL_MS_MIN } from '../limits.ts'
import { parseHost } from '../rank/index.ts'

/** Longest delay of a Node timer (ms): beyond it, a timer fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1
const TEXT_LENGTH_MAX = 1024
const NPROC_MAX = 65_536

export function readText(raw: unknown): string {
  if (typeof raw !== 'string') throw new Error('not a text')
  const text = raw.trim()
  if (text === '') throw new Error('empty')
  if (text.length > TEXT_LENGTH_MAX) throw new Error(`longer than ${TEXT_LENGTH_MAX} characters`)
  // They would break one-line messages and file names.
  if (/[\u0000-\u001f\u007f]/.test(text)) throw new Error('it has control characters')
  return text
}

export function readPath(raw: unknown, cwd: string): string {
  const text = readText(raw)
  return text === '~' || text.startsWith('~/') ? join(homedir(), text.slice(1)) : resolve(cwd, text)
}

export function readHost(raw: unknown): string {
  const text = readText(raw)
  if (parseHost(text) === null) throw new Error('no host name or address, with or without a port')
  return text
}

export function readList(raw: unknown): string[] {
  const parts = Array.isArray(raw) ? raw.map(readText) : readText(raw).split(',').map((part) => part.trim())
  const names = [...new Set(parts.filter((part) => part !== ''))]
  if (names.length === 0) throw new Error('it names nothing')
  return names
}

/** Root of a server: no query, no password that a log could show. */
export function readUrl(raw: unknown): string {
  const text = readText(raw)
  if (!URL.canParse(text)) throw new Error('no URL')
  const { protocol, username, password, search } = new URL(text)
  if (protocol !== 'http:' && protocol !== 'https:') throw new Error('neither http nor https')
  if (username !== '' || password !== '' || search !== '') throw new Error('it has more than a place')
  return text
}

export function readSha256(raw: unknown): string {
  const text = readText(raw).toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Error('not 64 hex digits')
  return text
}

/**
 * Where a key is, never the key itself. `at`, for a key that stands in the file beside other things: its name
 * there, or `[comet] api_key` of an ini file.
 */
export type KeyRef = { env: string } | { file: string; at?: string } | { command: string[] }

export function readReference(raw: unknown, cwd: string): KeyRef {
  const [[kind = '', what] = [], more] = typeof raw === 'object' && raw !== null ? Object.entries(raw) : []
  if (more === undefined) {
    if (kind === 'env' && /^\w+$/.test(readText(what))) return { env: readText(what) }
    if (kind === 'file') return { file: readPath(what, cwd) }
    if (kind === 'command' && Array.isArray(what) && what.length > 0) return { command: what.map(readText) }
  }
  throw new Error('not one of { "env": "NAME" }, { "file": "path" }, { "command": ["program", …] }')
}

/** For people: a command's arguments may be nobody's business. */
export function referenceText(ref: KeyRef): string {
  if ('env' in ref) return `variable ${ref.env}`
  if ('file' in ref) return ref.at === undefined ? `file ${ref.file}` : `${ref.file}: ${ref.at}`
  return `command ${ref.command[0]}${ref.command.length > 1 ? ' …' : ''}`
}

/** `15000/3600`: so many in any window of so many seconds. */
export function readRate(raw: unknown): { max: number; windowMs: number } {
  const [, max, seconds] = /^(\d+) ?\/ ?(\d+(?:\.\d+)?)s?$/.exec(readText(raw)) ?? []
  const rate = { max: Number(max), windowMs: Math.round(Number(seconds) * 1000) }
  if (rate.max >= 1 && rate.windowMs >= 1 && rate.windowMs <= TIMER_MS_MAX) return rate
  throw new Error('not a number per seconds such as 15000/3600')
}

export function readChoice<T extends string>(raw: unknown, all: readonly T[]): T {
  const choice = all.find((each) => each === raw)
  if (choice === undefined) throw new Error('not one of them')
  return choice
}

/** Seconds with an optional fraction, in ms. */
export function readSeconds(raw: unknown): number {
  const ms = Math.round(numberOf(raw, /^\d+(\.\d+)?s?$/) * 1000)
  const max = Math.floor(TIMER_MS_MAX / 1000)
  if (!(ms <= TIMER_MS_MAX)) throw new Error(`not a number of seconds up to ${max}`)
  return ms
}

/** Yes (the usual one) or no (0), or an interval in seconds; in ms. `1` means yes, `1s` a second. */
export function readInterval(raw: unknown): number {
  const isWord = typeof raw !== 'string' || /^\s*([01]|[a-z]+)\s*$/i.test(raw)
  if (isWord) return readFlag(raw) ? SYSTEM_INTERVAL_MS : 0
  const ms = readSeconds(raw)
  if (ms < SYSTEM_INTERVAL_MS_MIN) throw new Error(`less than ${SYSTEM_INTERVAL_MS_MIN / 1000} second`)
  return ms
}

const UNITS: Record<string, number> = {
  '': 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12,
  k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40,
}

/** `4194304`, `4MiB`, `4M` (both binary) or `4MB` (decimal), in bytes. */
export function readBytes(raw: unknown): number {
  const match = /^(\d+(?:\.\d+)?) ?([a-z]{0,3})$/i.exec(String(raw).trim())
  const unit = UNITS[match?.[2]?.toLowerCase() ?? 'none']
  const size = Math.floor(Number(match?.[1]) * (unit ?? NaN))
  if (!Number.isSafeInteger(size)) throw new Error('not a size such as 4194304, 4MiB or 4MB')
  return size
}

export function readCount(raw: unknown): number {
  const count = numberOf(raw, /^\d+$/)
  if (!(Number.isInteger(count) && count >= 1 && count <= NPROC_MAX)) {
    throw new Error(`not a whole number from 1 to ${NPROC_MAX}`)
  }
  return count
}

export function readFlag(raw: unknown): boolean {
  const word = String(raw).trim().toLowerCase()
  if (['1', 'true', 'yes', 'on'].includes(word)) return true
  if (['0', 'false', 'no', 'off'].includes(word)) return false
  throw new Error('neither yes nor no')
}

function numberOf(raw: unknown, form: RegExp): number {
  if (typeof raw === 'number') return raw >= 0 ? raw : NaN
  return typeof raw === 'string' && form.test(raw.trim()) ? parseFloat(raw) : NaN
}
