/** What people see of a run: the books of every fourth picture, against the trainers' own counts. */
import type { RunStatus } from '../../lib/record/run-status.ts'
import type { File } from './disk.ts'
import type { Laws } from './laws.ts'

export class PictureLaw {
  private readonly laws: Laws
  private pictures = 0

  constructor(laws: Laws) {
    this.laws = laws
  }

  painted(path: string, file: File): void {
    if (++this.pictures % 4 !== 0) return
    const { laws } = this
    const { books, members } = JSON.parse(file.bytes.toString('utf8', 0, file.size)) as RunStatus
    const { logged, admitted, lost, pending, merged, superseded, rejected, open } = books
    const sorted = merged + superseded + rejected + open
    const law = 'books balanced'
    if (admitted !== sorted) laws.broken(law, `${path}: admitted ${admitted} ≠ ${sorted} sorted`)
    if (logged !== admitted + lost + pending) {
      const sum = `admitted ${admitted} + lost ${lost} + pending ${pending}`
      laws.broken(law, `${path}: logged ${logged} ≠ ${sum}`)
    }
    const dir = path.slice(0, path.lastIndexOf('/') + 1)
    const ledger = laws.ledgers.find((one) => one.path.startsWith(dir))
    const account = ledger && laws.account(ledger)
    for (const one of members) {
      const journal = laws.journals.get(one.instance)
      if (journal === undefined) continue
      const skipped = account?.skipped.get(one.instance) ?? 0
      if (one.lost < skipped) {
        laws.broken(law, `${one.instance}: ${one.lost} points are shown as lost, ${skipped} were skipped`)
      }
      const truth = journal.sender.logged + journal.lost
      if (one.admitted > truth) laws.broken(law, `${one.instance}: admitted ${one.admitted} of ${truth}`)
    }
  }
}
