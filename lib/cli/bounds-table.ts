/**
 * BOUNDS.md: every path on which somebody waits for us, and for how long at most. The seconds are computed
 * from lib/limits.ts, so that the document cannot say another number than the code.
 */
import {
  COMET_CALL_MS, COMET_CHECK_MS, COMET_ISSUER_MS, COMET_RATE_MIN, COMET_UNSENT_BYTES_MAX,
} from '../limits-comet.ts'
import { CONFIG_FETCH_MS, KEY_COMMAND_MS } from '../limits-config.ts'
import { CONSOLE_DRAIN_MS, CONSOLE_STALL_MS } from '../limits-console.ts'
import {
  AGENT_LINGER_MS, BEAT_STALE_MS, CANARY_MS, CONNECT_MS, DAEMON_READY_MS, DISK_ANSWER_MS,
  DRAIN_INTERVAL_MS, END_LOOK_MS, EXIT_TIMEOUT_MS, FOREIGN_HEAD_MS, GPU_QUERY_MS, HANDSHAKE_MS,
  HEAD_PATIENCE_MS, HEAD_SEARCH_MS, HOST_LOOKUP_MS, JOIN_TIMEOUT_MS, KEY_FREE_MS, LEDGER_BUSY_MS,
  LOCK_COMMIT_MS, LOCK_POLL_MS, LOCK_TRIES, LOCK_TRY_PAUSE_MS, MEETING_GONE_MS, MEMBER_SILENT_MS,
  PEER_SILENT_MS, PROGRAM_ANSWER_MS, RUN_LINGER_MS, SHELL_MS, SLURM_ANSWER_MS, STOPPED_WAIT_MS,
  STOP_GRACE_MS, SYNC_STALL_MS, WATCH_INTERVAL_MS,
} from '../limits.ts'

/** How long (ms), of what it is made, what is left when it is hit, and the test that holds it. */
export interface Bound {
  path: string
  ms: number
  made: string
  left: string
  test: string
}

type Row = readonly [path: string, ms: number, made: string, left: string, test: string]
interface Part { title: string; rows: readonly Row[] }

const DISK = 'test/bounds/disk.test.ts'
const HEAD = 'test/bounds/head.test.ts'
const NET = 'test/bounds/network.test.ts'
/** Journals in RANKZERO_SHM_DIR, the run directory and HOME are asked for in turn. */
const PLACES = 3

const START: Part = {
  title: '`rankzero run`, before COMMAND starts',
  rows: [
    ['a disk that holds `--resume` RUN or the secret', DISK_ANSWER_MS, 'DISK_ANSWER_MS',
      'exit 1 (`TIMEOUT`), COMMAND is not started', DISK],
    ['files of configuration: what RANKZERO_CONFIG and COMET_CONFIG name', DISK_ANSWER_MS, 'DISK_ANSWER_MS',
      'exit 1 (`TIMEOUT`), COMMAND is not started', DISK],
    ['… those in HOME', DISK_ANSWER_MS, 'DISK_ANSWER_MS', 'they do not count, which is said', DISK],
    ['the central configuration', CONFIG_FETCH_MS, 'CONFIG_FETCH_MS',
      'the copy is used, which is said; without one exit 2', 'test/config/config.test.ts'],
    ['which run RANKZERO_RUN names', DISK_ANSWER_MS, 'DISK_ANSWER_MS', 'it counts as a live one', DISK],
    ['the name of the head (MASTER_ADDR, RANKZERO_HEAD)', HOST_LOOKUP_MS, 'HOST_LOOKUP_MS',
      'the head is taken to be elsewhere', NET],
    ['the aggregator: election, run directory, ledger, key', DAEMON_READY_MS, 'DAEMON_READY_MS',
      'COMMAND runs, its data waits on this node', HEAD],
    ['… a run of our meeting that another supervisor of this host opens', DAEMON_READY_MS + MEETING_GONE_MS,
      'DAEMON_READY_MS + MEETING_GONE_MS', 'COMMAND runs as a guest without a known run', HEAD],
    ['… a key that another run holds, `--on-collision fail`', DAEMON_READY_MS, 'DAEMON_READY_MS',
      'exit 75, COMMAND is not started', 'test/scenario/collisions.test.ts'],
    ['… a key that nobody holds, without an end mark', KEY_FREE_MS + LOCK_POLL_MS,
      'KEY_FREE_MS + LOCK_POLL_MS', 'the key is taken', 'test/lock/key.test.ts'],
    ['our own journal', PLACES * DISK_ANSWER_MS, '3 × DISK_ANSWER_MS',
      'exit statuses are not recorded, which is said', DISK],
    ['the directory of the console (`--nproc`)', DISK_ANSWER_MS, 'DISK_ANSWER_MS',
      'output is shown and not kept, which is said', DISK],
  ],
}

