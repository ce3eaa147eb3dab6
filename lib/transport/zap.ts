/**
 * Who may shake hands (ZAP, ZeroMQ RFC 27): libzmq asks this socket for each CURVE handshake of the process.
 * Without an answer nobody is let in (zapEnforceDomain). One handler per process, for its life; one key per
 * domain.
 */
import { Router } from 'zeromq'
import { messageOf } from '../errors.ts'

const ADDRESS = 'inproc://zeromq.zap.01'
const VERSION = '1.0'
const ADMITTED = '200'
const DENIED = '400'

const admitted = new Map<string, Uint8Array>()
let handler: Router | null = null
let domains = 0

/** Admits the holder of this key to a domain of its own, until `close`. */
export function admitOnly(key: Uint8Array): { domain: string; close(): void } {
  const domain = `rankzero-${++domains}`
  admitted.set(domain, key)
  handler ??= open()
  return {
    domain,
    // The handler stays: a closed socket frees its address some time later, too late for the next one.
    close: () => void admitted.delete(domain),
  }
}

function open(): Router {
  const socket = new Router({ linger: 0 })
  socket.bindSync(ADDRESS)
  void answer(socket)
  return socket
}

async function answer(socket: Router): Promise<void> {
  try {
    for await (const parts of socket) {
      const reply = verdict(parts)
      if (reply !== null) await socket.send(reply)
    }
  } catch (error) {
    // Closed, or libzmq went away in the middle: who is not answered is not admitted.
    if (!socket.closed) process.emitWarning(`the handshake guard failed: ${messageOf(error)}`)
  }
}

/** [route…, '', version, request, domain, address, identity, mechanism, key] */
function verdict(parts: Buffer[]): (Buffer | string)[] | null {
  const gap = parts.findIndex((part) => part.length === 0)
  const [version, request, domain, , , mechanism, key] = parts.slice(gap + 1)
  if (gap < 0 || request === undefined) return null
  const expected = admitted.get(String(domain))
  const ok = String(version) === VERSION && String(mechanism) === 'CURVE'
    && expected !== undefined && key !== undefined && key.equals(expected)
  // The text goes to nobody: a stranger learns nothing but that the connection is gone.
  return [...parts.slice(0, gap + 1), VERSION, request, ok ? ADMITTED : DENIED, '', '', '']
}
