/**
 * lib/backend/jsonl.ts: a tracker that keeps what it is sent, and answers as trackers do: too much, an error,
 * not at all, or an error for what it has stored all the same.
 */
import type { Backend, Outcome } from '../../../lib/backend/port.ts'
import { jsonLine } from '../../../lib/record/row.ts'
import { context, step } from '../context.ts'

export function jsonlBackend(path: string): Backend {
  const answer = async (store: () => void, signal: AbortSignal | null): Promise<Outcome> => {
    const { world, laws } = context()
    step()
    const { busy, fails, hangs, stores } = laws.tracker
    const luck = world.random.next()
    if (luck < busy) return { is: 'later', message: '429', afterMs: 700 }
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
