#!/usr/bin/env node
/**
 * Room cli: the command `rankzero`, one file per subcommand.
 *
 * In: argv. Out: data on stdout, our own voice on stderr, an exit status from one table (ERRORS.md).
 * Invariants: what can be checked before anything starts is checked before; a command imports its rooms when
 * it runs, so that --help and the daemons stay fast and small.
 * It holds no logic of other rooms: it reads arguments, calls one function and shows what came back.
 */
import { tell } from './output.ts'

/** A closed reader (`| head`) ends us quietly. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const [name = '', ...rest] = process.argv.slice(2)
try {
  if (name === 'agent' || name === 'aggregator') {
    const daemons = await import('./daemon.ts')
    // Their sockets and timers would keep a process alive that has nothing more to do.
    process.exit(await daemons[name](rest))
  }
  const { runCommand } = await import('./program.ts')
  leave(await runCommand(process.argv.slice(2)))
} catch (error) {
  leave(tell(error))
}

/** When all is written; a pipe to a daemon that nobody waits for any more must not keep us. */
function leave(status: number): void {
  process.stdout.write('', () => process.exit(status))
}
