/**
 * `webhook`: one POST per change of the run, signed (WEBHOOK.md). It gets no rows.
 *
 * At least once, in order, as the same bytes: an event has its id from the ledger, so a repeat is known by
 * it. Time and signature are of the sending, for receivers that refuse what is old.
 */
import { createHmac } from 'node:crypto'
import type { EnvHttpProxyAgent } from 'undici'
import { wallMs } from '../clock.ts'
import type { Key, Keys } from '../config/keys.ts'
import { errnoOf, messageOf } from '../errors.ts'
import { firstOf, headerOf, proxiesOf } from '../http.ts'
import {
  WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_ANSWER_MS, WEBHOOK_BODY_BYTES_MAX, WEBHOOK_CONNECT_MS,
} from '../limits-outbox.ts'
import { webhookOutcome } from './core-webhook.ts'
import type { Backend, Outcome } from './port.ts'

/** Hex; of `<timestamp>.<body>`, the timestamp being that of the header: seconds since the epoch. */
export const signatureOf = (secret: string, timestamp: string, body: Uint8Array): string =>
  createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex')

export function webhookBackend({ webhookUrl, webhookSecret }: Keys): Backend {
  const wrong = whyUnusable(webhookUrl, webhookSecret)
  let agent: EnvHttpProxyAgent | null = null

  async function post(url: string, secret: string, body: Uint8Array, signal: AbortSignal): Promise<Outcome> {
    const { id } = JSON.parse(Buffer.from(body).toString()) as { id: string }
    const timestamp = `${Math.floor(wallMs() / 1000)}`
    // Loaded by the aggregator when it calls, not by every command.
    const undici = await import('undici')
    agent ??= new undici.EnvHttpProxyAgent({
      connect: { timeout: WEBHOOK_CONNECT_MS }, headersTimeout: WEBHOOK_ANSWER_MS,
      bodyTimeout: WEBHOOK_ANSWER_MS, ...proxiesOf(process.env),
    })
    try {
      const answer = await undici.request(url, {
        method: 'POST', body, signal, dispatcher: agent,
        headers: {
          'content-type': 'application/json', 'user-agent': 'rankzero', 'rankzero-id': id,
          'rankzero-timestamp': timestamp,
          'rankzero-signature': `v1=${signatureOf(secret, timestamp, body)}`,
        },
      })
      await firstOf(answer.body, WEBHOOK_ANSWER_BYTES_MAX)
      return webhookOutcome(answer.statusCode, headerOf(answer.headers, 'retry-after'), wallMs())
    } catch (error) {
      // Its message may repeat the URL, which may hold a token.
      const code = errnoOf(error) || errnoOf((error as { cause?: unknown }).cause) || 'no answer'
      return webhookOutcome(code, null, 0)
    }
  }

  const done = { is: 'done' } as const
  return {
    name: 'webhook',
    rows: null,
    announce() {},
    status: () => true,
    events: {
      can: { rowsMax: 1, bytesMax: WEBHOOK_BODY_BYTES_MAX, ageMs: 0, amends: true },
      encode: ({ event }) => ({ data: Buffer.from(JSON.stringify(event)), values: 1 }),
      pack: (parts) => Buffer.concat(parts),
      open: () => Promise.resolve(wrong === null ? done : { is: 'later', message: wrong }),
      write: (body, signal) => 'value' in webhookUrl && 'value' in webhookSecret
        ? post(webhookUrl.value, webhookSecret.value, body, signal)
        : Promise.resolve({ is: 'later', message: wrong ?? '' }),
      end: () => Promise.resolve(done),
    },
    close() {
      void agent?.destroy().catch(() => {})
      agent = null
    },
  }
}

/** In words that do not repeat what may be a secret. Null: both can be used. */
function whyUnusable(url: Key, secret: Key): string | null {
  for (const key of [url, secret]) if ('why' in key) return key.why
  const text = 'value' in url ? url.value : ''
  try {
    const { protocol, username, password } = new URL(text)
    if (protocol !== 'http:' && protocol !== 'https:') return 'webhookUrl is neither http nor https'
    return username === '' && password === '' ? null : 'webhookUrl has a user: receivers check the signature'
  } catch (error) {
    return `webhookUrl is no URL (${errnoOf(error) || messageOf(error)})`
  }
}
