/**
 * The calls of one run to one server: budget, key, proxies, bounds in time, what became of each.
 *
 * In: requests of core-requests.ts. Out: an answer, a failure, or that the budget says to wait. Invariants:
 * every call ends, whatever is in the way, an upload when nothing of it moves; the key is in requests only:
 * not in an answer, a message, the log.
 */
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { EnvHttpProxyAgent } from 'undici'
import { monotonicMs, wallMs } from '../../clock.ts'
import type { Key } from '../../config/keys.ts'
import { errnoOf, messageOf } from '../../errors.ts'
import { proxiesOf } from '../../http.ts'
import {
  COMET_ANSWER_BYTES_MAX, COMET_ANSWER_MS, COMET_CALL_MS, COMET_CONNECT_MS, COMET_FAILING_MAX,
  COMET_ISSUER_AGAIN_MS, COMET_RATE_MIN, COMET_SKEW_MS, COMET_SPARE_CALLS, COMET_UNSENT_BYTES_MAX,
} from '../../limits-comet.ts'
import type { Content } from '../../artifact/index.ts'
import type { Budget } from '../core-budget.ts'
import { Calls, lineOf, pathOf } from '../core-calls.ts'
import { isUntrusted } from '../core-unsent.ts'
import type { RequestLog } from '../request-log.ts'
import {
  isAnswer, isDenied, outcomeOf, skewOf, skewText, type Answer, type Failure,
} from './core-answer.ts'
import type { Kind, Request } from './core-requests.ts'
import { issuerOf, orEnd } from './proxies.ts'

const compress = promisify(gzip)

/** A call that waits for its budget is not made, and says how long (ms). */
export type Got = Answer | Failure | { waitMs: number }

export interface HttpOptions {
  /** Root of the server, without a slash at its end. */
  server: string
  apiKey: string
  budget: Budget<Kind | 'calls'>
  /** Null: nobody wants one. */
  log: RequestLog | null
  /** The bytes of a file; absent: none is sent. */
  contentOf?: (content: Content) => AsyncIterable<Uint8Array>
}

/** Bytes of the bodies on the wire. */
interface Traffic { sent: number; received: number }

/** How one call goes out. */
interface Way {
  undici: typeof import('undici')
  agent: EnvHttpProxyAgent
  traffic: Traffic
  signal: AbortSignal
  /** `moreMs`: beyond the time that a call has. */
  moved: (moreMs?: number) => void
}

/** How long (ms) the last of so many bytes may be on its way once it is written. */
const drainMs = (bytes: number): number => Math.min(bytes, COMET_UNSENT_BYTES_MAX) / COMET_RATE_MIN

/** '': it is not there. */
export const apiKeyOf = (key: Key): string => 'value' in key ? key.value : ''

/** One server, one budget: every call of every part goes through here. */
export class Http {
  readonly calls = new Calls()
  /** How far the server's clock was ahead of ours (ms), at least, when last seen; null: never. */
  skewMs: number | null = null
  /** What is not as it should be, though calls go well; ''. */
  warning = ''
  /** Of files, and how many of them may have been in buffers when last looked at. */
  private written = 0
  private unsent = { bytes: 0, at: 0 }
  private readonly options: HttpOptions
  private agent: EnvHttpProxyAgent | null = null
  private readonly retired = new Set<EnvHttpProxyAgent>()
  /** How often in a row a call did not go well, by what makes it the same. */
  private readonly failing = new Map<string, number>()
  private issuer: { name: string | null; until: number } = { name: null, until: -Infinity }

  constructor(options: HttpOptions) {
    this.options = options
  }

  /** Of files: as far as they have left this machine, on a line that is as slow as one may be. */
  get sentBytes(): number {
    return Math.floor(this.written - this.unsentBytes())
  }

  private unsentBytes(): number {
    const { bytes, at } = this.unsent
    return Math.max(0, bytes - (monotonicMs() - at) * COMET_RATE_MIN)
  }

  /** `urgent`: does not wait for the budget, others do then. */
  async call(request: Request, signal: AbortSignal | null, urgent = false): Promise<Got> {
    const { budget } = this.options
    const wants = { calls: 1, [request.kind]: request.count }
    if (urgent) budget.force(wants, monotonicMs())
    else {
      const waitMs = budget.spend(wants, monotonicMs(), COMET_SPARE_CALLS)
      if (waitMs > 0) return { waitMs }
    }
    const traffic = { sent: 0, received: 0 }
    const [at, begun] = [wallMs(), monotonicMs()]
    const got = await this.bounded(request, signal, traffic)
    this.note(request, got, { at, ms: Math.round(monotonicMs() - begun), ...traffic })
    return got
  }

