import { hostname } from 'node:os'
import { wallMs } from '../clock.ts'
import {
  bootId, createJournal, newInstanceId, openReader, pidNamespace, procStart, type JournalReader,
  type JournalWriter,
} from '../journal/index.ts'
import { LOGGER_TICK_MS, SUPERVISOR_RING_BYTES } from '../limits.ts'
import { headCandidates, type Identity } from '../rank/index.ts'
import { Kind, type SupervisorEvent } from '../record/index.ts'

export interface EventLogOptions {
  env: NodeJS.ProcessEnv
  run: string | null
  meeting: string
  dir: string
  cli: readonly string[]
  nproc: number | null
  overflowCap: number
  guest: boolean
  /** What our ranks say of their launch, where a next job may have the same meeting. */
  launch: string | null
  /** Host that has the head, when it is not this one. */
  head: string | null
  supervisors: number
  sizes: Pick<Identity, 'worldSize' | 'localWorldSize'>
}

/** The supervisor's own journal: what it saw goes the road that every rank's values go. */
export class EventLog {
  private readonly journal: JournalWriter
  private readonly timer: NodeJS.Timeout
  /** What is read after the end, when the agent may have removed the files. */
  private closed: JournalReader | null = null

  /** @throws RankzeroError JOURNAL when no place takes a journal. */
  constructor(o: EventLogOptions) {
    const now = wallMs()
    this.journal = createJournal({
      origin: {
        instance: newInstanceId(), meeting: o.meeting, run: o.run, role: 'supervisor',
        rank: -1, worldSize: o.nproc ?? 1, localRank: -1, localWorldSize: o.nproc,
        node: hostname(), bootId: bootId(), pidns: pidNamespace(),
        pid: process.pid, procStart: procStart(process.pid),
        startedAt: now, dir: o.dir, cli: JSON.stringify(o.cli),
        ...(o.launch === null ? {} : { launch: o.launch }),
        ...(o.guest ? { guest: true as const } : {}), supervisors: o.supervisors,
        ...headCandidates(o.head === null ? o.env : { ...o.env, RANKZERO_HEAD: o.head }, o.sizes),
      },
      env: o.env, overflowCap: o.overflowCap, localWorldSize: o.nproc ?? 1, ringBytes: SUPERVISOR_RING_BYTES,
    })
    this.journal.payload(Kind.open, { source: 'supervisor' }, now)
    this.timer = setInterval(() => this.journal.tick(wallMs()), LOGGER_TICK_MS)
    this.timer.unref()
  }

  note(event: SupervisorEvent, at: number = wallMs()): void {
    this.journal.payload(Kind.event, event, at)
  }

  /** Null until the agent knows it. */
  runId(): string | null {
    return this.closed === null ? this.journal.runId() : this.closed.runId()
  }

  /** Wall clock of the agent's last sign of life, 0 before the first. */
  beat(): number {
    return this.journal.beat()
  }

  end(exit: number): void {
    clearInterval(this.timer)
    this.journal.payload(Kind.end, { exit, logged: 0, refused: 0 }, wallMs())
    this.journal.tick(wallMs())
    this.closed = openReader(this.journal.path)
    this.journal.close()
  }
}