const DURING: Part = {
  title: '`rankzero run`, while COMMAND runs',
  rows: [
    ['a signal, until it is sent on', CANARY_MS, 'CANARY_MS', 'it is sent', 'test/launch/supervise.test.ts'],
    ['… to the step of srun', 2 * SLURM_ANSWER_MS, '2 × SLURM_ANSWER_MS (scontrol, scancel)', 'srun gets it',
      'test/launchers/slurm.test.ts'],
    ['workers of `--nproc` after a failure, or a second signal', STOP_GRACE_MS, 'STOP_GRACE_MS', 'SIGKILL',
      'test/launch/supervise.test.ts'],
    ['output that nobody takes (terminal, pipe, dead disk)', CONSOLE_STALL_MS, 'CONSOLE_STALL_MS',
      'some of it is left out, which is said', 'test/launch/console.test.ts'],
    ['a daemon that died, until it is started again', BEAT_STALE_MS + WATCH_INTERVAL_MS,
      'BEAT_STALE_MS + WATCH_INTERVAL_MS', 'nobody waits for it', 'test/scenario/deaths.test.ts'],
  ],
}

const AFTER: Part = {
  title: '`rankzero run`, after COMMAND',
  rows: [
    ['pipes that somebody else keeps open (`--nproc`)', CONSOLE_DRAIN_MS, 'CONSOLE_DRAIN_MS',
      'what comes later is lost', 'test/launch/console.test.ts'],
    ['… readers and files of the output', 2 * CONSOLE_STALL_MS, '2 × CONSOLE_STALL_MS',
      'the files lack their end', DISK],
    ['the end of the session, or as a guest our node\'s delivery', EXIT_TIMEOUT_MS + END_LOOK_MS,
      '`--exit-timeout` (EXIT_TIMEOUT_MS) + END_LOOK_MS', 'stderr says what is pending; `sync` delivers it',
      `${DISK}, ${HEAD}, ${NET}`],
    ['… after a signal, below a launcher that stops its tasks', STOPPED_WAIT_MS + END_LOOK_MS,
      'STOPPED_WAIT_MS + END_LOOK_MS', 'agent and aggregator go on', 'test/launchers/jobs.test.ts'],
  ],
}

const TRAINER: Part = {
  title: 'The trainer (Node and Python)',
  rows: [
    ['`init()`: which run RANKZERO_RUN names, no supervisor', DISK_ANSWER_MS, 'DISK_ANSWER_MS',
      'it counts as a live one', DISK],
    ['`init()`: the journal, in /dev/shm', 0, 'no disk is asked', 'nothing', DISK],
    ['`init()`: … where that has no room, or RANKZERO_SHM_DIR is a disk', PLACES * DISK_ANSWER_MS,
      '3 × DISK_ANSWER_MS', 'what is logged is lost, and counted, until a directory takes it', DISK],
    ['a journal that found no place: each new try, and the one at the end', 0, 'disks are asked aside',
      'the next try; the end says how much was not recorded', DISK],
    ['`log()`, `params()`, `text()` in a mapped journal', 0, 'stores to memory', 'nothing',
      `${DISK}, ${HEAD}`],
    ['`end()` and exit, supervised, whatever hangs', 0, 'the supervisor waits instead', 'nothing', HEAD],
    ['`end()` and exit hook, not supervised (Node)', EXIT_TIMEOUT_MS, 'RANKZERO_EXIT_TIMEOUT',
      'stderr says how many records wait; the agent goes on, else `sync`', `${DISK}, ${HEAD}, ${NET}`],
    ['… in Python: exit, `sys.exit`, exception, multiprocessing children', EXIT_TIMEOUT_MS + SHELL_MS,
      'RANKZERO_EXIT_TIMEOUT + SHELL_MS', 'the same', `${DISK}, ${HEAD}`],
    ['the end by a signal', 0, 'no hook runs', 'the agent delivers the tail', 'test/scenario/deaths.test.ts'],
    ['a fork child that has no rank of its own', 0, 'its logger does nothing', 'nothing',
      'test/python/children.test.ts'],
  ],
}

