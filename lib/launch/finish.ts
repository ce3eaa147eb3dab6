import { readdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { ask, parseJson, Watch } from '../aside.ts'
import { monotonicMs, sleep } from '../clock.ts'
import {
  isInMemory, listJournals, openReader, pendingDirs, shmDir, type JournalReader,
} from '../journal/index.ts'
import { DISK_ANSWER_MS, END_LOOK_MS, END_POLL_MS } from '../limits.ts'
import { howItFailed, isFailure, type Exit, type Failed } from './core-outcome.ts'
import { count, plural, progress, say } from './progress.ts'
import { statusPath } from '../backend/local.ts'
import type { BackendStatus, RunStatus } from '../record/run-status.ts'

/**
 * Until the session of the run has ended, at most `timeoutMs`; shows what is still on its way.
 * `runDir` null within the time that it is given: no aggregator is known, so there is nothing to wait for.
 */
export async function awaitEnd(
  runDir: (ms: number) => Promise<string | null>, timeoutMs: number,
): Promise<RunStatus | null> {
  const begun = monotonicMs()
  const left = (): number => timeoutMs - (monotonicMs() - begun)
  const dir = await runDir(timeoutMs)
  if (dir === null) return null
  const line = progress()
  const watch = new Watch(statusPath(dir))
  let status: RunStatus | null = null
  try {
    for (;;) {
      // At least a moment: a run that has ended by now is told as such.
      const seen = await watch.look(Math.max(left(), END_LOOK_MS))
      status = parseJson<RunStatus>(seen ?? '') ?? status
      if (status?.state === 'ended' || left() <= 0) return status
      const points = plural(status?.books.pending ?? 0, 'point')
      const waited = Math.round((timeoutMs - left()) / 1000)
      const what = seen === null ? 'its disk does not answer' : status?.state ?? 'no answer yet'
      line.show(`rankzero: delivering (${what}, ${points} pending), ${waited} of ${timeoutMs / 1000} s`)
      await sleep(END_POLL_MS)
    }
  } finally {
    line.clear()
    watch.close()
  }
}

/** Whose journals on this node a guest's supervisor waits for. */
export interface Waiting {
  env: NodeJS.ProcessEnv
  /** Parent of the run directories, absolute. */
  dir: string
  meeting: string
}

/** Instances of dead owners that wait here already: what an earlier job of this meeting left is not ours. */
export async function leftBefore(o: Waiting): Promise<Set<string>> {
  const open = new Map<string, JournalReader>()
  const dirs = [...inMemory(o), ...await onDisk(o, DISK_ANSWER_MS) ?? []]
  const left = new Set([...deadJournals(o, open, dirs), ...spooled(o, dirs)])
  for (const reader of open.values()) reader.close()
  return left
}

/**
 * Until nothing of this meeting waits on this node but what others still write and what was there `before`,
 * at most `timeoutMs`. How many instances of dead owners are left; null: a disk did not say.
 */
export async function awaitDelivered(
  o: Waiting, before: ReadonlySet<string>, timeoutMs: number,
): Promise<number | null> {
  const open = new Map<string, JournalReader>()
  const line = progress()
  const begun = monotonicMs()
  const ours = (instances: readonly string[]): number => instances.filter((one) => !before.has(one)).length
  try {
    for (;;) {
      const waited = monotonicMs() - begun
      let left: number | null = ours(deadJournals(o, open, inMemory(o)))
      if (left === 0) {
        const dirs = await onDisk(o, Math.max(timeoutMs - waited, END_LOOK_MS))
        left = dirs === null ? null : ours(deadJournals(o, open, [...inMemory(o), ...dirs]))
        if (left === 0) return ours(spooled(o, dirs ?? []))
      }
      if (waited >= timeoutMs) return left
      const what = left === null ? 'a disk does not answer' : `${plural(left, 'journal')} of this node`
      line.show(`rankzero: delivering (${what}), ${Math.round(waited / 1000)} of ${timeoutMs / 1000} s`)
      await sleep(END_POLL_MS)
    }
  } finally {
    line.clear()
    for (const reader of open.values()) reader.close()
  }
}

const inMemory = ({ env }: Waiting): string[] => [shmDir(env)].filter(isInMemory)

/** Of the directories on disks, those that have something of this meeting; null: one says nothing. */
async function onDisk({ env, dir, meeting }: Waiting, ms: number): Promise<string[] | null> {
  const dirs = [shmDir(env), ...pendingDirs(dir)].filter((one) => !isInMemory(one))
  const found = await ask(['ls', '-a', '--', ...dirs], ms)
  if (found === null) return null
  return found.stdout.includes('.jnl') || found.stdout.includes(meeting) ? dirs : []
}

/** Instances of journals whose owners are gone; opens new journals, forgets delivered ones. */
function deadJournals(
  { meeting }: Waiting, open: Map<string, JournalReader>, dirs: readonly string[],
): string[] {
  const paths = new Set(dirs.flatMap((place) => listJournals(place)))
  for (const [path, reader] of open) {
    if (paths.has(path)) continue
    reader.close()
    open.delete(path)
  }
  for (const path of paths) {
    if (open.has(path)) continue
    try {
      open.set(path, openReader(path))
    } catch {
      // Delivered and gone between two looks, or damaged: the agent says so.
    }
  }
  const ours = [...open.values()].filter(({ origin }) =>
    origin.meeting === meeting && origin.node === hostname())
  return ours.filter((reader) => !reader.ownerAlive()).map(({ origin }) => origin.instance)
}

/** Instances in the spool: its files begin with their names. */
function spooled({ meeting }: Waiting, dirs: readonly string[]): string[] {
  const names = dirs.flatMap((place) => {
    try {
      return readdirSync(join(place, meeting))
    } catch {
      return []
    }
  })
  return [...new Set(names.map((name) => name.split('.')[0]!))]
}

/** A guest says only what its own node still has. */
export function reportLeft(left: number | null, run: string | null, dir: string): void {
  if (left === 0) return
  if (left === null) {
    return say(`whether something of this node waits in ${join(dir, '.pending')} cannot be told, as its disk `
      + `does not answer; later: rankzero sync ${run ?? '--all'} --dir ${dir}`)
  }
  say(`what ${plural(left, 'rank')} of this node logged is not delivered yet: it waits here; `
    + `deliver it with: rankzero sync ${run ?? '--all'} --dir ${dir}`)
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
  if (failed !== null) say(`${failed.recovered ? 'recovered from' : 'first failure'}: ${howItFailed(failed)}`)
  else if (told.signal !== null) say(`ended by ${told.signal}`)
  const { run, dir, status } = told
  const sync = `rankzero sync ${run} --dir ${dir}`
  if (status === null) {
    say(`nothing is delivered yet: what run ${run} logged is pending on this node; deliver it with: ${sync}`)
  } else if (status.state !== 'ended') {
    const live = status.members.filter((member) => member.state === 'live').length
    const who = live > 0 ? `, ${plural(live, 'rank')} not gone yet` : ''
    const others = status.backends.filter(({ name }) => name !== 'local')
    const behind = backlog(others).map((part) => `, ${part}`).join('')
    const what = `state ${status.state}, ${plural(status.books.pending, 'point')} pending${behind}${who}`
    say(`run ${run} has not ended yet (${what}); what is left then is delivered by: ${sync}`)
  } else {
    const parts = backlog(status.backends)
    if (status.books.pending > 0) parts.unshift(plural(status.books.pending, 'point'))
    if (parts.length > 0) say(`pending: ${parts.join(', ')}; deliver with: ${sync}`)
  }
  for (const { name, warning } of status?.backends ?? []) {
    if (warning !== undefined) say(`backend ${name}: ${warning}`)
  }
  if (status !== null && status.books.lost > 0) {
    say(`${plural(status.books.lost, 'point')} lost; of which ranks: rankzero audit ${run} --dir ${dir}`)
  }
}

const backlog = (backends: readonly BackendStatus[]): string[] => [
  ...backends.filter(({ pending }) => pending > 0).map(({ name, pending }) => `${count(pending)} to ${name}`),
  ...backends.flatMap(({ name, assets }) =>
    (assets?.pending ?? 0) > 0 ? [`${plural(assets!.pending, 'asset')} to ${name}`] : []),
]

type First = Failed & { recovered: boolean }

function firstFailure({ status, exits, signal, failedBefore }: Told): First | null {
  const own = signal === null ? exits.find((exit) => isFailure(exit) && !exit.stopped) ?? null : failedBefore
  const listed = status?.failed.find((failure) => !failure.recovered) ?? status?.failed[0] ?? null
  // The signal may be the launcher's, because somebody else had failed.
  if (signal !== null && own === null) return status?.status === 'failed' ? listed : null
  if (own === null || own.rank < 0) return listed ?? (own?.signal != null ? local(own, null) : null)
  const lastStep = status?.members.find((member) => member.pid === own.pid)?.lastStep ?? null
  return listed?.pid === own.pid ? listed : local(own, lastStep)
}

const local = ({ rank, pid, exit, signal }: Exit, lastStep: number | null): First =>
  ({ rank, host: hostname(), pid, exit, signal, lastStep, recovered: false })
