import { context, type Dealer, type Router } from 'zeromq'
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

export function endpoint(host: string, port: number): string {
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`
}
