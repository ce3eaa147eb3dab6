/** `npm run drill`: the drills by name, or the soak; see README.md. Exit status 1 when anything was wrong. */
import { parseArgs } from 'node:util'
import { DRILLS, drillNamed, GROUPS } from './drills.ts'
import { drive } from './drive.ts'
import type { Outcome } from './judge.ts'
import { soak } from './soak.ts'
import { outcomesTable, problemsText } from './table.ts'

const HELP = `npm run drill [-- DRILL… --seconds S --workers N --runs N --seed N --json]
npm run drill -- soak [--minutes M --workers N --rate POINTS --every S --out FILE --seed N]

DRILL is one of:
  ${DRILLS.map(({ name }) => name).join(' ')}
or several faults in one run:
  ${GROUPS.map(({ name }) => name).join(' ')}
Without a name: all of the first kind. It needs root, for namespaces, and a build (npm run build).
`

const OPTIONS = {
  seconds: { type: 'string', default: '15' }, workers: { type: 'string', default: '8' },
  runs: { type: 'string', default: '1' }, seed: { type: 'string' }, json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' }, minutes: { type: 'string', default: '60' },
  rate: { type: 'string', default: '500' }, every: { type: 'string', default: '60' },
  out: { type: 'string', default: 'soak.json' },
} as const

export async function main(argv: string[]): Promise<number> {
  const { values: flags, positionals } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true })
  if (flags.help === true) {
    process.stdout.write(HELP)
    return 0
  }
  const seed = Number(flags.seed ?? Date.now() % 1e9)
  const workers = Number(flags.workers)
  if (positionals[0] === 'soak') {
    const { minutes, rate, every, out } = flags
    return soak({ minutes: Number(minutes), workers, rate: Number(rate), every: Number(every), out, seed })
  }
  if (positionals.some((name) => drillNamed(name) === undefined)) {
    process.stderr.write(HELP)
    return 2
  }
  const drills = positionals.length === 0 ? DRILLS : positionals.map((name) => drillNamed(name)!)
  const outcomes: Outcome[] = []
  for (let run = 0; run < Number(flags.runs); run++) {
    for (const drill of drills) {
      const say = (line: string): void => { process.stderr.write(`${line}\n`) }
      const outcome = await drive(drill, { seconds: Number(flags.seconds), workers, seed: seed + run, say })
      process.stderr.write(problemsText(outcome))
      outcomes.push(outcome)
    }
  }
  process.stdout.write(flags.json === true ? `${JSON.stringify(outcomes)}\n` : outcomesTable(outcomes))
  return outcomes.every(({ problems }) => problems.length === 0) ? 0 : 1
}