  close(): void {
    for (const agent of [this.agent, ...this.retired]) void agent?.destroy().catch(() => {})
    this.agent = null
    this.retired.clear()
  }

  private note(request: Request, got: Answer | Failure, spent: Traffic & { at: number; ms: number }): void {
    const call = {
      ...spent, call: `${request.method} ${pathOf(request.path)}`, attempt: this.attempt(request, got),
      status: isAnswer(got) ? got.status : got.code || 'failed', headers: isAnswer(got) ? got.headers : {},
      denied: isAnswer(got) && isDenied(got),
    }
    this.calls.add(call)
    this.options.log?.(lineOf(call))
  }

  /** A batch is the same by its bytes; what carries the time of day, by its path. */
  private attempt(request: Request, got: Answer | Failure): number {
    const { failing } = this
    const { is } = outcomeOf(got, '', 0)
    const went = is === 'done' || is === 'refused'
    if (went && failing.size === 0) return 1
    const isBatch = request.kind === 'metric' || request.kind === 'output'
    const digest = isBatch ? createHash('sha256').update(request.body ?? '').digest('hex') : ''
    const mark = `${pathOf(request.path)} ${digest}`
    const before = failing.get(mark) ?? 0
    failing.delete(mark)
    if (went) return before + 1
    failing.set(mark, before + 1)
    if (failing.size > COMET_FAILING_MAX) failing.delete(failing.keys().next().value!)
    return before + 1
  }

  /** Some servers and proxies repeat what they refuse; a URL may have the password of a proxy. */
  private redacted(text: string): string {
    const { apiKey } = this.options
    const bare = text.replace(/\/\/[^/@\s]+@/g, '//(credentials)@')
    return apiKey === '' ? bare : bare.replaceAll(apiKey, '(the API key)')
  }

  private async bounded(
    request: Request, signal: AbortSignal | null, traffic: Traffic,
  ): Promise<Answer | Failure> {
    const over = new AbortController()
    let [isLate, isOver] = [false, false]
    let ms = COMET_CALL_MS
    const late = (): void => {
      isLate = true
      over.abort()
    }
    let timer = setTimeout(late, ms)
    const stop = (): void => { over.abort() }
    signal?.addEventListener('abort', stop)
    // Loaded by the aggregator when it calls, not by every command.
    const undici = await import('undici')
    const agent = this.agent ??= new undici.EnvHttpProxyAgent({
      connect: { timeout: COMET_CONNECT_MS }, headersTimeout: COMET_ANSWER_MS, bodyTimeout: COMET_ANSWER_MS,
      ...proxiesOf(process.env),
    })
    try {
      if (signal?.aborted) stop()
      const moved = (moreMs = 0): void => {
        if (isOver) return
        clearTimeout(timer)
        ms = COMET_CALL_MS + moreMs
        timer = setTimeout(late, ms)
      }
      const way = { undici, agent, traffic, signal: over.signal, moved }
      return await orEnd(over.signal, this.exchange(request, way))
    } catch (error) {
      if (over.signal.aborted) this.retire(agent)
      if (!isLate) return await this.failure(error)
      return { code: 'ETIMEDOUT', message: `no whole answer in ${Math.round(ms / 1000)} s` }
    } finally {
      isOver = true
      clearTimeout(timer)
      if (request.form !== undefined) this.unsent.bytes = 0
      signal?.removeEventListener('abort', stop)
    }
  }

  private async failure(error: unknown): Promise<Failure> {
    const { cause, errors } = error as { cause?: unknown; errors?: unknown[] }
    const code = errnoOf(error) || errnoOf(cause)
    // Of a name with several addresses there is one error each, and the whole has no text.
    const message = this.redacted(messageOf(error) || messageOf(errors?.at(-1) ?? code))
    if (!isUntrusted(code)) return { code, message }
    if (monotonicMs() > this.issuer.until) {
      const name = await issuerOf(this.options.server, process.env)
      this.issuer = { name, until: monotonicMs() + COMET_ISSUER_AGAIN_MS }
    }
    return { code, message, ...this.issuer.name === null ? {} : { issuer: this.issuer.name } }
  }

