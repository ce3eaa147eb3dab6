import { mkdir, open, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf } from '../errors.ts'
import { jsonLine } from '../record/row.ts'
import { OUTBOX_AGE_MS, JSONL_BATCH_BYTES, JSONL_BATCH_ROWS } from '../limits-outbox.ts'
import type { Backend, Outcome } from './port.ts'

/**
 * `jsonl`: one file per run, a line per row as `rankzero export` has it, in the order in which rows closed; a
 * row that is amended later comes again, and its last line holds.
 *
 * Exactly once: the cursor is the length of the file after a batch, which is on disk by then. Opening cuts
 * what lies beyond it, and each batch is written at its place, so a repeat overwrites itself.
 */
export function jsonlBackend(path: string): Backend {
  let file: FileHandle | null = null
  let end = 0

  async function close(): Promise<void> {
    const old = file
    file = null
    await old?.close()
  }

  async function reopen(length: number): Promise<void> {
    await close()
    await mkdir(dirname(path), { recursive: true })
    const opened = await open(path, length === 0 ? 'w' : 'r+')
    const { size } = await opened.stat()
    if (size < length) {
      await opened.close()
      throw new Error(`has ${size} bytes of the ${length} that were delivered: put it back as it was`)
    }
    await opened.truncate(length)
    file = opened
    end = length
  }

  async function append(bytes: Uint8Array): Promise<void> {
    if (file === null) throw new Error('is not open')
    for (let at = 0; at < bytes.length;) {
      at += (await file.write(bytes, at, bytes.length - at, end + at)).bytesWritten
    }
    await file.datasync()
    end += bytes.length
  }

  /** What failed is not delivered: it is written again at the same place. */
  const tried = (work: Promise<void>): Promise<Outcome> => work.then(
    () => ({ is: 'done', cursor: { length: end } }),
    (error: unknown) => ({ is: 'later', message: `${path}: ${messageOf(error)}` }))

  return {
    name: 'jsonl',
    announce() {},
    status: () => true,
    rows: {
      can: { rowsMax: JSONL_BATCH_ROWS, bytesMax: JSONL_BATCH_BYTES, ageMs: OUTBOX_AGE_MS, amends: true },
      encode: ({ row }) => ({ data: Buffer.from(jsonLine(row)), values: 1 }),
      pack: (parts) => Buffer.concat(parts),
      open: (cursor) => tried(reopen(Number(cursor?.['length'] ?? 0))),
      write: (bytes) => tried(append(bytes)),
      end: () => tried(close()),
    },
  }
}
