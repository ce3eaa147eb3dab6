/**
 * What an answer of the server, or none, means for the call that it belongs to. Pure.
 *
 * In: status, headers and body, or the error of a connection. Out: an Outcome of the port.
 * Invariants: a call that the server may have carried out is never `later`; a call that is refused for what
 * it says is never tried again; what is wrong with the key, not with the call, leaves the call pending.
 */
import { COMET_AUTH_RETRY_MS, COMET_MESSAGE_CHARS_MAX, COMET_THROTTLED_MS } from '../../limits-comet.ts'
import { isUnsent, isUntrusted } from '../core-unsent.ts'
import type { Outcome } from '../port.ts'

export interface Answer {
  status: number
  /** By lower-case name. */
  headers: Readonly<Record<string, string | undefined>>
  /** Null: no JSON object. */
  body: Readonly<Record<string, unknown>> | null
  text: string
}

/** A connection that failed: its error code. */
export interface Failure {
  code: string
  message: string
  /** The CA that nobody here trusts. */
  issuer?: string
}

export const EXISTS = 90999
const NO_SUCH_API_KEY = 90212

/** A proxy that does not lead to the server. */
const UNTUNNELED = /^Proxy response \((\d+)\)/

/** What to do about what is no fault of the server; '' where nobody knows. */
export function remedyOf({ code, message, issuer }: Failure): string {
  const proxy = UNTUNNELED.exec(message)?.[1]
  // Some proxies ask for credentials by 407, and refuse wrong ones by 401.
  if (proxy === '407' || proxy === '401') {
    return 'the proxy wants other credentials: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT'
  }
  if (proxy !== undefined) return 'the proxy does not lead there: check HTTPS_PROXY and NO_PROXY'
  if (isUntrusted(code)) {
    const ca = issuer === undefined ? 'the CA' : `the CA '${issuer}'`
    return `${ca} that signed the certificate of the server, or of a proxy before it, is not known here: `
      + 'NODE_EXTRA_CA_CERTS=FILE where rankzero runs'
  }
  if (/^(ENOTFOUND|EAI_|UND_ERR_CONNECT_TIMEOUT|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)/.test(code)) {
    return 'check COMET_URL_OVERRIDE, DNS and firewalls, or name a proxy: HTTPS_PROXY=http://HOST:PORT'
  }
  return ''
}

export const isAnswer = (got: Answer | Failure): got is Answer => 'status' in got

/** `what`: the call, for messages. */
export function outcomeOf(got: Answer | Failure, what: string, now: number): Outcome {
  if (!isAnswer(got)) {
    const code = got.code === '' ? '' : ` (${got.code})`
    const remedy = remedyOf(got)
    const message = `${what}: ${got.message}${code}${remedy === '' ? '' : `; ${remedy}`}`
    return { is: isUnsent(got.code) || UNTUNNELED.test(got.message) ? 'later' : 'unsure', message }
  }
  const { status } = got
  const message = messageOf(got, what)
  if (status >= 200 && status < 300) return { is: 'done' }
  if (status === 429) return { is: 'later', message, afterMs: pauseOf(got, now) ?? COMET_THROTTLED_MS }
  if (status === 402 || isDenied(got)) {
    return { is: 'later', message, afterMs: COMET_AUTH_RETRY_MS }
  }
  if (status >= 400 && status < 500 && status !== 408) return { is: 'refused', message }
  return { is: 'unsure', message, ...pauseOf(got, now) === null ? {} : { afterMs: pauseOf(got, now)! } }
}

/** It is the API key that is refused, not what was asked: of a key in the body, some calls say so by 400. */
export const isDenied = (got: Answer): boolean =>
  got.status === 401 || got.status === 403 || codeOf(got) === NO_SUCH_API_KEY

export const codeOf = (got: Answer | Failure): number =>
  isAnswer(got) && typeof got.body?.['sdk_error_code'] === 'number' ? got.body['sdk_error_code'] : 0

/** The server's own words, on one line. */
export function messageOf({ status, body, text }: Answer, what: string): string {
  const said = typeof body?.['msg'] === 'string' ? body['msg'] : text
  const code = typeof body?.['sdk_error_code'] === 'number' ? `, code ${body['sdk_error_code']}` : ''
  const short = said.replace(/\s+/g, ' ').trim().slice(0, COMET_MESSAGE_CHARS_MAX)
  return `${what}: HTTP ${status}${code}${short === '' ? '' : `: ${short}`}`
}

/** The vendor's own header counts before the standard one. Null: neither is there. */
function pauseOf({ headers }: Answer, now: number): number | null {
  for (const name of ['retry-after-custom', 'retry-after']) {
    const raw = headers[name]?.trim()
    if (raw === undefined || raw === '') continue
    // A time of day is of the server's own clock.
    const ms = /^\d+(\.\d+)?$/.test(raw) ? Number(raw) * 1000
      : Date.parse(raw) - (Date.parse(headers['date'] ?? '') || now)
    if (ms >= 0) return Math.ceil(ms)
  }
  return null
}

/**
 * How far (ms) the clock of whoever answered is ahead of ours, at least: the header has whole seconds, and
 * was written between `from` and `to`. Null: it does not tell, or an older answer was kept for us.
 */
export function skewOf(headers: Answer['headers'], from: number, to: number): number | null {
  const told = Date.parse(headers['date'] ?? '')
  if (Number.isNaN(told) || headers['age'] !== undefined) return null
  return told > to ? told - to : Math.min(0, told + 1000 - from)
}

export const skewText = (skewMs: number): string =>
  `the clock of the server is ${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? 'ahead of' : 'behind'} `
  + 'ours, which all times that it gets are by: keep both with ntp or chrony'
