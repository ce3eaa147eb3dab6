import { RankzeroError } from '../errors.ts'

/**
 * Bytes that fail their checksum or bounds. A frame is dropped and sent again; a stored batch is reported.
 */
export function damaged(what: string, found: string, cause?: unknown): RankzeroError {
  return new RankzeroError('DAMAGED', `${what} is damaged: ${found}`,
    'a frame is sent again by itself; for a file, check the disk and run `rankzero audit`', { cause })
}
