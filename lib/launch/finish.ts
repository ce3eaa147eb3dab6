import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import { monotonicMs, sleep } from '../clock.ts'
import { END_POLL_MS } from '../limits.ts'
import { howItFailed, isFailure, type Exit, type Failed } from './core-outcome.ts'
import { count, plural, progress, say } from './progress.ts'
import { readStatus, statusPath } from '../backend/local.ts'
import type { RunStatus } from '../record/run-status.ts'

/** Reads `status.json` again only when it was replaced. */
export class StatusFile {
  private seen = ''
  private last: RunStatus | null = null

  read(runDir: string | null): RunStatus | null {
    const path = statusPath(runDir ?? '')
    const file = runDir === null ? undefined : statSync(path, { throwIfNoEntry: false })
    const mark = file === undefined ? '' : `${file.ino} ${file.mtimeMs}`
    if (runDir !== null && mark !== this.seen) {
      this.seen = mark
      this.last = readStatus(runDir) ?? this.last
    }
    return this.last
  }
}

/**
 * Until the session of the run has ended, at most `timeoutMs`; shows what is still on its way.
 * `runDir` null: no aggregator is known, so there is nothing to wait for.
 */
export async function awaitEnd(runDir: () => string | null, timeoutMs: number): Promise<RunStatus | null> {
  const file = new StatusFile()
  const line = progress()
  const begun = monotonicMs()
  for (;;) {
    const dir = runDir()
    const status = file.read(dir)
    const waited = monotonicMs() - begun
    if (dir === null || status?.state === 'ended' || waited >= timeoutMs) {
      line.clear()
      return status
    }
    const points = plural(status?.books.pending ?? 0, 'point')
    const what = `${status?.state ?? 'no answer yet'}, ${points} pending`
    line.show(`rankzero: delivering (${what}), ${Math.round(waited / 1000)} of ${timeoutMs / 1000} s`)
    await sleep(END_POLL_MS)
  }
}

export interface Told {
  run: string
  /** Parent of the run directories. */
  dir: string
  status: RunStatus | null
  exits: readonly Exit[]
  /** First signal that ended the job from outside, and what had failed before it. */
  signal: string | null
  failedBefore: Exit | null
}

/** The last words on stderr: the first failure, and what is not delivered. Silence means all is well. */
export function report(told: Told): void {
  const failed = firstFailure(told)
  if (failed !== null) say(`first failure: ${howItFailed(failed)}`)
  else if (told.signal !== null) say(`ended by ${told.signal}`)
  const { run, dir, status } = told
  const sync = `rankzero sync ${run} --dir ${dir}`
  if (status === null) {
    say(`nothing is delivered yet: what run ${run} logged is pending on this node; deliver it with: ${sync}`)
  } else if (status.state !== 'ended') {
    const live = status.members.filter((member) => member.state === 'live').length
    const who = live > 0 ? `, ${plural(live, 'rank')} not gone yet` : ''
    const what = `state ${status.state}, ${plural(status.books.pending, 'point')} pending${who}`
    say(`run ${run} has not ended yet (${what}); what is left then is delivered by: ${sync}`)
  } else {
    const behind = status.backends.filter((backend) => backend.pending > 0)
    const parts = behind.map((backend) => `${count(backend.pending)} to ${backend.name}`)
    if (status.books.pending > 0) parts.unshift(plural(status.books.pending, 'point'))
    if (parts.length > 0) say(`pending: ${parts.join(', ')}; deliver with: ${sync}`)
  }
  if (status !== null && status.books.lost > 0) {
    say(`${plural(status.books.lost, 'point')} lost; of which ranks: rankzero audit ${run} --dir ${dir}`)
  }
}

function firstFailure({ status, exits, signal, failedBefore }: Told): Failed | null {
  const own = signal === null ? exits.find((exit) => isFailure(exit) && !exit.stopped) ?? null : failedBefore
  const listed = status?.failed.find((failure) => !failure.recovered) ?? status?.failed[0] ?? null
  if (signal !== null && own === null) return null
  if (own === null || own.rank < 0) return listed ?? (own?.signal != null ? local(own, null) : null)
  const lastStep = status?.members.find((member) => member.pid === own.pid)?.lastStep ?? null
  return listed?.pid === own.pid ? listed : local(own, lastStep)
}

const local = ({ rank, pid, exit, signal }: Exit, lastStep: number | null): Failed =>
  ({ rank, host: hostname(), pid, exit, signal, lastStep })
