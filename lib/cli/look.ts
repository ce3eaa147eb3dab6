import { processAlive, type KnownProcess } from '../launch/processes.ts'
import { readEndpoint, readStatus, type RunStatus } from '../launch/run-files.ts'
import { parentOf, type FoundRun } from './runs.ts'

export interface ShownStatus extends RunStatus {
  processes: (KnownProcess & { alive: boolean | null })[]
  /** What to do when the run cannot end by itself. */
  remedy?: string
}

/** The aggregator's picture, with what it cannot know: whether it and its peers still live. */
export function lookAt(found: FoundRun): ShownStatus {
  const endpoint = readEndpoint(found.dir)
  const status = readStatus(found.dir) ?? unknown(found)
  const processes = status.processes.map((one) => {
    const same = one.role === 'aggregator' && one.pid === endpoint?.pid
    const known = same && one.procStart === undefined ? { ...one, procStart: endpoint.procStart } : one
    return { ...one, alive: processAlive(known) }
  })
  if (status.state === 'ended') return { ...status, processes }
  const head = processes.find((one) => one.role === 'aggregator')
  if (head?.alive === true || head?.alive === null) return { ...status, processes }
  const helper = processes.find((one) => one.alive === true)
  const remedy = helper === undefined
    ? `rankzero sync ${found.run} --dir ${parentOf(found)}`
    : `its ${helper.role} (pid ${helper.pid}) starts a new aggregator; if that does not come: rankzero doctor`
  return { ...status, state: 'interrupted', processes, remedy }
}

/** A run whose aggregator was gone before its first picture. */
function unknown({ run, dir }: FoundRun): RunStatus {
  return {
    run, key: '', project: '', name: '', dir, host: '', state: 'interrupted', status: null, ranks: 0,
    startedAt: 0, endedAt: null, failed: [], processes: [], members: [], metrics: [],
    books: { logged: 0, admitted: 0, merged: 0, lost: 0, pending: 0 }, backends: [],
  }
}
