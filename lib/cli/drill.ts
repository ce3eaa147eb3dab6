import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { EXIT, RankzeroError } from '../errors.ts'
import { DRILL_SECONDS, DRILL_SECONDS_MIN, DRILL_WORKERS } from './drill/core-limits.ts'
import { count, plural, progress } from '../launch/progress.ts'
import { cliOf } from '../spawn.ts'
import { bare, type Exit, type Shared } from './define.ts'
import type { Verdict } from './drill/index.ts'
import { style } from './output.ts'

interface Flags extends Shared {
  seconds: string
  workers: string
  seed?: string
  keep?: true
  json?: true
}

export const drillCommand = (exit: Exit): Command => bare('drill')
  .summary('kill and stop a short run of its own, and show that nothing is lost')
  .description('Starts a short run of its own in a temporary directory, kills and stops its processes at '
    + 'random, and compares the ledger with what the workers logged. No other run is touched.')
  .option('--seconds <S>', 'how long the workers log', String(DRILL_SECONDS))
  .option('--workers <N>', 'how many', String(DRILL_WORKERS))
  .option('--seed <N>', 'the same blows again, as far as real processes allow')
  .option('--dir <D>', 'make its directory in D, to try the file system there')
  .option('--keep', 'leave its directory there; one that failed stays anyway')
  .option('--json', 'one JSON object')
  .addHelpText('after', `
Agent, aggregator and one worker get SIGKILL at random instants, agent and aggregator SIGSTOP besides. A
worker writes down each step once its log() has returned. Exits with 1 when a point of these is not in the
ledger, is there twice, or has another value; also when the run does not end, or its books do not balance.

Example:
  rankzero drill --seconds 60 --workers 8`)
  .action(async (flags: Flags) => {
    const seconds = wholeOf('--seconds', flags.seconds, DRILL_SECONDS_MIN)
    const workers = wholeOf('--workers', flags.workers, 1)
    const seed = flags.seed === undefined ? Date.now() % 1e9 : wholeOf('--seed', flags.seed, 0)
    const cli = cliOf(process.env)
    if (cli === null) throw new RankzeroError('USAGE', 'rankzero cannot be found', 'set RANKZERO_CLI')
    const { drill } = await import('./drill/index.ts')
    const line = progress(process.stderr, 0)
    line.show(`rankzero: ${plural(workers, 'worker')} for ${seconds} s`)
    const say = (what: string): void => line.show(`rankzero: ${what}`)
    const { dir = tmpdir(), keep = false } = flags
    // Its points are nobody's: what is configured for other runs gets none.
    const env = { ...process.env, RANKZERO_BACKEND: 'local' }
    const options = { seconds, workers, seed, dir: resolve(dir), keep, cli, env, say }
    const verdict = await drill(options)
    line.clear()
    process.stdout.write(flags.json === true ? `${JSON.stringify(verdict)}\n` : verdictText(verdict))
    if (!verdict.ok) exit(EXIT.unbalanced)
  })

function wholeOf(flag: string, text: string, least: number): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new RankzeroError('USAGE', `${flag} is '${text}'`, `give a whole number from ${least}`)
}

export function verdictText(one: Verdict): string {
  const verdict = one.ok ? style('green', 'exactly once') : style('red', 'NOT exactly once')
  const kept = one.dir === null ? [] : [`its directory: ${one.dir}\n`]
  const wrong = one.wrong === 0 ? '' : `, ${count(one.wrong)} wrong`
  return [
    `${verdict}: ${plural(one.logged, 'point')} logged by ${plural(one.workers, 'worker')}, `
    + `${plural(one.kills, 'kill')}, ${plural(one.stops, 'stop')}: ${count(one.found - one.unwritten)} in `
    + `the ledger, ${count(one.lost)} lost, ${count(one.doubled)} twice${wrong}; `
    + `longest log() ${count(Math.round(one.longestMicros))} µs\n`,
    ...one.problems.map((problem) => `${style('red', 'problem')}  ${problem}\n`),
    ...one.ok ? [] : [
      `again: rankzero drill --seed ${one.seed} --seconds ${one.seconds} --workers ${one.workers}\n`,
    ],
    ...kept,
  ].join('')
}
