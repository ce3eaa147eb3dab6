/**
 * The central configuration: asked for over HTTPS, kept as a private copy, and used from there when its
 * server does not answer.
 *
 * In: where it is. Out: its bytes, once they are what was pinned or signed; whether they are new.
 * Invariants: the wait is bounded; what cannot be trusted is neither used nor kept; a redirect is not
 * followed, since whoever is named must answer himself.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { wallMs } from '../clock.ts'
import { errnoOf, messageOf, RankzeroError } from '../errors.ts'
import { firstOf, headerOf, proxiesOf } from '../http.ts'
import { CONFIG_BYTES_MAX, CONFIG_FETCH_MS, CONFIG_SIGNATURE_BYTES_MAX } from '../limits-config.ts'
import { copyPath, readConfig, type Central, type Config, type Copy } from './layers.ts'
import type { Env } from './settings.ts'
import { whyNotTrusted } from './trust.ts'

export interface CurrentConfig extends Config {
  /** Why the copy is not known to be the present document; null: it is, or there is none. */
  stale: string | null
}

/**
 * The configuration with the central document as it is now, or as it was when it was last seen.
 * `freshMs`: a copy that was asked for within this (ms) is taken as it is.
 */
export async function currentConfig(env: Env, freshMs = 0): Promise<CurrentConfig> {
  const config = readConfig(env)
  const { central } = config
  if (central === null) return { ...config, stale: null }
  const age = wallMs() - (central.copy?.askedAt ?? -Infinity)
  if (age >= 0 && age < freshMs) return { ...config, stale: null }
  try {
    const copy = await ask(central, env)
    keep(env, copy)
    return { ...readConfig(env, { fresh: copy }), stale: null }
  } catch (error) {
    const why = whyOf(error)
    if (central.copy === null) {
      config.problems.push(new RankzeroError('CONFIG', `the central configuration ${central.url}: ${why}`,
        'there is no copy of an earlier one: correct RANKZERO_CONFIG_URL, or leave it out'))
    } else keep(env, { ...central.copy, askedAt: wallMs() })
    return { ...config, stale: why }
  }
}

async function ask({ url, copy, pins }: Central, env: Env): Promise<Copy> {
  const { protocol, hostname } = new URL(url)
  if (protocol !== 'https:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) {
    throw new Error('only https is taken from another host')
  }
  const undici = await import('undici')
  const agent = new undici.EnvHttpProxyAgent(proxiesOf(env))
  const signal = AbortSignal.timeout(CONFIG_FETCH_MS)
  const get = async (what: string, bytesMax: number, headers: Record<string, string>) => {
    const { statusCode, headers: got, body } = await undici.request(what, {
      headers: { 'user-agent': 'rankzero', ...headers }, signal, dispatcher: agent,
    })
    const bytes = await firstOf(body, bytesMax + 1)
    if (bytes.length > bytesMax) throw new Error(`${what} has more than ${bytesMax} bytes`)
    return { status: statusCode, bytes, etag: headerOf(got, 'etag') }
  }
  try {
    const { status, bytes: body, etag } = await get(url, CONFIG_BYTES_MAX,
      copy?.etag ? { 'if-none-match': copy.etag } : {} as Record<string, string>)
    const now = wallMs()
    if (status === 304 && copy !== null) return { ...copy, at: now, askedAt: now }
    if (status !== 200) throw new Error(`HTTP status ${status}`)
    const signed = pins.publicKey === null ? null : await get(`${url}.sig`, CONFIG_SIGNATURE_BYTES_MAX, {})
    if (signed !== null && signed.status !== 200) {
      throw new Error(`its signature ${url}.sig: HTTP status ${signed.status}`)
    }
    const signature = signed?.bytes ?? null
    const why = whyNotTrusted(body, signature, pins)
    if (why !== null) throw new Error(why)
    return { url, etag, body, signature, at: now, askedAt: now }
  } finally {
    void agent.destroy().catch(() => {})
  }
}

function whyOf(error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: unknown }
  if (name === 'TimeoutError') return `no answer within ${CONFIG_FETCH_MS / 1000} s`
  return messageOf(error) || errnoOf(error) || messageOf(cause)
}

/** Without a place to keep it, it is asked for each time. */
function keep(env: Env, { url, etag, body, signature, at, askedAt }: Copy): void {
  const path = copyPath(env, url)
  if (path === null) return
  const text = JSON.stringify({
    url, etag, at, askedAt, body: body.toString('base64'), signature: signature?.toString('base64') ?? null,
  })
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const temporary = `${path}.${process.pid}.tmp`
    writeFileSync(temporary, text, { mode: 0o600 })
    renameSync(temporary, path)
  } catch {
    // A full disk, or a home that cannot be written.
  }
}
