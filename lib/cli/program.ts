import { CommanderError } from 'commander'
import { ownVersion } from '../package.ts'
import { mustAnswer, placesOf } from './answers.ts'
import { tell } from './output.ts'
import { auditCommand } from './audit.ts'
import { configCommand } from './config.ts'
import { consoleCommand } from './console.ts'
import { bare, usageError } from './define.ts'
import { doctorCommand } from './doctor.ts'
import { drillCommand } from './drill.ts'
import { exportCommand } from './export.ts'
import { runSubcommand } from './run.ts'
import { commandSources, readSources } from './sources.ts'
import { statusCommand } from './status.ts'
import { syncCommand } from './sync.ts'

const COMMANDS = [
  runSubcommand, statusCommand, consoleCommand, exportCommand, auditCommand, syncCommand, configCommand,
  doctorCommand, drillCommand,
]

/** Runs one command line; the exit status. Never throws, never exits by itself. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  let status = 0
  const exit = (code: number): void => {
    status = code
  }
  const program = bare('rankzero').enablePositionalOptions()
    .usage('<command> [options]')
    .description('One experiment, every rank: metrics of N training processes, exactly once, in one session.')
    .version(ownVersion(), '-V, --version', 'show the version')
    .helpCommand(false)
    .addHelpText('after', `
RUN is a run id, a run directory, or latest (the last started). Exit statuses are in lib/cli/ERRORS.md.

Example:
  rankzero run --nproc 4 -- node train.js`)
  for (const define of COMMANDS) program.addCommand(define(exit))
  program.hook('preAction', async (_, command) => {
    await readSources(command)
    await mustAnswer(placesOf(command, commandSources()))
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return status
  } catch (error) {
    if (!(error instanceof CommanderError)) return tell(error)
    const usage = usageError(error, argv)
    return usage === null ? 0 : tell(usage)
  }
}
