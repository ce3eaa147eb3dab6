import { Command, type CommanderError } from 'commander'
import { BACKENDS } from '../backend/index.ts'
import { findSetting } from '../config/settings.ts'
import { RankzeroError } from '../errors.ts'
import { commandSources } from './sources.ts'

/** Where a command leaves its exit status when it is not 0. */
export type Exit = (status: number) => void

/** Options of every command. */
export interface Shared {
  /** Parent of the run directories. */
  dir?: string
}

/** A command with the options and the manners that all of ours have: it throws, it never exits by itself. */
export function command(name: string): Command {
  return bare(name).option('--dir <D>', 'parent of the run directories (RANKZERO_DIR, else ./rankzero)')
    .option('--config <FILE>', 'configuration file (RANKZERO_CONFIG, else ~/.rankzero/config.json)')
}

/** Absolute. @throws RankzeroError USAGE. */
export const dirOf = (flags: Shared): string =>
  findSetting('dir', { ...commandSources(), flags: { dir: flags.dir } }).value

/** @throws RankzeroError USAGE. */
export function checkNames(backends: readonly string[]): void {
  const unknown = backends.find((name) => !BACKENDS.includes(name))
  if (unknown === undefined) return
  throw new RankzeroError('USAGE', `no backend '${unknown}' in this version`,
    `give one or more of: ${BACKENDS.join(', ')}`)
}

export function bare(name: string): Command {
  return new Command(name).exitOverride().configureOutput({ writeErr: () => {} })
    .helpOption('-h, --help', 'show this').showHelpAfterError(false).allowExcessArguments(false)
}

/** What commander found wrong, in our words. Null: it only showed help or the version. */
export function usageError(error: CommanderError, argv: readonly string[]): RankzeroError | null {
  if (error.exitCode === 0) return null
  const [first = ''] = argv
  const name = first === '' || first.startsWith('-') ? '' : ` ${first}`
  if (error.code === 'commander.help') {
    return new RankzeroError('USAGE', 'no command given', 'rankzero --help lists them')
  }
  const text = error.message.replace(/^error: /, '').replace(/\n/g, ' ')
  const help = error.code === 'commander.unknownCommand' ? '' : name
  return new RankzeroError('USAGE', text, `rankzero${help} --help shows what can be said`)
}
