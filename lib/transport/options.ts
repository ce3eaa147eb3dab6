import { context, type Dealer, type Router } from 'zeromq'
import { RankzeroError } from '../errors.ts'
import { FRAME_BYTES_MAX, HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS } from '../limits.ts'

// Without this a process that has closed its sockets never exits while a message waits for a peer that is not
// there.
context.blocky = false

/** What every socket of ours is made with. */
export const COMMON = {
  linger: 0,
  // An oversize message disconnects its sender instead of filling memory.
  maxMessageSize: FRAME_BYTES_MAX,
  heartbeatInterval: HEARTBEAT_MS,
  heartbeatTimeout: HEARTBEAT_TIMEOUT_MS,
  heartbeatTimeToLive: HEARTBEAT_TIMEOUT_MS,
} satisfies Partial<Dealer & Router>

const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|::1)$/

export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

/** Plain frames may not leave the machine (DESIGN 6). */
export function requireLoopback(host: string, doing: string): void {
  if (isLoopback(host)) return
  throw new RankzeroError(
    'USAGE', `cannot ${doing} ${host}: without a run secret only loopback addresses are allowed`,
    'use 127.0.0.1, or give RANKZERO_SECRET_FILE, the path of a file of mode 0600, on every node',
  )
}

export function endpoint(host: string, port: number): string {
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`
}
