/** The numbers of limits.ts for backend comet. Same rules. Those of its server are the vendor's word. */
const KiB = 1024
const MiB = 1024 * KiB
const MINUTE = 60_000

/** Defaults of the settings cometCalls …: what the vendor allows one API key, and one user. */
export const COMET_CALLS = { max: 15_000, windowMs: 60 * MINUTE }
export const COMET_METRICS = { max: 12_000, windowMs: MINUTE }
export const COMET_PARAMETERS = { max: 10_000, windowMs: MINUTE }
export const COMET_OUTPUT = { max: 12_000, windowMs: MINUTE }
export const COMET_OTHER = { max: 8_000, windowMs: MINUTE }
/** Part of a limit that may be spent at once; the rest comes evenly. A burst of a job that starts fits. */
export const BUDGET_BURST = 0.25
/** The last window is shown in so many slices: what is said of it is off by one of them. */
export const BUDGET_SLICES = 20
/** Calls that rows and texts leave to signs of life and the end. */
export const COMET_SPARE_CALLS = 2

/** Values of one batch, as the vendor's SDK sends them. */
export const COMET_METRICS_BATCH = 1000
export const COMET_OUTPUT_BATCH = 500
export const COMET_PARAMETERS_BATCH = 1000
/** Of one batch before it is compressed: 1000 values of long names. */
export const COMET_BATCH_BYTES = MiB
/** The page of an experiment is one string of one call. */
export const COMET_PAGE_BYTES_MAX = 16 * MiB
/** A value waits this long (ms) for others to share its call: seen within 2 s, with the call. */
export const COMET_AGE_MS = 1500
/** Longer names and texts are shortened (characters), as the SDK does. */
export const COMET_NAME_CHARS_MAX = 100
export const COMET_TEXT_CHARS_MAX = 1000
/** Runs that are named to have been in an experiment before: what fits one text. */
export const COMET_EARLIER_RUNS_MAX = 30
/** What is kept of a server's own words (characters). */
export const COMET_MESSAGE_CHARS_MAX = 300
/** Answers of these calls have some hundred bytes; more is read and forgotten. */
export const COMET_ANSWER_BYTES_MAX = MiB
/** Connecting, and an answer, may take this long (ms): less than OUTBOX_SEND_MS together. */
export const COMET_CONNECT_MS = 10_000
export const COMET_ANSWER_MS = 15_000
/** A call as a whole (ms), through proxies that wait and answers by drops; less than OUTBOX_SEND_MS. */
export const COMET_CALL_MS = 25_000
/**
 * What is written of an upload may still be in buffers of the kernel: so many bytes at most (Linux: 4 MiB,
 * and some of ours), which go out by so many each ms at least (0.5 Mbit/s).
 */
export const [COMET_UNSENT_BYTES_MAX, COMET_RATE_MIN] = [6 * MiB, 64] as const
/** Calls that did not go well are remembered until they do, or until there are so many of them. */
export const COMET_FAILING_MAX = 32
/** A server whose clock is further from ours (ms) is told of: its header has whole seconds. */
export const COMET_SKEW_MS = 5000
/** `doctor` waits so long (ms) for all that it asks a server. */
export const COMET_CHECK_MS = 20_000
/** Whose certificate nobody here trusts is looked at for so long (ms), and again only after this (ms). */
export const COMET_ISSUER_MS = 5000
export const COMET_ISSUER_AGAIN_MS = 5 * MINUTE
/** After a 429 that names no time (ms), as the vendor's client waits. */
export const COMET_THROTTLED_MS = MINUTE
/** A key that the server refuses is tried again after this (ms): somebody may renew it. */
export const COMET_AUTH_RETRY_MS = MINUTE
/** Interval of the signs of life (ms) until the server names one, and within which it may. */
export const COMET_BEAT_MS = 10_000
export const COMET_BEAT_MS_MIN = 1000
export const COMET_BEAT_MS_MAX = 60_000
/** The experiment looks at its clock this often (ms). */
export const COMET_TICK_MS = 250
/** Parameters, others and tags that are new are told this often (ms) at most. */
export const COMET_TELL_MS = 2000
/** The end of a run that leaves something behind waits so long (ms) to say at least that it is over. */
export const COMET_LEAVE_MS = 3000
/** Lines of an archive are written in pieces of so many characters. */
export const COMET_ARCHIVE_CHARS = 64 * KiB
/** Points that Comet keeps of one series, and the most bytes that it answers with when asked for them. */
export const COMET_SERIES_POINTS = 15_000
export const COMET_SERIES_BYTES_MAX = 16 * MiB
/** `sync` reads so many series back, each again for so long (ms) as it lacks something: reads lag behind. */
export const COMET_VERIFY_SERIES = 100
export const COMET_VERIFY_MS = 20_000
export const COMET_VERIFY_PAUSE_MS = 1000
/** A trainer that asks for the key waits so long (ms) for the head to be known. */
export const COMET_KEY_WAIT_MS = 5000
/** An experiment that another run is in is looked at again after this (ms): that run may end. */
export const COMET_HELD_RETRY_MS = 15_000
