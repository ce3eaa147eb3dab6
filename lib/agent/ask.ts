import { hostname } from 'node:os'
import { monotonicMs, wallMs } from '../clock.ts'
import { messageOf } from '../errors.ts'
import { CONNECT_MS } from '../limits.ts'
import { connectDealer, type Dealer, type RunKeys } from '../transport/index.ts'
import { decodeFrame, encodeFrame, PROTOCOL_VERSION, type Bodies, type Frame } from '../wire/index.ts'

export type Told =
  | Exclude<Frame, { type: 'BATCH' }>
  /** Nobody there, another secret, or silence. */
  | { type: 'silent'; why: string }

/** A HELLO without instances: a question. */
export function question(agent: string, meeting: string): Bodies['HELLO'] {
  return {
    agent, host: hostname(), pid: process.pid, run: null, meeting, protocol: PROTOCOL_VERSION,
    sentAt: wallMs(), instances: [],
  }
}

/** Asks one address one thing, and gives its answer; never throws, never waits long. */
export function ask(
  at: { host: string; port: number; keys: RunKeys }, frame: () => Uint8Array,
): Promise<Told & { ms: number }> {
  const begun = monotonicMs()
  return new Promise((resolve) => {
    let dealer: Dealer | null = null
    const finish = (told: Told): void => {
      clearTimeout(timer)
      dealer?.close()
      resolve({ ...told, ms: monotonicMs() - begun })
    }
    const timer = setTimeout(() => finish({ type: 'silent', why: 'no answer' }), CONNECT_MS)
    try {
      dealer = connectDealer({
        ...at,
        onUp: () => dealer?.send(frame()),
        onDown: (why) => finish({ type: 'silent', why }),
        onFrame(bytes) {
          try {
            const told = decodeFrame(bytes)
            finish(told.type === 'BATCH' ? { type: 'silent', why: 'an answer to another question' } : told)
          } catch (error) {
            finish({ type: 'silent', why: messageOf(error) })
          }
        },
      })
    } catch (error) {
      finish({ type: 'silent', why: messageOf(error) })
    }
  })
}

export const askHello = (
  at: { host: string; port: number; keys: RunKeys }, agent: string, meeting: string,
): ReturnType<typeof ask> => ask(at, () => encodeFrame('HELLO', 0, question(agent, meeting)))
