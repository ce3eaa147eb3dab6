/**
 * The request log of debug mode: `requests.log` of the run directory, for its owner only, with a bound on its
 * size; `requests.log.1` is the file before. Never throws: a log that cannot be written must not stop what it
 * tells of.
 */
import { appendFileSync, renameSync, statSync } from 'node:fs'
import { REQUEST_LOG_BYTES, REQUEST_LOG_FILES } from '../limits-outbox.ts'

export type RequestLog = (line: string) => void

export const openRequestLog = (path: string): RequestLog => (line) => {
  const text = `${line}\n`
  try {
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
    if (size > 0 && size + text.length > REQUEST_LOG_BYTES) turn(path)
    appendFileSync(path, text, { mode: 0o600 })
  } catch {
    // A full disk, or a run directory that is gone.
  }
}

/** The oldest goes. */
function turn(path: string): void {
  const name = (n: number): string => n === 0 ? path : `${path}.${n}`
  for (let n = REQUEST_LOG_FILES - 2; n >= 0; n--) {
    if (statSync(name(n), { throwIfNoEntry: false }) !== undefined) renameSync(name(n), name(n + 1))
  }
}
