/**
 * What is between us and the server: proxies, as the environment names them, and whoever shows a certificate.
 *
 * Invariant: a connection whose certificate nobody here trusts carries no key, and nothing that comes by it
 * is believed, but the name of who signed.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { TLSSocket } from 'node:tls'
import { proxiesOf } from '../../http.ts'
import { COMET_ISSUER_MS, COMET_NAME_CHARS_MAX } from '../../limits-comet.ts'

/**
 * undici hears of an end only once it has a connection, and a proxy may never open the way to one.
 * @throws when `signal` comes first.
 */
export function orEnd<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const end = new Promise<never>((_, fail) => {
    signal.addEventListener('abort', () => { fail(new Error('given up')) })
  })
  return Promise.race([end, work])
}

const CONNECTED = 'undici:client:connected'
const CONNECTING = 'undici:client:beforeConnect'

/** The CA on top of what `server`, or a proxy before it, shows; null: it says nothing. */
export async function issuerOf(server: string, env: NodeJS.ProcessEnv): Promise<string | null> {
  const undici = await import('undici')
  const anybody = { rejectUnauthorized: false, timeout: COMET_ISSUER_MS }
  // Not to a proxy by TLS, which gets credentials.
  const agent = new undici.EnvHttpProxyAgent({ connect: anybody, requestTls: anybody, ...proxiesOf(env) })
  let name: string | null = null
  const look = (message: unknown): void => {
    const { socket } = message as { socket: TLSSocket }
    if (socket.encrypted && !socket.authorized) name = topOf(socket)
  }
  subscribe(CONNECTED, look)
  try {
    const signal = AbortSignal.timeout(COMET_ISSUER_MS)
    const asked = undici.request(server, { method: 'HEAD', dispatcher: agent, signal })
    const { body } = await orEnd(signal, asked)
    await body.dump()
  } catch {
    // The name may be there all the same.
  } finally {
    unsubscribe(CONNECTED, look)
    void agent.destroy().catch(() => {})
  }
  return name
}

function topOf(socket: TLSSocket): string | null {
  let one = socket.getPeerCertificate(true)
  // A root is its own issuer.
  while (one.issuerCertificate && one.issuerCertificate.fingerprint256 !== one.fingerprint256) {
    one = one.issuerCertificate
  }
  const { CN, O } = one.issuer ?? {}
  const name = [CN ?? O ?? ''].flat().join(', ').replace(/[^\p{L}\p{N}\p{P}\p{S} ]+/gu, ' ').trim()
  return name === '' ? null : name.slice(0, COMET_NAME_CHARS_MAX)
}

/** The proxy that `work` is led through, as `host:port`; null: it calls `server` itself, or nobody. */
export async function proxyOf<T>(server: string, work: () => Promise<T>): Promise<[T, string | null]> {
  let proxy: string | null = null
  const look = (message: unknown): void => {
    const { host } = (message as { connectParams: { host: string } }).connectParams
    if (host !== new URL(server).host) proxy = host
  }
  subscribe(CONNECTING, look)
  try {
    return [await work(), proxy]
  } finally {
    unsubscribe(CONNECTING, look)
  }
}
