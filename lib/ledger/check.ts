/**
 * Ledger, the check of an entry: SQLite's pages have none. Pure.
 *
 * In: the columns of an entry and the id of its ledger. Out: 32 bits that all of it follows into.
 * A batch ends with the crc of its own bytes (wire), so its last bytes stand for all of them here. With the
 * id, an entry of another ledger does not pass, whichever way it came into the file.
 */
import { crc32 } from '../record/crc32.ts'

const utf8 = new TextEncoder()
/** Of the blob, as wire/batch-format.ts ends it. */
const TAIL_BYTES = 4

export type Check = (columns: string, data?: Uint8Array) => number

export function checkOf(ledger: string): Check {
  const seed = crc32(utf8.encode(ledger))
  return (columns, data) => {
    const check = crc32(utf8.encode(columns), seed)
    return data === undefined ? check : crc32(data, check, Math.max(0, data.length - TAIL_BYTES))
  }
}