const DAEMONS: Part = {
  title: 'Agent and aggregator (nobody waits for them; this is how long they stay)',
  rows: [
    ['agent, after its last delivery', AGENT_LINGER_MS + DRAIN_INTERVAL_MS,
      'AGENT_LINGER_MS + DRAIN_INTERVAL_MS', 'nothing', 'test/agent/process.test.ts'],
    ['agent, after TERM', EXIT_TIMEOUT_MS, 'RANKZERO_EXIT_TIMEOUT', 'the rest is in its spool',
      'test/agent/process.test.ts'],
    ['agent, owners gone and no head', EXIT_TIMEOUT_MS, 'RANKZERO_EXIT_TIMEOUT since the last progress',
      'the rest is in its spool', 'test/agent/process.test.ts'],
    ['agent, owners gone and a head that takes nothing', HEAD_PATIENCE_MS, 'HEAD_PATIENCE_MS', 'the same',
      'test/agent/core-leave.test.ts'],
    ['agent, a search for the head before it starts one', HEAD_SEARCH_MS, 'HEAD_SEARCH_MS',
      'it starts one, where it may', 'test/agent/core-seek.test.ts'],
    ['agent, a connection that does not come about', CONNECT_MS, 'CONNECT_MS', 'the next address', NET],
    ['agent, a head that says nothing', PEER_SILENT_MS, 'PEER_SILENT_MS', 'it connects anew', NET],
    ['agent, `nvidia-smi`', GPU_QUERY_MS, 'GPU_QUERY_MS', 'a sample without GPUs',
      'test/agent/system.test.ts'],
    ['aggregator, the central configuration and keys that a command tells', CONFIG_FETCH_MS + KEY_COMMAND_MS,
      'CONFIG_FETCH_MS + KEY_COMMAND_MS', 'it serves without them, and says so in its log',
      'test/config/config.test.ts'],
    ['aggregator, a peer that does not shake hands', HANDSHAKE_MS, 'HANDSHAKE_MS', 'it is closed',
      'test/transport/security.test.ts'],
    ['aggregator, all ranks ended, no supervisor', RUN_LINGER_MS, 'RUN_LINGER_MS', 'the session is closed',
      'test/scenario/leaving.test.ts'],
    ['aggregator, a node that went silent while all others ended', MEMBER_SILENT_MS, 'MEMBER_SILENT_MS',
      'the session is closed, that node syncs', 'test/aggregator/core-members.test.ts'],
    ['aggregator, ranks that never joined', JOIN_TIMEOUT_MS, 'JOIN_TIMEOUT_MS', 'rows seal without them',
      'test/aggregator/core-seal.test.ts'],
    ['aggregator, a call of Comet, whatever is in the way', COMET_CALL_MS + COMET_ISSUER_MS,
      'COMET_CALL_MS + COMET_ISSUER_MS', 'the same again, later', 'test/comet/http.test.ts'],
    ['… an upload, when all of it is written: the rest is in buffers',
      COMET_CALL_MS + COMET_UNSENT_BYTES_MAX / COMET_RATE_MIN + COMET_ISSUER_MS,
      'COMET_CALL_MS + COMET_UNSENT_BYTES_MAX / COMET_RATE_MIN + COMET_ISSUER_MS',
      'the server is asked whether it has it, else the same again', 'test/comet/http.test.ts'],
    ['… an upload, before that, since any of it moved', COMET_CALL_MS + COMET_ISSUER_MS,
      'COMET_CALL_MS + COMET_ISSUER_MS', 'the server is asked whether it has it, else the same again',
      'test/comet/http.test.ts'],
    ['a lock that another process holds, running or stopped',
      LOCK_TRIES * LOCK_TRY_PAUSE_MS + LOCK_COMMIT_MS, 'LOCK_TRIES × LOCK_TRY_PAUSE_MS + LOCK_COMMIT_MS',
      'it counts as held', 'test/ledger/lockdb.test.ts'],
    ['a ledger that another process keeps busy', LEDGER_BUSY_MS, 'LEDGER_BUSY_MS',
      'nothing is acknowledged, agents keep their data', 'test/ledger/ledger.test.ts'],
  ],
}

