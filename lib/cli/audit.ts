import type { Command } from 'commander'
import { readStatus } from '../backend/local.ts'
import type { Audit } from '../aggregator/core-types.ts'
import { EXIT } from '../errors.ts'
import { count, plural, progress } from '../launch/progress.ts'
import { printableAll } from '../record/printable.ts'
import { command, dirOf, type Exit, type Shared } from './define.ts'
import { style, table } from './output.ts'
import { findRun } from './runs.ts'

interface Flags extends Shared {
  json?: true
}

const RANK_COLUMNS = [
  'rank', 'try', 'state', 'logged', 'admitted', 'lost', 'pending', 'duplicates', 'refused', '', 'instance',
]
const BACKEND_COLUMNS = ['backend', 'delivered', 'superseded', 'thinned', 'rejected', 'pending', 'resent']

export const auditCommand = (exit: Exit): Command => command('audit')
  .summary('the books; exit 1 when they do not balance')
  .description('Counts every point anew from the ledger. Exits with 1 when the books do not balance.')
  .argument('[RUN]', 'run id, run directory, or latest', 'latest')
  .option('--json', 'one JSON object')
  .addHelpText('after', `
Columns, in points, per life of a rank:      logged = admitted + lost + pending
  logged     taken by log()                    admitted   in the ledger, once
  lost       no room was left for them         pending    not yet at the aggregator
  duplicates in the ledger twice               refused    values that are no points, outside logged
Per backend:                                 admitted = delivered + thinned + superseded + rejected + pending
  delivered  in a row that was accepted        superseded replaced by a later value before that
  thinned    left out, by a stated rule        rejected   refused for good
  pending    not accepted yet                  resent     sent again after an ambiguous failure

Example:
  rankzero audit latest --json`)
  .action(async (run: string, flags: Flags) => {
    const found = findRun(dirOf(flags), run)
    const { openToRead } = await import('../aggregator/aside.ts')
    const { audit, lessThanShown } = await import('../aggregator/audit.ts')
    const line = progress()
    line.show('rankzero: counting')
    const ledger = openToRead(found.dir)
    try {
      // Read first: what is admitted meanwhile is no contradiction.
      const picture = readStatus(found.dir)
      const books = audit(ledger)
      books.problems.push(...lessThanShown(books, picture))
      books.balanced = books.problems.length === 0
      line.clear()
      const asJson = flags.json === true
      process.stdout.write(asJson ? `${JSON.stringify(books)}\n` : auditText(printableAll(books)))
      if (!books.balanced) exit(EXIT.unbalanced)
    } finally {
      ledger.close()
    }
  })

export function auditText(books: Audit): string {
  const verdict = books.balanced ? style('green', 'balanced') : style('red', 'NOT balanced')
  const rest = books.complete ? 'nothing pending' : 'something is pending'
  const ranks = books.ranks.map((one) => [
    one.rank, one.attempt, one.state,
    ...[one.logged, one.admitted, one.lost, one.pending, one.duplicates, one.refused].map(count),
    one.estimated === true ? 'estimated' : '', one.instance.slice(0, 8),
  ])
  const backends = books.backends.map((one) => [
    one.name,
    ...[one.delivered, one.superseded, one.thinned, one.rejected, one.pending, one.resent].map(count),
  ])
  return [
    `${style('bold', books.run)}  ${books.status ?? 'not ended'}: the books are ${verdict}, ${rest}\n`,
    ...books.problems.map((problem) => `${style('red', 'problem')}  ${problem}\n`),
    '\n',
    table(RANK_COLUMNS, ranks),
    '\n',
    table(BACKEND_COLUMNS, backends),
    ...books.backends.flatMap(({ name, assets }) => assets === undefined ? []
      : [`\n${name}: ${plural(assets.logged, 'asset')} = ${count(assets.delivered)} delivered + `
        + `${count(assets.rejected)} rejected + ${count(assets.pending)} pending\n`]),
  ].join('')
}
