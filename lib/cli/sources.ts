import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { silentOf } from '../aside.ts'
import type { CurrentConfig } from '../config/central.ts'
import type { Sources } from '../config/settings.ts'
import { readConfig } from '../config/layers.ts'
import { readPath } from '../config/values.ts'
import type { RankzeroError } from '../errors.ts'
import { DISK_ANSWER_MS } from '../limits.ts'
import { say } from '../launch/progress.ts'
import { mustAnswer } from './answers.ts'

/** They begin something, or show how it would begin, so they ask for the central configuration. */
const ASKING = new Set(['run', 'sync', 'show'])
/** They show what is wrong instead of stopping at it. */
const PATIENT = new Set(['doctor', 'show'])

const known: { sources: Sources; config: CurrentConfig | null } = {
  sources: { env: process.env }, config: null,
}

/** Environment, files and central document, as this command found them when it began. */
export const commandSources = (): Sources => known.sources
export const commandConfig = (): CurrentConfig | null => known.config
export const configProblems = (): readonly RankzeroError[] => known.config?.problems ?? []

/**
 * First in each command. `--config` becomes a variable, so that whatever is started knows it, too.
 * @throws RankzeroError CONFIG; TIMEOUT: a disk does not answer.
 */
export async function readSources(command: Command): Promise<void> {
  const { env } = process
  const { config: flag } = command.opts<{ config?: string }>()
  if (flag !== undefined) env['RANKZERO_CONFIG'] = readPath(flag, process.cwd())
  const named = [env['RANKZERO_CONFIG'], env['COMET_CONFIG']].filter((path) => path !== undefined)
  await mustAnswer(named.filter((path) => path !== ''))
  // Daemons work elsewhere.
  const here = resolve('.comet.config')
  if (!env['COMET_CONFIG'] && existsSync(here)) env['COMET_CONFIG'] = here
  const home = env['HOME'] ?? ''
  if (home !== '' && (await silentOf([home])).length > 0) {
    if (command.name() !== 'run') await mustAnswer([home])
    say(`${home} does not answer within ${DISK_ANSWER_MS / 1000} s: what is configured there does not count`)
    return
  }
  // Loaded where it is used: most commands ask nobody.
  const config = ASKING.has(command.name())
    ? await (await import('../config/central.ts')).currentConfig(env)
    : { ...readConfig(env), stale: null }
  known.config = config
  known.sources = { env, layers: config.layers }
  const { central, stale, problems } = config
  if (stale !== null && central?.copy) {
    const seen = new Date(central.copy.at).toISOString()
    say(`the central configuration ${central.url}: ${stale}; the copy of ${seen} is used`)
  }
  if (problems[0] !== undefined && !PATIENT.has(command.name())) throw problems[0]
}
