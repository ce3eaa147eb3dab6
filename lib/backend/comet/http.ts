import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { EnvHttpProxyAgent } from 'undici'
import { monotonicMs } from '../../clock.ts'
import { errnoOf, messageOf } from '../../errors.ts'
import {
  COMET_ANSWER_BYTES_MAX, COMET_ANSWER_MS, COMET_CONNECT_MS, COMET_SPARE_CALLS,
} from '../../limits-comet.ts'
import type { Content } from '../../artifact/index.ts'
import type { Budget } from '../core-budget.ts'
import type { Answer, Failure } from './core-answer.ts'
import type { Kind, Request } from './core-requests.ts'

const compress = promisify(gzip)

/** A call that waits for its budget is not made, and says how long (ms). */
export type Got = Answer | Failure | { waitMs: number }

export interface HttpOptions {
  /** Root of the server, without a slash at its end. */
  server: string
  apiKey: string
  budget: Budget<Kind | 'calls'>
  /** The bytes of a file. */
  contentOf: (content: Content) => AsyncIterable<Uint8Array>
}

/** One server, one budget: every call of every part goes through here. */
export class Http {
  calls = 0
  /** Of files. */
  sentBytes = 0
  private readonly options: HttpOptions
  private agent: EnvHttpProxyAgent | null = null

  constructor(options: HttpOptions) {
    this.options = options
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
    this.calls++
    try {
      return await this.exchange(request, signal)
    } catch (error) {
      const { cause } = error as { cause?: unknown }
      return { code: errnoOf(error) || errnoOf(cause), message: this.redacted(messageOf(error)) }
    }
  }

  /** Some servers and proxies repeat what they refuse; a URL may have the password of a proxy. */
  private redacted(text: string): string {
    const { apiKey } = this.options
    const bare = text.replace(/\/\/[^/@\s]+@/g, '//(credentials)@')
    return apiKey === '' ? bare : bare.replaceAll(apiKey, '(the API key)')
  }

  private async* counted(content: Content): AsyncGenerator<Uint8Array> {
    for await (const part of this.options.contentOf(content)) {
      yield part
      this.sentBytes += part.length
    }
  }

  close(): void {
    void this.agent?.destroy().catch(() => {})
    this.agent = null
  }

  private async exchange(request: Request, signal: AbortSignal | null): Promise<Answer> {
    // Loaded by the aggregator when it calls, not by every command.
    const undici = await import('undici')
    this.agent ??= new undici.EnvHttpProxyAgent({
      connect: { timeout: COMET_CONNECT_MS }, headersTimeout: COMET_ANSWER_MS, bodyTimeout: COMET_ANSWER_MS,
      ...proxies(process.env),
    })
    const { server, apiKey } = this.options
    const headers: Record<string, string> = {
      authorization: apiKey, 'content-type': 'application/json;charset=utf-8', 'user-agent': 'rankzero',
    }
    let body: string | Buffer | Readable | null = request.body
    if (body !== null && request.signed) body = `{"apiKey":${JSON.stringify(apiKey)},${body.slice(1)}`
    if (typeof body === 'string' && request.gzip) {
      body = await compress(body)
      headers['content-encoding'] = 'gzip'
    }
    if (request.form !== undefined) {
      const { boundary, length, chunks } = formOf(request.form, (content) => this.counted(content))
      headers['content-type'] = `multipart/form-data; boundary=${boundary}`
      headers['content-length'] = `${length}`
      body = Readable.from(chunks(), { objectMode: false })
    }
    const answer = await undici.request(`${server}${request.path}`, {
      method: request.method, headers, body, signal, dispatcher: this.agent,
    })
    const text = this.redacted(await textOf(answer.body, request.bytesMax ?? COMET_ANSWER_BYTES_MAX))
    return { status: answer.statusCode, headers: flat(answer.headers), body: objectOf(text), text }
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

/** In either case, as everybody writes them; one that is set to nothing does not count. */
function proxies(env: NodeJS.ProcessEnv): Record<'httpProxy' | 'httpsProxy' | 'noProxy', string> {
  const of = (name: string): string => env[name.toLowerCase()] || env[name] || ''
  return { httpProxy: of('HTTP_PROXY'), httpsProxy: of('HTTPS_PROXY'), noProxy: of('NO_PROXY') }
}

/** As much as an answer of these calls may have. */
async function textOf(body: AsyncIterable<Buffer>, bytesMax: number): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of body) {
    bytes += part.length
    if (bytes <= bytesMax) parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

const flat = (headers: Record<string, string | string[] | undefined>): Answer['headers'] =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) =>
    [name, Array.isArray(value) ? value[0] : value]))

function objectOf(text: string): Answer['body'] {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown> : null
  } catch {
    return null // Some answers are empty, and proxies send pages.
  }
}
