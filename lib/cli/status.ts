import type { Command } from 'commander'
import { monotonicMs, sleep, wallMs } from '../clock.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { STATUS_REDRAW_MS } from '../limits.ts'
import { printableAll } from '../record/printable.ts'
import { command, dirOf, type Shared } from './define.ts'
import { lookAt, type ShownStatus } from './look.ts'
import { findRun, type FoundRun } from './runs.ts'
import { statusText } from './status-text.ts'

interface StatusFlags extends Shared {
  watch?: true
  json?: true
}

export const statusCommand = (): Command => command('status')
  .summary('key, state, final status, ranks, lag, failures, backlog per backend')
  .description('Shows a run, live or ended.')
  .argument('[RUN]', 'run id, run directory, or latest', 'latest')
  .option('--watch', 'redraw until the run has ended')
  .option('--json', 'one JSON object; with --watch one per line at each change')
  .addHelpText('after', `
Columns of the ranks:
  rank      global rank                  try      which life of this rank, over restarts
  state     live, ended, …               step     last step logged
  logged    points that log() took       pending  of these not yet at the aggregator
  lag       age of the last record       host     where it runs, with its pid
Line health, only when something is wrong: ranks that have stopped while others went on, ranks that are
  missing, stragglers (time of a step against that of the usual rank), the first NaN of a metric.
Columns of the metrics: newest step, its value over all ranks, min and max with the rank that holds them,
  ranks in the row of those expected; * marks a row that is not sealed yet.
State "interrupted" means that nobody works on a run that has not ended: rankzero sync finishes it.

Example:
  rankzero status latest --watch`)
  .action(async (run: string, flags: StatusFlags) => {
    const found = findRun(dirOf(flags), run)
    await (flags.watch === true ? watch(found, flags.json === true) : once(found, flags.json === true))
  })

async function once(found: FoundRun, json: boolean): Promise<void> {
  process.stdout.write(shown(found, json).text)
}

/** @throws RankzeroError DAMAGED when the file is none of an aggregator. */
export function shown(found: FoundRun, json: boolean): { status: ShownStatus; text: string } {
  try {
    const status = lookAt(found)
    const text = json ? `${JSON.stringify(status)}\n` : statusText(printableAll(status), wallMs())
    return { status, text }
  } catch (error) {
    const what = `the picture of run ${found.run} in ${found.dir} is damaged: ${messageOf(error)}`
    throw new RankzeroError('DAMAGED', what, 'rankzero audit and rankzero export read the ledger itself')
  }
}

/** What is wrong, without the numbers that change all the time. */
function troublesOf({ health }: ShownStatus): unknown {
  return [
    health?.missing, health?.hang?.ranks, health?.stragglers.map(({ rank }) => rank), health?.firstNaN.length,
  ]
}

/** Cursor home, then clear: no flicker, no scrolling. */
const CLEAR = '\u001b[H\u001b[J'

/** On a terminal one picture, redrawn; in a pipe a new one only when something changed. */
async function watch(found: FoundRun, json: boolean): Promise<void> {
  const redraw = process.stdout.isTTY && !json
  for (let last = ''; ; ) {
    const begun = monotonicMs()
    const { status, text } = shown(found, json)
    const mark = JSON.stringify([
      status.state, status.books, status.failed.length, status.members.length, troublesOf(status),
    ])
    if (redraw || mark !== last) process.stdout.write((redraw ? CLEAR : '') + text)
    last = mark
    if (status.state === 'ended' || status.state === 'interrupted') return
    await sleep(Math.max(0, STATUS_REDRAW_MS - (monotonicMs() - begun)))
  }
}
