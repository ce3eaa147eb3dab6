/**
 * What a configuration says: a JSON object, or a `.comet.config`. It does no I/O.
 *
 * In: text, where it is from. Out: values of settings that can be used, and an error for each that cannot.
 * Invariants: an error names the value, its place and the remedy; a key itself is never in a value, nor in an
 * error; a document from elsewhere holds no key and, unless it is pinned or signed, starts no program.
 */
import { messageOf, RankzeroError } from '../errors.ts'
import {
  fileNameOf, invalidValue, SETTING_NAMES, SETTINGS, type Layer, type Row, type SettingName,
} from './settings.ts'

export interface Place {
  from: 'file' | 'url'
  /** Path, or URL. */
  place: string
  /** What relative paths are relative to; null: there are to be none. */
  base: string | null
  /** For a file: what is wrong with keys in it, with the remedy; null: only its owner can read it. */
  exposed: { why: string; remedy: string } | null
  /** Whether it may name a program that tells a key. If not, why, and what to do. */
  mayRun: true | { why: string; remedy: string }
}

export interface Document {
  layer: Layer
  problems: RankzeroError[]
}

/** By their names in files. */
const NAMES = new Map(SETTING_NAMES.map((name) => [fileNameOf(name), name]))
/** For editors. */
const IGNORED = new Set(['$schema'])

export function readDocument(text: string, place: Place): Document {
  const problems: RankzeroError[] = []
  const values: Map<SettingName, { value: unknown; place: string }> = new Map()
  const layer = { from: place.from, place: place.place, values }
  const object = objectOf(text, place, problems)
  for (const [key, raw] of Object.entries(object)) {
    if (IGNORED.has(key)) continue
    try {
      const name = nameOf(key, place)
      values.set(name, { value: valueOf(name, raw, place), place: within(place, key) })
    } catch (error) {
      problems.push(error as RankzeroError)
    }
  }
  return { layer, problems }
}

const within = ({ place }: Place, key: string): string => `${place}: ${key}`

function objectOf(text: string, { place }: Place, problems: RankzeroError[]): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
    throw new Error('it is no object')
  } catch (error) {
    // Node repeats a part of the text, which may be a key.
    const at = / at position \d+.*| \(line \d+.*/.exec(messageOf(error))?.[0] ?? ''
    const why = error instanceof SyntaxError ? `it is no JSON${at}` : messageOf(error)
    problems.push(new RankzeroError('CONFIG', `${place}: ${why}`,
      'write a JSON object of settings such as { "project": "digits" } (lib/config/CONFIG.md)'))
    return {}
  }
}

function nameOf(key: string, place: Place): SettingName {
  const name = NAMES.get(key)
  if (name === undefined) {
    const near = nearest(key)
    throw new RankzeroError('CONFIG', `${within(place, key)} is no setting`,
      near === null ? 'leave it out; rankzero config show lists all settings' : `is ${near} meant?`)
  }
  if (name !== 'config' && !(SETTINGS[name].own && place.from === 'url')) return name
  throw new RankzeroError('CONFIG', `${within(place, key)}: a configuration cannot say where it is itself`,
    'leave it out, and say it by flag or variable')
}

function valueOf(name: SettingName, raw: unknown, place: Place): unknown {
  const row = SETTINGS[name] as Row<unknown>
  const key = fileNameOf(name)
  const origin = { from: place.from, place: within(place, key) }
  const refuse = ({ why, remedy }: { why: string; remedy: string }): never => {
    throw new RankzeroError('CONFIG', `${origin.place}: ${why}`, remedy)
  }
  if (row.key && typeof raw === 'string') {
    if (place.from === 'url') {
      return refuse({ why: 'a key has no place in a central configuration',
        remedy: 'say where it is: { "env": "NAME" }, { "file": "path" } or { "command": ["program"] }' })
    }
    return place.exposed === null ? { file: place.place, at: key } : refuse(place.exposed)
  }
  const command = row.key && typeof raw === 'object' && raw !== null && 'command' in raw
  if (command && place.mayRun !== true) return refuse(place.mayRun)
  try {
    if (place.base === null) mustBeAbsolute(row.form === 'path' ? raw : row.key ? fileOf(raw) : null)
    return row.read(raw, place.base ?? '/')
  } catch (error) {
    throw invalidValue(row, origin, raw, error)
  }
}

const fileOf = (raw: unknown): unknown => (raw as { file?: unknown } | null)?.file ?? null

function mustBeAbsolute(path: unknown): void {
  if (typeof path === 'string' && !/^(\/|~(\/|$))/.test(path.trim())) throw new Error('not an absolute path')
}

/** One slip of the fingers away, or two in a long name. */
function nearest(key: string): string | null {
  const lower = key.toLowerCase().replace(/[_-]/g, '').replace(/ms$/, '')
  const [best] = [...NAMES.keys()].map((name) => ({ name, far: distance(lower, name.toLowerCase()) }))
    .sort((a, b) => a.far - b.far)
  return best !== undefined && best.far <= Math.max(1, lower.length / 5) ? best.name : null
}

/** Insertions, deletions and replacements from one to the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + Number(a[i - 1] !== b[j - 1])))
    }
    row = next
  }
  return row.at(-1)!
}

/** The variable that says the same as `key` of `[section]`, by the vendor's rule. */
const variableOf = (section: string, key: string): string =>
  `${section}_${key}`.toUpperCase().replaceAll('.', '_')

/**
 * A `.comet.config`: what its vendor's variables mean to us, it means too; the rest of it is not ours.
 */
export function readCometFile(text: string, place: Place): Document {
  const problems: RankzeroError[] = []
  const values: Map<SettingName, { value: unknown; place: string }> = new Map()
  for (const [at, { variable, raw }] of iniOf(text)) {
    const name = SETTING_NAMES.find((each) => SETTINGS[each].env.includes(variable))
    if (name === undefined || raw === '') continue
    const row = SETTINGS[name] as Row<unknown>
    const origin = { from: 'file', place: `${place.place}: ${at}` } as const
    try {
      const value = row.key ? { file: place.place, at } : row.read(raw, place.base ?? '/')
      values.set(name, { value, place: origin.place })
    } catch (error) {
      problems.push(invalidValue(row, origin, raw, error))
    }
  }
  return { layer: { from: 'file', place: place.place, values }, problems }
}

/** By `[section] key`. */
export function iniOf(text: string): Map<string, { variable: string; raw: string }> {
  const found = new Map<string, { variable: string; raw: string }>()
  let section = ''
  for (const line of text.split(/\r?\n/)) {
    const head = /^\s*\[+([^\]]+)\]+\s*([#;].*)?$/.exec(line)
    if (head !== null) section = head[1]!.trim()
    const [, key, rest] = /^\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (head !== null || key === undefined || section === '') continue
    const quoted = /^(["'])(.*)\1\s*(#.*)?$/.exec(rest!)
    const raw = quoted === null ? rest!.replace(/\s+[#;].*$/, '') : quoted[2]!
    found.set(`[${section}] ${key}`, { variable: variableOf(section, key), raw })
  }
  return found
}
