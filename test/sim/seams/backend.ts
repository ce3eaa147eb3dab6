/**
 * lib/backend/jsonl.ts: a tracker that keeps what it is sent, and answers as trackers do: too much, an error,
 * not at all, or an error for what it has stored all the same.
 */
import type { Backend, Outcome } from '../../../lib/backend/port.ts'
import { jsonLine } from '../../../lib/record/row.ts'
import { context, me, step } from '../context.ts'

/** What a busy tracker asks for, ms. */
const PAUSE_MS = 700

export function jsonlBackend(path: string): Backend {
  let askedUntil = -Infinity
  const answer = async (store: () => void, signal: AbortSignal | null): Promise<Outcome> => {
    const { world, laws } = context()
    step()
    const { busy, fails, hangs, stores } = laws.tracker
    const now = world.monotonic(me().node)
    if (now < askedUntil) {
      laws.broken('a pause that was asked for', `the tracker is called ${askedUntil - now} ms early`)
    }
    const luck = world.random.next()
    if (luck < busy) {
      askedUntil = now + PAUSE_MS
      return { is: 'later', message: '429', afterMs: PAUSE_MS }
    }
    if (luck < busy + fails) return { is: 'unsure', message: '503' }
    const hung = luck < busy + fails + hangs
    if (!hung || world.random.chance(0.5)) store()
    if (hung && signal !== null) {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')))
      })
    }
    if (luck < busy + fails + hangs + stores) return { is: 'unsure', message: 'reset' }
    step()
    return { is: 'done', cursor: { at: world.now } }
  }
  return {
    name: 'jsonl',
    announce() {},
    status: () => true,
    rows: {
      can: { rowsMax: 12, bytesMax: 8000, ageMs: 300, amends: true },
      encode: ({ n, row }) => ({ data: Buffer.from(`${n} ${jsonLine(row)}`), values: 1 }),
      pack: (parts) => Buffer.concat(parts),
      open: () => answer(() => {}, null),
      write: (bytes, signal) =>
        answer(() => context().laws.delivered(path, Buffer.from(bytes).toString()), signal),
      end: (_, signal) => answer(() => {}, signal),
    },
  }
}
