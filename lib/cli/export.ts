import type { Command } from 'commander'
import { resolve } from 'node:path'
import { RankzeroError } from '../errors.ts'
import { count, progress, say } from '../launch/progress.ts'
import { jsonLine } from '../record/row.ts'
import { command, dirOf, type Shared } from './define.ts'
import { csvLine } from './output.ts'
import { findRun } from './runs.ts'
import { fileSink, streamSink, type Sink } from './sink.ts'

interface Flags extends Shared {
  points?: true
  format?: string
  metric?: string
  out?: string
  json?: true
}

const ROW_COLUMNS = [
  'metric', 'step', 'value', 'count', 'expected', 'mean', 'min', 'max', 'minRank', 'maxRank', 'std', 'sum',
  'median', 'p95', 'last', 'nan', 'inf', 'sealed', 'amended',
] as const
const POINT_COLUMNS = [
  'metric', 'step', 'rank', 'value', 'weight', 'time', 'instance', 'attempt', 'superseded', 'rejected',
  'node',
] as const

export const exportCommand = (): Command => command('export')
  .summary('merged rows, or every rank\'s points')
  .description('Writes the merged rows of a run, or every rank\'s points, sorted by metric and step.')
  .argument('[RUN]', 'run id, run directory, or latest', 'latest')
  .option('--points', 'every rank\'s points instead of the merged rows')
  .option('--format <F>', 'jsonl or csv', 'jsonl')
  .option('--json', 'the same as --format jsonl')
  .option('--metric <GLOB>', 'only metrics that match; * crosses /. Without it: all but sys/')
  .option('--out <FILE>', 'write to FILE, which appears only when it is complete')
  .addHelpText('after', `
Columns of a row:
  metric, step         what and when            value      the declared view of it (mean unless defined)
  count, expected      ranks with a finite value, ranks expected
  mean, sum, std       over ranks, mean weighted; std is that of the population
  min, max, median, p95, last                   minRank, maxRank  which rank holds them
  nan, inf             ranks with such values   sealed, amended   closed; corrected after it was closed
Columns of a point:
  metric, step, rank, value, weight, time (ms since the epoch), instance, attempt,
  superseded (a later value replaced it), rejected (why it is in no row), node (sys/ points)

Example:
  rankzero export latest --metric 'loss*' --format csv --out loss.csv`)
  .action(async (run: string, flags: Flags) => {
    const format = flags.json === true ? 'jsonl' : flags.format ?? 'jsonl'
    if (format !== 'jsonl' && format !== 'csv') {
      throw new RankzeroError('USAGE', `--format is '${format}'`, 'give jsonl or csv')
    }
    const found = findRun(dirOf(flags), run)
    const sink = flags.out === undefined ? streamSink(process.stdout) : fileSink(resolve(flags.out))
    const points = flags.points === true
    await exportRun(found.dir, { points, format, metric: flags.metric }, sink)
  })

interface Wanted {
  points: boolean
  format: 'jsonl' | 'csv'
  metric?: string
}

async function exportRun(dir: string, wanted: Wanted, sink: Sink): Promise<void> {
  const { points: wantPoints, format, metric } = wanted
  const { openToRead } = await import('../aggregator/aside.ts')
  const { points, rows } = await import('../aggregator/replay.ts')
  const line = progress()
  const what = wantPoints ? 'points' : 'rows'
  const columns: readonly string[] = wantPoints ? POINT_COLUMNS : ROW_COLUMNS
  line.show('rankzero: reading the ledger')
  const ledger = openToRead(dir)
  try {
    if (format === 'csv') await sink.write(csvLine(columns))
    let written = 0
    const options = { metric, damaged: (what: string) => say(`damaged: ${what}`) }
    for (const one of wantPoints ? points(ledger, options) : rows(ledger, options)) {
      const fields = one as unknown as Record<string, unknown>
      const text = format === 'csv' ? csvLine(columns.map((name) => fields[name])) : jsonLine(one)
      const full = sink.write(text)
      if (full !== null) await full
      if (++written % 1024 === 0) line.show(`rankzero: ${count(written)} ${what} written`)
    }
    await sink.end()
  } catch (error) {
    sink.discard()
    throw error
  } finally {
    line.clear()
    ledger.close()
  }
}