const COMMANDS: Part = {
  title: 'The other commands',
  rows: [
    ['all of them: each disk that they are about to read', DISK_ANSWER_MS, 'DISK_ANSWER_MS',
      'exit 1 (`TIMEOUT`), nothing was changed', DISK],
    ['`sync`: is the head of another host at work', FOREIGN_HEAD_MS, 'FOREIGN_HEAD_MS', 'it takes over',
      'test/scenario/nodes.test.ts'],
    ['`sync`: an aggregator for the run', DAEMON_READY_MS, 'DAEMON_READY_MS', 'exit 4', HEAD],
    ['`sync`: a run in which nothing moves any more', SYNC_STALL_MS, 'SYNC_STALL_MS', 'exit 4',
      'test/scenario/leaving.test.ts'],
    ['`doctor`: versions of programs, all at once', PROGRAM_ANSWER_MS, 'PROGRAM_ANSWER_MS', 'no version',
      'test/scenario/doctor.test.ts'],
    ['`doctor`: names and addresses of the head', HOST_LOOKUP_MS + 2 * CONNECT_MS,
      'HOST_LOOKUP_MS + 2 × CONNECT_MS (two ports)', 'no answer, which is a finding', NET],
    ['`doctor --backend comet`: all that the server is asked', COMET_CHECK_MS + COMET_ISSUER_MS,
      'COMET_CHECK_MS + COMET_ISSUER_MS', 'no answer, which is a finding', 'test/comet/doctor.test.ts'],
  ],
}

const PARTS = [START, DURING, AFTER, TRAINER, DAEMONS, COMMANDS]

export const BOUNDS: readonly Bound[] = PARTS.flatMap(({ rows }) =>
  rows.map(([path, ms, made, left, test]) => ({ path, ms, made, left, test })))

const NO_BOUND = [
  '`--on-collision wait` waits for the key as long as another run holds it; a signal ends the wait.',
  '`status --watch` and `console --follow` go on until the run has ended.',
  'COMMAND itself: we never leave before it. One that lies on a dead disk starts when the disk is back.',
  '`log()` in file mode or overflow (no room in shared memory) is one `write(2)`: a disk that begins to hang',
  '  holds it, and the exit of its process, as long as it hangs. So does a journal in RANKZERO_SHM_DIR on a',
  '  disk. With room in /dev/shm no disk is touched.',
  '`asset()`, and what logs files in the drop-in for comet_ml, copies the bytes in the thread that calls it,',
  '  so it takes as long as the disk does, and a disk that hangs holds it.',
  'An upload that moves goes on for an hour (ASSET_SEND_MS): `sync` and the end of a session wait for it.',
  'A command that already reads when its disk begins to hang waits for it: the kernel lets nobody go.',
  'Agent and aggregator on a dead disk stay until it is back, and then go on; nothing waits for them.',
  'The disk that rankzero, Node or Python itself lies on is taken to answer.',
]

/** The text of BOUNDS.md. It is written by `npx vitest run test/bounds/table.test.ts -u`. */
export function boundsMarkdown(): string {
  const seconds = (ms: number): string => ms === 0 ? '0' : String(Number((ms / 1000).toFixed(2)))
  return [
    '# How long anything waits for us',
    '',
    'This file is generated from `lib/limits.ts` by `lib/cli/bounds-table.ts`; a test holds them equal.',
    '',
    'Whatever hangs (a network that drops packets, a head or an agent that is stopped, a disk that answers',
    'nobody), no path takes longer than its bound, on a machine that has time for us. Seconds, with the',
    'default of `--exit-timeout`; rows that begin with `…` are within the row above. Disks are read aside,',
    'by a small process that is left when it does not answer, since the kernel holds whoever waits for a',
    'dead disk, and with it the whole process.',
    ...PARTS.flatMap(({ title, rows }) => [
      '',
      `## ${title}`,
      '',
      '| what is waited for | s | made of | when it is hit | held by |',
      '|---|---|---|---|---|',
      ...rows.map(([path, ms, made, left, test]) => {
        const tests = test.split(', ').map((one) => `\`${one}\``).join(', ')
        return `| ${path} | ${seconds(ms)} | ${made} | ${left} | ${tests} |`
      }),
    ]),
    '',
    '## What has no bound, and why',
    '',
    ...NO_BOUND.map((line) => line.startsWith(' ') ? line : `- ${line}`),
    '',
  ].join('\n')
}
