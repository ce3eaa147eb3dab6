import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readPlain } from '../files.ts'
import { ERROR_FILE_BYTES_MAX } from '../limits.ts'
import type { Departure } from '../record/index.ts'

/**
 * What torchelastic has of a dead worker: its exception, if the trainer's main function is recorded, and the
 * directory of its output. It never throws and changes no status that is known.
 */
export function withErrorFile(departure: Departure, errorFile: string | undefined): Departure {
  if (errorFile === undefined) return departure
  const error = readError(errorFile)
  const dir = dirname(errorFile)
  const has = error !== null || ['stderr.log', 'stdout.log'].some((name) => existsSync(join(dir, name)))
  const cause = error !== null && departure.cause === 'unknown' ? 'error-file' : departure.cause
  return { ...departure, cause, ...(error === null ? {} : { error }), ...(has ? { log: dir } : {}) }
}

/** `{"message": {"message": "ValueError: bad", …}}`, or with the text alone. */
function readError(path: string): { type: string; message: string } | null {
  try {
    const { message } = JSON.parse(readPlain(path, ERROR_FILE_BYTES_MAX).toString()) as { message?: unknown }
    const text = typeof message === 'string' ? message : (message as { message?: unknown } | null)?.message
    if (typeof text !== 'string') return null
    const match = /^([A-Za-z_][\w.]*)(?:: ([\s\S]*))?$/.exec(text)
    return match === null ? { type: 'Error', message: text } : { type: match[1]!, message: match[2] ?? '' }
  } catch {
    return null
  }
}
