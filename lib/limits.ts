/**
 * Every number of rankzero that is not a format offset: one home, its unit in the name or the comment, its
 * reason. Format offsets live beside their format (journal/format.ts, wire/*).
 */
const KiB = 1024
const MiB = 1024 * KiB

// --- journal ---------------------------------------------------------------------------------------------
/** Ring of one instance: ~0.1 s of the fastest trainer, hours of a normal one. */
export const RING_BYTES = 4 * MiB
/** One segment file; deleted as a whole when acknowledged or spooled. */
export const SEGMENT_BYTES = 4 * MiB
/** Outstanding segment bytes of one instance, after which loss is counted (RANKZERO_OVERFLOW_CAP). */
export const OVERFLOW_CAP_BYTES = 256 * MiB
/** No directory takes a segment (disk full): the next attempt after this (ms); until then calls are lost. */
export const SEGMENT_RETRY_MS = 1000
/** No directory takes a journal: a logger tries again after this (ms), which starts a process per disk. */
export const LATE_RETRY_MS = 2000
/** Parameters, texts and definitions that wait for such a journal (bytes); text may take half of it. */
export const LATE_BYTES_MAX = MiB
/**
 * A record that its writer has counted but that does not check is damaged if it stays so for this long (ms).
 */
export const HOLE_CONFIRM_MS = 50
/** Shared memory is used only if this much is free, or SHM_FACTOR times what all local ranks need. */
export const SHM_FREE_BYTES_MIN = 1024 * MiB
export const SHM_FACTOR = 16
/** Largest record; a longer payload is cut (text) or refused. A quarter of the ring: one always fits. */
export const RECORD_BYTES_MAX = MiB
/** Text over this is cut and marked (DESIGN 13). */
export const TEXT_BYTES_MAX = MiB - 4 * KiB
/** Metric names, in code points (DESIGN 13). */
export const NAME_CODEPOINTS_MAX = 1024
/** Names in one layout: a record of 8 bytes each must stay below RECORD_BYTES_MAX. */
export const LAYOUT_NAMES_MAX = 65_536
/** Interned layouts of one instance; a log call that would need more is split into layouts of one name. */
export const LAYOUTS_MAX = 65_536
/** Distinct metric names of one instance; values under further names are refused and counted. */
export const NAMES_MAX = 1_000_000
export const STEP_MAX = Number.MAX_SAFE_INTEGER
/** Nested log() calls (signal handlers) kept while an outer call writes. */
export const REENTRANT_MAX = 1024

// --- logger ----------------------------------------------------------------------------------------------
/** The logger's one timer (ms): looks at the agent's beat, writes counted losses. */
export const LOGGER_TICK_MS = 1000
/** A beat older than this (ms) starts an agent; 5 ticks, so that a busy node is no false alarm. */
export const BEAT_STALE_MS = 5000
/**
 * While no agent shows itself, the pauses between starts double up to this (ms): on a disk that hangs each
 * one stays, and more of them do not help.
 */
export const AGENT_START_PAUSE_MS_MAX = 60_000
/** Without a supervisor, other local ranks leave it this long (ms) to local rank 0 to start the agent. */
export const AGENT_PATIENCE_MS = 1500
/** Default of --exit-timeout (ms): how long an unsupervised exit waits for its ack. */
export const EXIT_TIMEOUT_MS = 10_000
/** The shell that starts an agent leaves at once; one that hangs delays Python's end by this (ms) at most. */
export const SHELL_MS = 5000
/** How often a synchronous exit hook looks for the ack (ms). */
export const EXIT_POLL_MS = 5

/** log() is called so often at init(), for so long (ms) at most: V8 optimizes it after some 1,500 calls. */
export const [WARM_UP_CALLS, WARM_UP_MS_MAX] = [2048, 25] as const

// --- daemons ---------------------------------------------------------------------------------------------
/**
 * Environment in which agent and aggregator start. V8's young space grows to 48 MB before it is tidied, and
 * malloc keeps what it once had: over an hour of bursts both looked like a leak (64 to 93 MB).
 */
export const DAEMON_MEMORY = 'NODE_OPTIONS=--max-semi-space-size=4 MALLOC_ARENA_MAX=2'
  + ' MALLOC_TRIM_THRESHOLD_=131072 MALLOC_MMAP_THRESHOLD_=131072'

// --- agent -----------------------------------------------------------------------------------------------
/**
 * The agent reads its journals this often (ms) and sends all that it finds, so this is the age of a batch
 * (DESIGN 6: 50-250 ms; with the commit not more than DESIGN 1 lets a node's power take). Waking up is most
 * of its CPU.
 */
