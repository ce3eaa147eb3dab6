import { processAlive } from '../launch/processes.ts'
import { readStatus } from '../backend/local.ts'
import { GOOD_HEALTH, NO_BOOKS, type ProcessStatus, type RunStatus } from '../record/run-status.ts'
import { parentOf, type FoundRun } from './runs.ts'

export interface ShownStatus extends RunStatus {
  processes: (ProcessStatus & { alive: boolean | null })[]
  /** What to do when the run cannot end by itself. */
  remedy?: string
}

/** The aggregator's picture, with what it cannot know: whether it and its peers still live. */
export function lookAt(found: FoundRun): ShownStatus {
  const status = readStatus(found.dir) ?? unknown(found)
  const processes = status.processes.map((one) => ({ ...one, alive: processAlive(one) }))
  if (status.state === 'ended') return { ...status, processes }
  const head = processes.find((one) => one.role === 'aggregator')
  if (head?.alive === true || head?.alive === null) return { ...status, processes }
  const helper = processes.find((one) => one.alive === true)
  const remedy =
    helper === undefined
      ? `rankzero sync ${found.run} --dir ${parentOf(found)}`
      : `its ${helper.role} (pid ${helper.pid}) starts a new aggregator; else look with: rankzero doctor`
  // Nobody is left to say so: ranks of this host that are not there any more are not live.
  const members = status.members.map((member) => {
    const gone = member.state === 'live' && processAlive({ role: 'worker', ...member }) === false
    return gone ? { ...member, state: 'gone' } : member
  })
  const health = { ...GOOD_HEALTH, ...status.health, lag: null, stragglers: [], hang: null }
  return { ...status, state: 'interrupted', processes, members, health, remedy }
}

/** A run whose aggregator was gone before its first picture. */
function unknown({ run, dir }: FoundRun): RunStatus {
  return {
    run,
    key: '',
    project: '',
    name: '',
    dir,
    host: '',
    term: 0,
    state: 'interrupted',
    status: null,
    reason: null,
    fault: null,
    ranks: 0,
    startedAt: 0,
    endedAt: null,
    updatedAt: 0,
    failed: [],
    processes: [],
    members: [],
    params: [],
    metricCount: 0,
    metrics: [],
    backends: [],
    books: NO_BOOKS,
    health: GOOD_HEALTH,
  }
}
