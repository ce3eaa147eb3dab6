import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { findSetting } from '../config/settings.ts'
import { EXIT, RankzeroError } from '../errors.ts'
import { count, plural, say } from '../launch/progress.ts'
import { readEndpoint, readStatus } from '../backend/local.ts'
import { cliOf } from '../spawn.ts'
import { printableAll } from '../record/printable.ts'
import { command, dirOf, type Exit, type Shared } from './define.ts'
import type { Delivered, Target } from './deliver.ts'
import { elsewhere } from './status-text.ts'
import { findLeftovers, type Leftover } from './leftovers.ts'
import { commandSources } from './sources.ts'
import { findRun, listRuns, parentOf, type FoundRun } from './runs.ts'

interface Flags extends Shared {
  all?: true
  key?: string
  join?: string
  json?: true
}

export const syncCommand = (exit: Exit): Command => command('sync')
  .summary('delivers what a finished or broken run left behind')
  .description('Delivers what a finished or broken run left behind on this node, and closes its session.')
  .argument('[RUN...]', 'run ids, run directories, or latest (the default)')
  .option('--all', 'every run below the directory, and what waits there without one')
  .option('--key <K>', 'deliver a run whose own key was refused under this one')
  .option('--join <DIR>', 'another run directory of the same run, from another node: its part is added')
  .option('--json', 'one JSON object per run: run, dir, state, status, delivered, sent, pending, lost')
  .addHelpText('after', `
Per run it says: its state and final status, points delivered now, points still pending, points lost.
A point is pending until it is in the ledger, and as often as a backend has not taken it.
A run whose processes still live is left to them. Exits with 4 when something is still pending.

After the head's node is lost for good: where nodes share the run directory, sync on any of them completes the
run. Where they share nothing, sync on each of the others makes a run directory with what waited there, under
the same run id; status names what is elsewhere. Those parts become one where they can be reached from one
node: the head's own directory first, if it turns up again, else any of them:
  rankzero sync RUN_DIRECTORY --join OTHER_RUN_DIRECTORY
(Or copy .pending/ of all nodes below one directory before the first sync.)

Example:
  rankzero sync --all --dir ./rankzero`)
  .action(async (names: string[], flags: Flags) => {
    if (flags.key !== undefined && names.length !== 1) {
      throw new RankzeroError('USAGE', '--key needs one RUN', 'name the run whose key was refused')
    }
    if (flags.all === true && names.length > 0) {
      throw new RankzeroError('USAGE', `--all and RUN ${names[0]} exclude each other`, 'give one of them')
    }
    const dir = dirOf(flags)
    if (flags.join !== undefined) {
      if (names.length !== 1) {
        throw new RankzeroError('USAGE', '--join needs one RUN', 'name the run that goes on')
      }
      const { joinRuns } = await import('./join.ts')
      joinRuns(findRun(dir, names[0]), findRun(dirname(resolve(flags.join)), resolve(flags.join)))
    }
    const { deliver } = await import('./deliver.ts')
    const cli = cliOf(process.env)
    if (cli === null) throw new RankzeroError('USAGE', 'rankzero cannot be found', 'set RANKZERO_CLI')
    const lockDir = findSetting('lockDir', commandSources()).value
    for (const target of targets(dir, names, flags.all === true, flags.key ?? null)) {
      const place = { cli, lockDir, env: process.env, dir: target.parent }
      const one = await deliver(place, target)
      process.stdout.write(flags.json === true ? `${JSON.stringify(one)}\n` : line(printableAll(one)))
      if (one.remedy !== undefined) say(`to do: ${one.remedy}`)
      const isWhole = one.pending === 0 && one.state === 'ended' && one.error === undefined
      if (one.state !== 'live' && !isWhole) exit(EXIT.pending)
    }
  })

/** Whom to deliver for: named runs, or every run and every meeting that left something. */
function targets(dir: string, names: readonly string[], all: boolean, key: string | null): Target[] {
  const { leftovers, damaged } = findLeftovers(dir, process.env)
  for (const text of damaged) say(`cannot be read and stays: ${text}`)
  const target = (found: FoundRun): Target => {
    const meeting = readEndpoint(found.dir)?.meeting
    const left = leftovers.find((one) => one.meeting === meeting || one.run === found.run) ?? null
    const { run, dir: runDir } = found
    return { parent: parentOf(found), run, runDir, left, meeting: meeting ?? left?.meeting ?? null, key }
  }
  const orphan = (left: Leftover): Target =>
    ({ parent: dir, run: left.run, runDir: null, left, meeting: left.meeting, key })
  const nothing = names.length === 0 && listRuns(dir).length === 0
  if (!all && nothing && leftovers.length > 0) return leftovers.map(orphan)
  if (!all) {
    return (names.length > 0 ? names : ['latest']).map((name) => {
      // A run that never got a directory is known by what its processes left.
      const left = leftovers.find((one) => one.run === name)
      const there = listRuns(dir).some((found) => found.run === name)
      return left !== undefined && !there ? orphan(left) : target(findRun(dir, name))
    })
  }
  const runs = listRuns(dir).map(target)
  const taken = new Set(runs.map((one) => one.left))
  return [...runs, ...leftovers.filter((left) => !taken.has(left)).map(orphan)]
}

function line(one: Delivered): string {
  const end = one.status === null ? one.state : `${one.state}, ${one.status}`
  const { run, meeting, delivered, sent, pending, lost, error } = one
  const toBackends = sent === 0 ? '' : ` (${count(sent)} to backends)`
  const books = `${plural(delivered, 'point')} delivered${toBackends}, ${count(pending)} pending, `
    + `${count(lost)} lost`
  const why = error === undefined ? '' : `; ${error}`
  const parts = one.dir === null ? null : elsewhere(readStatus(one.dir)?.members ?? [], one.dir)
  const told = parts === null ? '' : `; ${parts}`
  return `${run ?? `(no run yet, meeting ${meeting})`}  ${end}: ${books}${why}${told}\n`
}
