/** The numbers of limits.ts for the way of rows and texts to backends. Same rules. */
const MiB = 1024 * 1024

/** A row waits this long (ms) for others to share its batch: what people see is seconds old at most. */
export const OUTBOX_AGE_MS = 1000
/** Opening, one send, or the end of a backend may take this long (ms); then it counts as hanging. */
export const OUTBOX_SEND_MS = 30_000
/** Pause (ms) after a failed send, doubling between the bounds, jittered. */
export const OUTBOX_RETRY_MS_MIN = 500
export const OUTBOX_RETRY_MS_MAX = 60_000
/** A server that asks for a longer pause (ms) is asked again after this: its clock or ours may be wrong. */
export const OUTBOX_RETRY_AFTER_MS_MAX = 3_600_000
/**
 * More than a backend can take is thinned when it has waited this long (ms), so that there is something to
 * choose from. What it can send in OUTBOX_LAG_MS, or in that part of the time in which it was logged, is not
 * too much: a burst is sent whole, a little later, and a backlog is made up for.
 */
export const OUTBOX_THIN_MS = 10_000
export const OUTBOX_LAG_MS = 20_000
export const OUTBOX_SPAN_PART = 0.8
/**
 * Of the points that a series may have, this part is sent as it comes. The rest is for what comes later, by
 * stretches of rows, so many for each e-fold of the series and for each point that it may have. Rows wait
 * their part of the age of their series, so that stretches are seldom cut: the age by so much of a point.
 */
export const SERIES_FREE = 4 / 15
export const SERIES_STRETCHES = 66 / 15_000
export const SERIES_LAG = 150
/** … or as soon as so much waits. */
export const OUTBOX_WINDOW_ROWS = 20_000
export const OUTBOX_WINDOW_BYTES = 16 * MiB
/** Closed rows that have changed are sent anew after this (ms): it costs a reading of the ledger … */
export const AMEND_AFTER_MS = 30_000
/** … or as soon as so many steps of metrics have changed: what is to be sent is kept in memory until then. */
export const AMEND_ROWS_MAX = 65_536
/** Rows that are built at once when one decision closes many. */
export const STREAM_ROWS = 1024
/**
 * System metrics of a node go to backends this often (s), or, of more nodes, so seldom that all of them
 * together cost the same; and by this part of the age of the run: 15,000 times in a year.
 */
export const SYSTEM_TOLD_S = 30
export const SYSTEM_TOLD_GROWTH = 1 / 2000
/** Reading rows for a backend gives way to others after this (ms): less than a group commit waits. */
export const OUTBOX_SLICE_MS = 5
/**
 * At the end of a run: when nothing was delivered for this long (ms), and no server or budget has asked for a
 * pause, what is left is for `sync`.
 */
export const OUTBOX_STALL_MS = 20_000
/**
 * … and so much (ms) before the exit time-out is over, or half of it, so that whoever waits sees the end: a
 * run lingers and seals before it delivers.
 */
export const OUTBOX_END_SPARE_MS = 3000
/** `sync` takes its time: a backlog of days may be sent for so long (ms), as long as anything moves. */
export const OUTBOX_SYNC_MS = 24 * 3_600_000
/** Of backend jsonl: some hundred KB per fsync. */
export const JSONL_BATCH_ROWS = 2048
export const JSONL_BATCH_BYTES = MiB
/** Of webhook: connecting, and an answer, may take this long (ms): less than OUTBOX_SEND_MS together. */
export const WEBHOOK_CONNECT_MS = 10_000
export const WEBHOOK_ANSWER_MS = 15_000
/** A receiver that refuses signature or path is asked again after this (ms): somebody may set it right. */
export const WEBHOOK_AGAIN_MS = 60_000
/** Largest event (bytes), and what of an answer is looked at: none of it is. */
export const WEBHOOK_BODY_BYTES_MAX = MiB
export const WEBHOOK_ANSWER_BYTES_MAX = 1024
/** The end tells so many failures and newest rows: what fits a message that people read. */
export const EVENT_FAILURES_MAX = 10
export const EVENT_METRICS_MAX = 50
/** Ranks that stand again and again are told of until a run has so many events: all are kept in memory. */
export const EVENTS_MAX = 1000
/** Of the calls of a backend, so many of the slowest are shown. */
export const SLOWEST_CALLS = 5
/** The request log of debug mode: bytes of a file, and files. A call has some 150 bytes: 200,000 of them. */
export const REQUEST_LOG_BYTES = 8 * MiB
export const REQUEST_LOG_FILES = 4
/** Of what a server says of a request (characters). */
export const CALL_FIELD_CHARS_MAX = 100