export const DRAIN_INTERVAL_MS = 240
/** … in jobs so large that their head would hear more than HEAD_BATCHES_PER_S, up to this (ms). */
export const DRAIN_INTERVAL_MS_MAX = 1000
/** A batch costs the head some 90 us whatever is in it (bench/fit.js): so many are two fifths of a core. */
export const HEAD_BATCHES_PER_S = 4096
/**
 * … and this often (ms) while much comes (a ring is full in 50 ms), or an owner leaves (a run's end waits for
 * it).
 */
export const DRAIN_BUSY_MS = 20
/** While much comes, a round is due when this much may be there: far from a full ring, and few rounds. */
export const DRAIN_ROUND_BYTES = 256 * KiB
/** Journals are looked at for damage, and for filling up, this often (ms): each look is system calls. */
export const JOURNAL_CHECK_MS = 500
/** A batch is cut when it may have this many bytes (DESIGN 6: 32-128 KiB). */
export const BATCH_BYTES = 96 * KiB
/** Directory scan for new journals (ms). */
export const SCAN_INTERVAL_MS = 250
/** Beat from agent to aggregator and into each journal header (ms). */
export const BEAT_INTERVAL_MS = 500
/** No frame from the aggregator for this long (ms): close the socket, connect anew. */
export const PEER_SILENT_MS = 5000
/** Unacknowledged for this long (ms) while journals fill: spool to disk. */
export const SPOOL_AFTER_MS = 1000
/** Disk spool of one agent (RANKZERO_SPOOL_CAP). */
export const SPOOL_CAP_BYTES = 1024 * MiB
export const SPOOL_FILE_BYTES = 4 * MiB
/** Journals delivered and owners gone for this long (ms): the agent leaves (DESIGN 3: ≤ 2 s). */
export const AGENT_LINGER_MS = 750
/** A connection that does not stand after this (ms) is given up: the next address gets its turn. */
export const CONNECT_MS = 3000
/** How often the signposts of a job are asked for the head, and told where it is (ms). */
export const SIGNPOST_INTERVAL_MS = 1000
export const ANNOUNCE_INTERVAL_MS = 2000
/** What a signpost was told counts this long (ms): five announcements. */
export const SIGNPOST_FRESH_MS = 10_000
/** Names are looked up again after this (ms): a pod's name appears late, and a lookup may block a while. */
export const NAME_FRESH_MS = 10_000
/**
 * Before an agent starts a head in a job of several nodes, it looks this long (ms) for one elsewhere: two
 * heads cannot be made one again.
 */
export const HEAD_SEARCH_MS = 6000
/**
 * A head on another node that is silent this long (ms), and whose lock in the shared run directory is free,
 * is followed by one here: longer than its own node needs to notice (PEER_SILENT_MS) and to start it again.
 */
export const ADOPT_AFTER_MS = 15_000
/** … later by up to this (ms), since all nodes notice at once and one is enough. */
export const ADOPT_SPREAD_MS = 3000
/** That lock is looked at this often (ms): on a network file system each look is a round trip. */
export const FENCE_LOOK_MS = 1000
/**
 * Before an instance is announced, a far head's clock is asked for until a round trip takes this long (ms) at
 * most, as a restarted rank needs longer to come back; for so long (ms) at most, and after such a pause (ms).
 */
export const CLOCK_TRIP_MS = 100
/** How far (ms) the clock of a node that no head has heard may be off: more than any that is kept in step. */
export const CLOCK_UNKNOWN_MS = 86_400_000
export const [CLOCK_ASK_MS, CLOCK_ASK_PAUSE_MS] = [2000, 200] as const
/** Questions for the clock that have no answer yet: beats of 16 s, three times PEER_SILENT_MS. */
export const TRIPS_MAX = 32
/** Names that are asked, and addresses of each: more come from a mistake only. */
export const CANDIDATES_MAX = 8
export const ADDRESSES_MAX = 8
/** Reconnect backoff (ms), randomised between the bounds. */
export const RECONNECT_MS_MIN = 50
export const RECONNECT_MS_MAX = 2000
/** An agent that finds no aggregator starts one after this (ms), then with doubling pauses. */
export const HEAD_START_AFTER_MS = 200
export const HEAD_START_PAUSE_MS_MAX = 30_000
/** Connected, something in flight, and no acknowledgement for this long (ms): connect anew and resume. */
export const ACK_STALL_MS = 10_000
/** A repeated acknowledgement rewinds at most this often (ms), so that one gap does not resend in a loop. */
export const REWIND_PAUSE_MS = 500
/** After a refusal the agent asks again this often (ms): another head may hold the meeting by then. */
export const REFUSED_RETRY_MS = 10_000
/** Unacknowledged bytes of one agent, below any credit: 8 ms of round trip at 250 MB/s; bounds memory. */
export const FLIGHT_BYTES_MAX = 2 * MiB
/**
 * After an owner's death the kernel may need this long (ms) until its parent has reaped it and the status is
 * known; half a second was too short on a machine with eight processes a core.
 */
