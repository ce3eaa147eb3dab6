import { readFileSync, readdirSync } from 'node:fs'
import { Router as Socket } from 'zeromq'
import { monotonicMs } from '../clock.ts'
import { errnoOf, messageOf, RankzeroError } from '../errors.ts'
import {
  FDS_FREE_MIN, HANDSHAKE_MS, LISTEN_BACKLOG, MESSAGE_FRAMES_MAX, SOCKET_HWM, WRITER_QUEUE_MAX,
} from '../limits.ts'
import { Door } from './core-door.ts'
import type { RunKeys } from './keys.ts'
import { COMMON, endpoint } from './options.ts'
import { Writer } from './writer.ts'
import { admitOnly } from './zap.ts'

export interface RouterOptions {
  host: string
  /** 0: any free port. */
  port: number
  /** CURVE, for who has the secret alone. */
  keys: RunKeys
  /**
   * `peer` names a connection and nothing else: never keep it beyond an answer that fails. The frame is valid
   * only during the call.
   */
  onFrame(peer: Buffer, frame: Buffer): void
  /** The connection is gone; what is known under this peer can be forgotten. */
  onGone?(peer: Buffer): void
}

export interface Router {
  readonly port: number
  /**
   * False: queue full. A taken frame is still lost with its connection: acks are cumulative for that reason.
   */
  send(peer: Buffer, frame: Uint8Array): boolean
  /** Frames that a peer did not take because its pipe was full, and messages that were not [peer, frames]. */
  readonly dropped: number
  /** Connections that did not prove the run secret. */
  readonly denied: number
  close(): void
}

/**
 * Binds; the identity of a sender is in its frames, so routing ids are zeromq's own (a chosen one can be
 * swallowed).
 */
export async function bindRouter(options: RouterOptions): Promise<Router> {
  const { host, port, keys } = options
  requireFreeDescriptors()
  const guard = admitOnly(keys.client.bytes)
  const socket = new Socket({
    ...COMMON,
    // A frame to a peer that is gone or full fails aloud; zeromq's default is to drop it silently.
    mandatory: true,
    // One slow peer must not hold the writer loop for all others.
    sendTimeout: 0,
    backlog: LISTEN_BACKLOG,
    sendHighWaterMark: SOCKET_HWM,
    receiveHighWaterMark: SOCKET_HWM,
    handshakeInterval: HANDSHAKE_MS,
    // [::] then takes IPv4 too.
    ipv6: host.includes(':'),
    curveServer: true,
    curveSecretKey: keys.server.secretKey,
    zapDomain: guard.domain,
    zapEnforceDomain: true,
  })
  const close = (): void => {
    if (!socket.closed) socket.close()
    guard.close()
  }
  try {
    await socket.bind(endpoint(host, port))
  } catch (error) {
    close()
    throw new RankzeroError(
      'PROTOCOL', `cannot bind ${endpoint(host, port)}: ${messageOf(error)}`,
      'use port 0 for any free port, or end the process that listens there', { cause: error },
    )
  }
  return serve(socket, options, close)
}

/** All interfaces, for other nodes: IPv6 with IPv4, or IPv4 alone where IPv6 is off. */
export async function bindWide(options: Omit<RouterOptions, 'host'>): Promise<Router> {
  try {
    return await bindRouter({ ...options, host: '::' })
  } catch {
    return bindRouter({ ...options, host: '0.0.0.0' })
  }
}

function serve(socket: Socket, options: RouterOptions, close: () => void): Router {
  let dropped = 0
  // A little more than the socket's own limit, which ends a silent handshake first.
  const door = new Door(2 * HANDSHAKE_MS)
  const writer = new Writer<Buffer>(
    WRITER_QUEUE_MAX,
    (peer, frames) => socket.send([peer, ...frames]),
    (peer, error, frames) => {
      if (errnoOf(error) === 'EHOSTUNREACH') options.onGone?.(peer)
      else dropped += frames
    },
  )
  void receive()
  void watch()
  return {
    port: Number(/:(\d+)$/.exec(socket.lastEndpoint ?? '')?.[1]),
    send: (peer, frame) => writer.push(peer, frame),
    get dropped() { return dropped },
    get denied() { return door.denied(monotonicMs()) },
    close() {
      writer.close()
      close()
    },
  }

  async function watch(): Promise<void> {
    for await (const { type } of socket.events) {
      if (type === 'accept') door.came(monotonicMs())
      else if (type === 'handshake') door.gotIn()
      else if (type.startsWith('handshake:error')) door.refused()
      else if (type === 'end') return
    }
  }

  async function receive(): Promise<void> {
    for await (const parts of socket) {
      if (socket.closed) return
      const [route, ...frames] = parts
      // The same object for all of them, so that their answers are one message too.
      const peer = Buffer.from(route ?? [])
      if (frames.length === 0 || frames.length > MESSAGE_FRAMES_MAX) dropped++
      else for (const frame of frames) options.onFrame(peer, frame)
    }
  }
}

/**
 * At its descriptor limit libzmq accepts nobody, uses a whole core and reports nothing (pyzmq#1642): refuse
 * before.
 */
function requireFreeDescriptors(): void {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(readProc('/proc/self/limits'))?.[1] ?? Infinity)
  const open = countProc('/proc/self/fd')
  if (limit - open >= FDS_FREE_MIN) return
  throw new RankzeroError(
    'PROTOCOL', `only ${limit - open} file descriptors are free (limit ${limit}, ${open} open); ` +
    `${FDS_FREE_MIN} are needed to accept agents`,
    'raise the limit, e.g. `ulimit -n 4096`, and start again',
  )
}

// Where there is no /proc (macOS) the limit is unknown and nothing is refused.
function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function countProc(path: string): number {
  try {
    return readdirSync(path).length
  } catch {
    return 0
  }
}
