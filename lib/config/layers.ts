/**
 * Where configuration is read from beside flags and variables: our own file, those of the Comet SDK, and the
 * last copy of the central document.
 *
 * In: the environment, which may say where. Out: layers, the first decides, and what is wrong with them.
 * Invariants: it asks no server (central.ts does), starts no program, and takes no key out of a file.
 */
import { createHash } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { messageOf, RankzeroError } from '../errors.ts'
import { readOwn, readPlain } from '../files.ts'
import { CONFIG_BYTES_MAX } from '../limits-config.ts'
import { readCometFile, readDocument, type Document, type Place } from './document.ts'
import { findSetting, type Env, type Layer } from './settings.ts'
import { whyNotTrusted, type Pins } from './trust.ts'
import { readPath } from './values.ts'

export interface Config {
  /** The first decides. */
  layers: Layer[]
  problems: RankzeroError[]
  central: Central | null
}

/** Where the central document is. */
export interface Central {
  url: string
  pins: Pins
  /** Null: there is none that can be trusted. */
  copy: Copy | null
  /** Why a copy that is there is not used. */
  distrust: string | null
}

/** The central document as it was received. Times are ms since the epoch. */
export interface Copy {
  url: string
  etag: string | null
  body: Buffer
  /** Null: none was asked for. */
  signature: Buffer | null
  /** When its server last gave it, or said that it holds. */
  at: number
  /** When its server was last asked. */
  askedAt: number
}

/** `fresh`: instead of the copy on disk. */
export function readConfig(env: Env, o: { cwd?: string; fresh?: Copy | null } = {}): Config {
  const documents: Document[] = []
  const own = ownFile(env, o.cwd)
  if (own !== null) documents.push(readOwnFile(own))
  documents.push(...cometFiles(env, o.cwd ?? process.cwd()).flatMap(readIni))
  const layers = documents.map(({ layer }) => layer)
  const problems = documents.flatMap((document) => document.problems)
  const central = centralOf(env, layers, o)
  if (central?.copy) {
    const isSure = central.pins.sha256 !== null || central.pins.publicKey !== null
    const document = readDocument(central.copy.body.toString(), {
      from: 'url', place: central.url, base: null, exposed: null, mayRun: isSure || {
        why: 'a program is not started since a server says so',
        remedy: 'pin the document (configSha256) or have it signed (configPublicKey)',
      },
    })
    layers.push(document.layer)
    problems.push(...document.problems)
  }
  return { layers, problems, central }
}

/** Those that a command reads: asked first whether their disk answers. */
export function configPlaces(env: Env): string[] {
  return [ownFile(env) ?? '', ...cometFiles(env, process.cwd())].filter((path) => path !== '')
}

const homeOf = (env: Env, ...parts: string[]): string | null =>
  env['HOME'] ? join(env['HOME'], ...parts) : null

function ownFile(env: Env, cwd = process.cwd()): string | null {
  const { value } = findSetting('config', { env, cwd })
  const usual = homeOf(env, '.rankzero', 'config.json')
  return value ?? (usual !== null && existsSync(usual) ? usual : null)
}

function readOwnFile(path: string): Document {
  try {
    const { text, place } = readFile(path)
    return readDocument(text, place)
  } catch (error) {
    const problem = new RankzeroError('CONFIG', `${path} cannot be read: ${messageOf(error)}`,
      'name the configuration file with --config or RANKZERO_CONFIG')
    return { layer: { from: 'file', place: path, values: new Map() }, problems: [problem] }
  }
}

/** In the order of the vendor's SDK. */
function cometFiles(env: Env, cwd: string): string[] {
  const named = env['COMET_CONFIG'] ? readPath(env['COMET_CONFIG'], cwd) : null
  const isFolder = named !== null && statSync(named, { throwIfNoEntry: false })?.isDirectory() === true
  const all = [isFolder ? join(named, NAME) : named, join(cwd, NAME), homeOf(env, NAME)]
  return [...new Set(all)].filter((path) => path !== null && existsSync(path)) as string[]
}

const NAME = '.comet.config'

/** One that cannot be read is its owner's business: the SDK would go on, too. */
function readIni(path: string): Document[] {
  try {
    const { text, place } = readFile(path)
    return [readCometFile(text, place)]
  } catch {
    return []
  }
}

const OTHERS_MAY_READ = 0o044
const OTHERS_MAY_WRITE = 0o022

function readFile(path: string): { text: string; place: Place } {
  const text = readPlain(path, CONFIG_BYTES_MAX).toString()
  const { uid, mode } = statSync(path)
  const shown = (mode & 0o777).toString(8)
  const own = process.getuid?.() ?? uid
  const mayRun = (mode & OTHERS_MAY_WRITE) !== 0
    ? { why: `others may write in it (mode ${shown}), so it starts no program`, remedy: `chmod go-w ${path}` }
    : uid === own || uid === 0 ? true as const
      : { why: `it belongs to user ${uid}, so it starts no program`, remedy: 'keep one of your own' }
  const exposed = exposureOf(path)
  return { text, place: { from: 'file', place: path, base: dirname(path), exposed, mayRun } }
}

/** Why a key must not stand in a file; null: only its owner can read it. */
export function exposureOf(path: string): Place['exposed'] {
  const { mode } = statSync(path)
  if ((mode & OTHERS_MAY_READ) === 0) return null
  const shown = (mode & 0o777).toString(8)
  return {
    why: `a key stands in a file that others can read (mode ${shown})`,
    remedy: `chmod 600 ${path}, or say where the key is: { "env": "NAME" }, { "file": "path" }`,
  }
}

function centralOf(
  env: Env, layers: readonly Layer[], { cwd, fresh }: { cwd?: string; fresh?: Copy | null },
): Central | null {
  const sources = { env, layers, ...cwd === undefined ? {} : { cwd } }
  const { value: url } = findSetting('configUrl', sources)
  if (url === null) return null
  const pins = {
    sha256: findSetting('configSha256', sources).value,
    publicKey: findSetting('configPublicKey', sources).value,
  }
  const copy = fresh ?? readCopy(env, url)
  const distrust = copy === null ? null : whyNotTrusted(copy.body, copy.signature, pins)
  return { url, pins, copy: distrust === null ? copy : null, distrust }
}

/** Null: there is no home to keep it in. */
export const copyPath = (env: Env, url: string): string | null => homeOf(env, '.rankzero', 'central',
  `${createHash('sha256').update(url).digest('hex').slice(0, 16)}.json`)

function readCopy(env: Env, url: string): Copy | null {
  const path = copyPath(env, url)
  if (path === null) return null
  try {
    const { etag, body, signature, at, askedAt } = JSON.parse(readOwn(path, 2 * CONFIG_BYTES_MAX).toString())
    const bytes = (text: unknown): Buffer => Buffer.from(String(text), 'base64')
    return {
      url, etag: typeof etag === 'string' ? etag : null, body: bytes(body),
      signature: signature === null ? null : bytes(signature), at: Number(at), askedAt: Number(askedAt),
    }
  } catch {
    return null // None yet, or not ours: it is asked for anew.
  }
}
