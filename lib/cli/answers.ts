import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { silentOf } from '../aside.ts'
import { findSetting, type Sources } from '../config/settings.ts'
import { RankzeroError } from '../errors.ts'
import { DISK_ANSWER_MS } from '../limits.ts'

/**
 * Who reads a dead disk hangs, and not even Ctrl-C ends it: each is asked before a command goes there.
 * @throws RankzeroError TIMEOUT.
 */
export async function mustAnswer(paths: readonly string[]): Promise<void> {
  const [silent] = await silentOf([...new Set(paths)])
  if (silent === undefined) return
  throw new RankzeroError('TIMEOUT',
    `${silent} does not answer within ${DISK_ANSWER_MS / 1000} s: its disk or file server hangs`,
    'try again when it is back; nothing was changed')
}

/** What a command is about to read: known before it starts from its name, options and arguments. */
export function placesOf(command: Command, known: Sources): string[] {
  const { dir, resume, secretFile } = command.opts<{ dir?: string; resume?: string; secretFile?: string }>()
  const sources: Sources = { ...known, flags: { dir, resume, secretFile }, onInvalid: () => {} }
  const runs = findSetting('dir', sources).value
  const name = command.name()
  if (name === 'run') {
    // COMMAND is not kept from running by a disk that it may have no use for.
    const again = findSetting('resume', sources).value
    const secret = findSetting('secretFile', sources).value
    return [...again === null ? [] : [runs, ...pathsIn([again])], ...secret === null ? [] : [secret]]
  }
  const named = [runs, ...pathsIn(command.args)]
  if (name !== 'sync' && name !== 'doctor') return named
  return [...named, findSetting('lockDir', sources).value, join(homedir(), '.rankzero', 'pending')]
}

const pathsIn = (words: readonly string[]): string[] =>
  words.filter((word) => word.includes('/')).map((word) => resolve(word))
