/** The numbers of limits.ts for what people see: the console, doctor, export. Same rules. */
const KiB = 1024
const MiB = 1024 * KiB

/** A line waits this long (ms) for other ranks to say the same: below what a person takes for a delay. */
export const CONSOLE_HOLD_MS = 250
/** Lines that wait at once, and their characters: more are shown without waiting. */
export const CONSOLE_HELD_LINES_MAX = 4000
export const CONSOLE_HELD_CHARS_MAX = MiB
/** A longer line is shown cut, with the number of characters that are left out. */
export const CONSOLE_LINE_CHARS_MAX = 16 * KiB
/** A row that progress bars may come back to is final after this (ms): they go down and up at once. */
export const CONSOLE_SETTLE_MS = 100
/** Rows that a cursor may come back to: more bars than a screen has lines. */
export const CONSOLE_ROWS_MAX = 64
/** While lines wait, the console looks at its clock this often (ms). */
export const CONSOLE_TICK_MS = 50
/** A terminal's line of progress is drawn anew at most this often (ms). */
export const CONSOLE_REDRAW_MS = 200
/** A line without its end is shown on a terminal after this (ms): a prompt, a slow print. */
export const CONSOLE_PARTIAL_MS = 500
/** Bytes that wait for one reader (terminal, pipe, file) before the workers' pipes are left unread. */
export const CONSOLE_QUEUE_BYTES = MiB
/** … for at most this long (ms): a reader that stands still must not stop training. */
export const CONSOLE_STALL_MS = 2000
/** … or this many times as long, for a file that still takes something: it is to have all that was said. */
export const CONSOLE_FILE_STALLS = 5
/** A full terminal or pipe is tried again after this (ms), doubling between the bounds. */
export const CONSOLE_RETRY_MS_MIN = 1
export const CONSOLE_RETRY_MS_MAX = 20
/** After the last worker: the pipes are read until they close, or nothing came for this long (ms) … */
export const CONSOLE_QUIET_MS = 100
/** … or at most this long (ms), since processes that workers left behind may keep writing. */
export const CONSOLE_DRAIN_MS = 2000
/** `console` collapses texts that ranks said within this time (ms), by their corrected clocks. */
export const CONSOLE_TEXT_WINDOW_MS = 10_000
/** `console --follow`: looks for more this often (ms); text this young (ms) may not have come in order. */
export const CONSOLE_POLL_MS = 250
export const CONSOLE_FOLLOW_LAG_MS = 1000
/** … and a line waits this long (ms) for other ranks, whose agents bring it in rounds. */
export const CONSOLE_FOLLOW_HOLD_MS = 1000
/** Texts that `console` sorts in memory (characters); of a longer run, the older half goes out first. */
export const CONSOLE_SORT_CHARS_MAX = 16 * MiB

/** `doctor` warns below this many open files: three per agent, a few hundred agents. */
export const OPEN_FILES_MIN = 1024
/** … and below this many processes and threads of the user: one trainer has hundreds. */
export const PROCESSES_MIN = 4096
/** `doctor` warns when the head's clock is this far from ours (ms): points of two nodes seem out of order. */
export const CLOCK_OFFSET_MS_MAX = 1000
/** `export` writes in chunks of this many characters: few system calls, little memory. */
export const EXPORT_CHUNK_CHARS = 64 * KiB
