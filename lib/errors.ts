/**
 * Every error of rankzero: one table of codes with its exit status and whether trying again can help.
 * A message names the value and the place; `remedy` says what to do. Match on `code`, never on text.
 */
export const EXIT = {
  ok: 0,
  unbalanced: 1,
  usage: 2,
  noSuchRun: 3,
  pending: 4,
  collision: 75,
  notExecutable: 126,
  notFound: 127,
} as const

export const ERRORS = {
  USAGE: { exit: EXIT.usage, meaning: 'an option, argument or variable has a value that cannot be used' },
  CONFIG: {
    exit: EXIT.usage,
    meaning: 'a configuration file, the central one, or a key that they name cannot be used',
  },
  NO_SUCH_RUN: { exit: EXIT.noSuchRun, meaning: 'no run of that name below the directory' },
  UNBALANCED: { exit: EXIT.unbalanced, meaning: 'the books of a run do not balance' },
  PENDING: { exit: EXIT.pending, meaning: 'something could not be delivered and waits on disk' },
  COLLISION: { exit: EXIT.collision, meaning: 'the experiment key is held by another run' },
  NOT_EXECUTABLE: { exit: EXIT.notExecutable, meaning: 'COMMAND is there but cannot be executed' },
  NOT_FOUND: { exit: EXIT.notFound, meaning: 'COMMAND was not found' },
  LOCK_HELD: { exit: EXIT.collision, meaning: 'another live process holds this lock' },
  JOURNAL: { exit: 1, meaning: 'a journal could not be created, read or written' },
  DAMAGED: { exit: 1, meaning: 'a file or frame does not pass its checksum or bounds' },
  PROTOCOL: { exit: 1, meaning: 'the other side speaks another protocol version or broke its rules' },
  LEDGER: { exit: 1, meaning: 'the ledger could not be opened, read or written' },
  FENCED: { exit: 1, meaning: 'another process writes this run now, under a higher term' },
  TIMEOUT: { exit: 1, meaning: 'a bounded wait ended without what it waited for' },
  INTERNAL: { exit: 1, meaning: 'a state that the code holds impossible; please report it' },
} as const

export type ErrorCode = keyof typeof ERRORS

export class RankzeroError extends Error {
  readonly code: ErrorCode
  readonly remedy: string
  /** Facts for machines, e.g. the holder of a key. Never holds a secret. */
  readonly detail: Record<string, unknown>

  constructor(
    code: ErrorCode,
    message: string,
    remedy: string,
    options: { cause?: unknown; detail?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RankzeroError'
    this.code = code
    this.remedy = remedy
    this.detail = options.detail ?? {}
  }

  get exit(): number {
    return ERRORS[this.code].exit
  }
}

/** The text of anything thrown, for one log line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The errno name (`ENOSPC`) of a system error, or ''. */
export function errnoOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}