  /** A tunnel that a proxy never opens holds all calls that come after it: they get another. */
  private retire(agent: EnvHttpProxyAgent): void {
    if (this.agent !== agent) return
    this.agent = null
    this.retired.add(agent)
    setTimeout(() => {
      this.retired.delete(agent)
      void agent.destroy().catch(() => {})
    }, COMET_CALL_MS).unref()
  }

  private async exchange(request: Request, way: Way): Promise<Answer> {
    const { undici, agent, traffic, signal } = way
    const { server, apiKey } = this.options
    const headers: Record<string, string> = {
      authorization: apiKey, 'content-type': 'application/json;charset=utf-8', 'user-agent': 'rankzero',
    }
    let body: string | Buffer | Readable | null = request.body
    let headersTimeout = COMET_ANSWER_MS
    if (body !== null && request.signed) body = `{"apiKey":${JSON.stringify(apiKey)},${body.slice(1)}`
    if (body !== null && request.gzip) {
      body = await compress(body)
      headers['content-encoding'] = 'gzip'
    }
    if (body !== null) traffic.sent = Buffer.byteLength(body)
    if (request.form !== undefined) {
      const { boundary, length, chunks } = formOf(request.form, (content) => this.contentOf(content))
      headers['content-type'] = `multipart/form-data; boundary=${boundary}`
      headers['content-length'] = `${length}`
      headersTimeout += drainMs(length)
      body = Readable.from(counted(chunks(), way, drainMs(length)), { objectMode: false })
    }
    const from = wallMs()
    const answer = await undici.request(`${server}${request.path}`, {
      method: request.method, headers, body, signal, dispatcher: agent, headersTimeout,
    })
    const told = this.flat(answer.headers)
    this.compareClocks(skewOf(told, from, wallMs()))
    const text = this.redacted(await textOf(answer.body, request.bytesMax ?? COMET_ANSWER_BYTES_MAX, traffic))
    return { status: answer.statusCode, headers: told, body: objectOf(text), text }
  }

  private async* contentOf(content: Content): AsyncGenerator<Uint8Array> {
    for await (const part of this.options.contentOf!(content)) {
      yield part
      this.written += part.length
      const bytes = Math.min(COMET_UNSENT_BYTES_MAX, this.unsentBytes() + part.length)
      this.unsent = { bytes, at: monotonicMs() }
    }
  }

  private flat(headers: Record<string, string | string[] | undefined>): Answer['headers'] {
    return Object.fromEntries(Object.entries(headers).map(([name, value]) =>
      [name, this.redacted([value ?? ''].flat()[0] ?? '')]))
  }

  /** One that wanders is told of once, and no more when it is nearly right. */
  private compareClocks(skewMs: number | null): void {
    if (skewMs === null) return
    this.skewMs = skewMs
    if (Math.abs(skewMs) >= COMET_SKEW_MS) this.warning ||= skewText(skewMs)
    else if (Math.abs(skewMs) < COMET_SKEW_MS / 2) this.warning = ''
  }
}

interface Form { boundary: string; length: number; chunks: () => AsyncGenerator<Uint8Array> }

/** Of known length, so that nothing has to be held in memory. */
function formOf(
  { content, link, metadata }: NonNullable<Request['form']>,
  contentOf: (content: Content) => AsyncIterable<Uint8Array>,
): Form {
  const boundary = `rankzero-${randomBytes(16).toString('hex')}`
  const part = (name: string, more = ''): string =>
    `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n`
  const name = content === null ? 'link' : 'file'
  const head = Buffer.from(`${part('metadata')}${metadata}\r\n${part(name, `; filename="${name}"`)}`)
  const inline = Buffer.from(content === null ? link ?? '' : '')
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield head
    if (content === null) yield inline
    else yield* contentOf(content)
    yield tail
  }
  return { boundary, length: head.length + inline.length + (content?.size ?? 0) + tail.length, chunks }
}

/** A call whose body still goes out is not late. */
async function* counted(
  parts: AsyncIterable<Uint8Array>, { traffic, moved }: Way, lastMs: number,
): AsyncGenerator<Uint8Array> {
  for await (const part of parts) {
    yield part
    traffic.sent += part.length
    moved()
  }
  moved(lastMs)
}

/** As much as an answer of these calls may have. */
async function textOf(body: AsyncIterable<Buffer>, bytesMax: number, traffic: Traffic): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of body) {
    traffic.received += part.length
    if (traffic.received <= bytesMax) parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

function objectOf(text: string): Answer['body'] {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown> : null
  } catch {
    return null // Some answers are empty, and proxies send pages.
  }
}