export const DEATH_INFO_WAIT_MS = 2000
/** A head that lives but takes nothing (stopped, a slow disk) gets this long (ms) after the last owner. */
export const HEAD_PATIENCE_MS = 60_000
/** torchelastic's error.json holds one exception with its stack; a larger file (bytes) is not read. */
export const ERROR_FILE_BYTES_MAX = 4 * MiB
/** Largest endpoint, holder or status file that is read (bytes): a picture of 65,536 ranks. */
export const JSON_FILE_BYTES_MAX = 64 * MiB
/** Bytes that one spool pass of one instance writes before its fsync. */
export const SPOOL_PASS_BYTES = 4 * MiB

/** Default of the setting systemMetrics (ms), and the least: steps are whole seconds. */
export const SYSTEM_INTERVAL_MS = 10_000
export const SYSTEM_INTERVAL_MS_MIN = 1000
/** Samples of a node that wait for the head: a record per worker and GPU, hours of them. */
export const SYSTEM_RECORDS_MAX = 8192
/** Processes of one worker that a sample looks at: data loaders, some dozen; each look costs 40 µs. */
export const SYSTEM_PROCESSES_MAX = 64
/** The node is named by its local rank 0, which may come this much later (ms) than the first of its ranks. */
export const SYSTEM_WAIT_MS = 2000
/** `nvidia-smi` answers within a second, or in some seconds when it has to load the driver. */
export const GPU_QUERY_MS = 8000

// --- wire ------------------------------------------------------------------------------------------------
/** Largest frame; a bigger one disconnects the peer (ZMQ_MAXMSGSIZE). */
export const FRAME_BYTES_MAX = 8 * MiB
/** Bytes one agent may have in flight before the aggregator acknowledged them. */
export const CREDIT_BYTES = 8 * MiB
/** Socket queues, in messages: small, because what is not sent stays in the journal. */
export const SOCKET_HWM = 64
/** Queue of a socket's one writer loop, in messages: for control frames, e.g. the ENDs of a whole node. */
export const WRITER_QUEUE_MAX = 4096
/** Frames of one message at most: those of a round of a node with many ranks. */
export const MESSAGE_FRAMES_MAX = 64
/** ZMTP heartbeat (ms), and a silent connection's life (ms): they see dead connections, no hung program. */
export const HEARTBEAT_MS = 1000
export const HEARTBEAT_TIMEOUT_MS = 4000
/** A peer that has not shaken hands after this (ms) is closed: a stranger may not hold a place for long. */
export const HANDSHAKE_MS = 3000
/** Pending connections at bind; the kernel's somaxconn may cap it. */
export const LISTEN_BACKLOG = 1024
/**
 * Metric names of one instance that a HELLO tells again, since another ledger may not know them: the points
 * of further names cannot be named there, and are counted as rejected.
 */
export const HELLO_NAMES_MAX = 4096
/** File descriptors that must be free at bind: at the limit libzmq spins and says nothing. */
export const FDS_FREE_MIN = 256
/** Levels of msgpack in a control frame; the deepest one (HELLO: map, instances, instance, origin) has 4. */
export const WIRE_DEPTH_MAX = 8
/**
 * Records in one batch: 27 times what BATCH_BYTES of the smallest records hold, so only a forged batch has
 * more.
 */
export const BATCH_RECORDS_MAX = 65_536
/**
 * Points in one batch: at 8 bytes each it still fits a frame, and a forged batch of constants decodes to 4
 * MiB.
 */
export const BATCH_POINTS_MAX = 524_288

