import { Dealer as Socket } from 'zeromq'
import { messageOf } from '../errors.ts'
import { MESSAGE_FRAMES_MAX, SOCKET_HWM, WRITER_QUEUE_MAX } from '../limits.ts'
import { COMMON, endpoint } from './options.ts'
import type { RunKeys } from './keys.ts'
import { Writer } from './writer.ts'

export interface DealerOptions {
  host: string
  port: number
  keys: RunKeys
  /** The connection stands: what is sent from now on goes at once. */
  onUp?(): void
  /** The frame is valid only during the call. */
  onFrame(frame: Buffer): void
  /**
   * Refused, disconnected or broken; called once. The socket is of no more use: close it and connect anew.
   */
  onDown(why: string): void
}

export interface Dealer {
  /** False: queue full or closed; the caller keeps the frame. A taken frame must not be changed any more. */
  send(frame: Uint8Array): boolean
  /** True while data should wait: control frames may still be sent. */
  readonly full: boolean
  close(): void
}

/** Data frames wait when this many frames do; the rest of the queue is for control frames. */
const DATA_QUEUE_MAX = MESSAGE_FRAMES_MAX
/** zeromq's own pipe holds this many: what is not sent stays in the journal. */
const PIPE_MESSAGES = 4

/** A peer with another secret closes, and does not say why. */
const NO_HANDSHAKE = 'let us not in (another run secret)'

/**
 * One connection, one life: zeromq's own reconnect is off, because frames lost between two connections would
 * go unnoticed. The uplink opens a new socket after a randomised pause and resumes at the last acknowledged
 * record.
 */
export function connectDealer(options: DealerOptions): Dealer {
  const { keys } = options
  const socket = new Socket({
    ...COMMON,
    // Nothing is queued before the handshake: it would be lost with a process that is killed.
    immediate: true,
    reconnectInterval: -1,
    sendHighWaterMark: PIPE_MESSAGES,
    receiveHighWaterMark: SOCKET_HWM,
    ipv6: options.host.includes(':'),
    curveServerKey: keys.server.publicKey,
    curvePublicKey: keys.client.publicKey,
    curveSecretKey: keys.client.secretKey,
  })
  let over = false
  const down = (why: string): void => {
    if (over) return
    over = true
    options.onDown(why)
  }
  const writer = new Writer<null>(
    WRITER_QUEUE_MAX, (_, frames) => socket.send(frames), (_, error) => down(messageOf(error)))
  void watch()
  void receive()
  socket.connect(endpoint(options.host, options.port))
  return {
    send: (frame) => !over && writer.push(null, frame),
    get full() { return writer.waiting >= DATA_QUEUE_MAX },
    close() {
      over = true
      writer.close()
      if (!socket.closed) socket.close()
    },
  }

  async function watch(): Promise<void> {
    for await (const event of socket.events) {
      if (event.type === 'end') return
      const { type } = event
      if (type === 'handshake' && !over) options.onUp?.()
      else if (type.startsWith('handshake:error')) down(NO_HANDSHAKE)
      else if (type === 'disconnect' || type === 'close') down(type === 'close' ? 'refused' : type)
    }
  }

  async function receive(): Promise<void> {
    for await (const parts of socket) {
      for (const frame of parts) {
        if (over) return
        options.onFrame(frame)
      }
    }
  }
}