// --- ledger ----------------------------------------------------------------------------------------------
/** A statement on the ledger waits this long (ms) for another process: longer than any checkpoint. */
export const LEDGER_BUSY_MS = 2000
/** Entries read per step, 6 MiB of usual batches: a replay holds no more than this. */
export const LEDGER_READ_ENTRIES = 64
/** Damaged entries of a ledger that are named, in an audit that a person reads; the rest is counted. */
export const DAMAGES_MAX = 10
/** The winner of a lock waits this long (ms) for candidates that still read it. */
export const LOCK_COMMIT_MS = 2000
/** Looks at a held lock before it counts as held, with a random pause up to this (ms) between. */
export const LOCK_TRIES = 3
export const LOCK_TRY_PAUSE_MS = 4

// --- aggregator ------------------------------------------------------------------------------------------
/** Group commit (ms): one fsync for all frames that came in this window. */
export const COMMIT_INTERVAL_MS = 8
/** … after a commit of this many entries so late that waiting for the disk is this part of the time … */
export const COMMIT_MANY = 32
export const COMMIT_PART = 0.1
/** … or after this (ms). */
export const COMMIT_INTERVAL_MS_MAX = 100
/** … or as soon as this much is waiting. */
export const COMMIT_BYTES = 4 * MiB
/** A commit that failed (disk full) is tried again after this (ms). */
export const COMMIT_RETRY_MS = 500
/** DESIGN 7. */
export const SEAL_AFTER_MS = 10_000
export const SEAL_BACKLOG_MS = 60_000
export const JOIN_TIMEOUT_MS = 30_000
/** Ranks of one run: ten times the largest jobs there are; a forged number must not fill memory. */
export const WORLD_SIZE_MAX = 2 ** 20
/** Memory of open rows; above it the oldest rows seal partial. */
export const OPEN_ROWS_BYTES_MAX = 256 * MiB
/** Steps in a seal note: twice what fits OPEN_ROWS_BYTES_MAX at 200 bytes each; a damaged one claims more. */
export const SEAL_STEPS_MAX = OPEN_ROWS_BYTES_MAX / 100
/**
 * Large blocks kept for the next row (bytes): some seconds' worth at 4,096 ranks; more goes back to the heap.
 */
export const SPARE_BLOCK_BYTES_MAX = 64 * MiB
/**
 * A life still seen alive this long (ms) after another of its rank began is its rival: above beat and clock
 * skew.
 */
export const RANK_OVERLAP_MS = 2000
/** A life not heard of for this long (ms) is followed by the next of its rank: ten beats. */
export const HEIR_AFTER_MS = 5000
/**
 * When all others have ended, a rank whose node was not heard of for this long (ms) is waited for no more:
 * its agent gave up after HEAD_PATIENCE_MS, or is gone; `sync` on that node delivers the rest.
 */
export const MEMBER_SILENT_MS = 600_000
/**
 * Who takes a run over from another node, or for `sync`, closes the members that nobody speaks for after this
 * (ms): an agent that lives says HELLO within 12 s (PEER_SILENT_MS + CONNECT_MS + RECONNECT_MS_MAX +
 * CLOCK_ASK_MS).
 */
export const NODE_LOST_MS = 15_000
/** Records that an export holds in memory at once; above it the ledger is read several times. */
export const EXPORT_BYTES_MAX = 256 * MiB
/**
 * Health: steps per rank that pace and lateness are judged by, and how many it takes to judge: enough for a
 * median, few enough that a change shows within seconds.
 */
export const PACE_STEPS = 16
export const PACE_MIN = 8
/** Health is looked at this often (ms): at 4,096 ranks a look costs some 20 ms. */
export const HEALTH_INTERVAL_MS = 1000
/** A rank is a straggler when its own part of a step takes this many times as long as that of the others. */
export const STRAGGLER_RATIO = 1.5
/** … and it is this far behind (ms): twice the time that records may be on their way. */
export const STRAGGLER_BEHIND_MS = 500
/** … or it logs each step this much later (ms): clocks of two nodes differ by about a millisecond. */
export const LATE_MS_MIN = 5
/** … after this many steps in which no rank got ahead: ranks that run freely have drifted apart by then. */
export const LOCKSTEP_MIN = 50
/** A rank has stopped after this long without a record (ms), and this many times its usual pause. */
export const HANG_AFTER_MS = 10_000
export const HANG_FACTOR = 10
/** All ranks silent at one step count as a hang after this (ms): most evaluations are shorter. */
export const HANG_ALL_AFTER_MS = 60_000
/**
 * Failures seen within this time (ms) of each other may have happened in another order: agents look every 250
 * ms, and launchers stop the others at once.
 */
export const FAILURES_TOGETHER_MS = 1000
/** Runs that an aggregator looks at before it begins one: as many as may end while it starts. */
export const LATE_RUNS_MAX = 32
/** Seals and ends are decided when something came, but not more often than this (ms) … */
export const TICK_REST_MS = 100
/** … and this often (ms) when nothing comes. Each wake takes a core from ranks that run in step. */
export const TICK_IDLE_MS = 250
/** status.json is replaced at most this often (ms). */
export const SNAPSHOT_INTERVAL_MS = 500
/** … and painting it takes at most this part of the head's time: with 4,096 ranks it takes 0.1 s. */
export const SNAPSHOT_PART_MAX = 0.04
/** Metrics shown in status.json; the rest is counted. */
export const SNAPSHOT_METRICS_MAX = 200
/** All instances ended and nobody new for this long (ms): an unsupervised run drains. */
export const RUN_LINGER_MS = 750

// --- lock ------------------------------------------------------------------------------------------------
/** The holder of a key rewrites its particulars this often (ms). */
export const HOLDER_BEAT_MS = 1000
/**
 * A key without an end mark may be taken after this (ms) without a beat: sooner by what the clock of the
 * taker's node is ahead of the holder's.
 */
export const KEY_FREE_MS = 10_000
export const LOCK_POLL_MS = 250

// --- launch ----------------------------------------------------------------------------------------------
/**
 * SIGTERM to SIGKILL for the other workers of a failed one (ms), as torchrun's own grace is longer but ours
 * is ours.
 */
export const STOP_GRACE_MS = 10_000
/** The supervisor looks at its daemons this often (ms). */
export const WATCH_INTERVAL_MS = 500
/** srun ends its step at the second Ctrl-C within this time (ms). */
export const SRUN_SURE_MS = 1000
/** An srun that was interrupted and leaves within this time (ms) was told twice, whatever we heard of it. */
export const SRUN_END_MS = 5000
/** A signal to our process group has reached the others of it after this (ms), also on a busy machine. */
export const CANARY_MS = 150
/** A task that its launcher stops waits no longer (ms) for delivery: Open MPI kills 2 s after its notice. */
export const STOPPED_WAIT_MS = 1500
/** Slurm must answer within this (ms) when its step is to be told to stop; else srun is. */
export const SLURM_ANSWER_MS = 5000
/** A disk must answer within this (ms): a slow network disk takes a second at times, a dead one for ever. */
export const DISK_ANSWER_MS = 5000
/** `rankzero run` asks the resolver for the head's name this long (ms) at most, before COMMAND starts. */
export const HOST_LOOKUP_MS = 2000
/** A meeting that nobody serves for this long (ms) is free: an elected aggregator tells sooner. */
export const MEETING_GONE_MS = 1500
/** A guest's supervisor asks its journal for the name of the run this often (ms). */
export const RUN_NAME_POLL_MS = 100
/** A daemon must report ready within this (ms); cold disks load Node slowly. */
export const DAEMON_READY_MS = 20_000
/** The supervisor's own journal: a few events per worker, never values. */
export const SUPERVISOR_RING_BYTES = 256 * KiB
/** While it waits for the end, the supervisor looks at status.json this often (ms). */
export const END_POLL_MS = 20
/** … and gives its last look this long (ms), also without an exit timeout: a process must start for it. */
export const END_LOOK_MS = 500
/**
 * `sync` takes over a run whose aggregator is on another host when its picture has not changed for this long
 * (ms): at work it paints every second. Should it live all the same, the lock in the run directory holds.
 */
export const FOREIGN_HEAD_MS = 5000
/** A wait longer than this (ms) shows progress on a terminal. */
export const PROGRESS_AFTER_MS = 1000
/** `status --watch` (ms): twice the rate at which its picture is replaced, so that no picture waits long. */
export const STATUS_REDRAW_MS = SNAPSHOT_INTERVAL_MS / 2
/** `doctor` asks programs for their versions, all at once, for so long (ms); a cold Python takes seconds. */
export const PROGRAM_ANSWER_MS = 10_000
/**
 * `sync` gives up when nothing moved for this long (ms): more than a resumed run waits for ranks that never
 * come.
 */
export const SYNC_STALL_MS = JOIN_TIMEOUT_MS + EXIT_TIMEOUT_MS

// Relations that the code relies on.
if (BATCH_BYTES * 4 > CREDIT_BYTES || RECORD_BYTES_MAX * 2 > FRAME_BYTES_MAX ||
    RECORD_BYTES_MAX * 4 > RING_BYTES) {
  throw new Error('limits.ts: a batch must fit its credit, a record its frame and its ring')
}
