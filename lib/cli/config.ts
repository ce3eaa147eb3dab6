import type { Command } from 'commander'
import {
  fileNameOf, findSetting, resolveSettings, SETTING_NAMES, SETTINGS, type Found, type SettingName,
} from '../config/index.ts'
import { referenceText, type KeyRef } from '../config/values.ts'
import { EXIT } from '../errors.ts'
import { bare, command, type Exit } from './define.ts'
import { table, tell } from './output.ts'
import { commandConfig, commandSources, configProblems } from './sources.ts'

interface Flags {
  origin?: true
  json?: true
}

interface Shown {
  name: string
  value: unknown
  from: string
  place: string
  overruled: readonly { value: unknown; place: string }[]
  isKey: boolean
}

export const configCommand = (exit: Exit): Command => bare('config')
  .summary('shows the settings and where each comes from')
  .description('Settings of what would be started here: flags of run come before all that is shown.')
  .addCommand(command('show')
    .summary('every setting with its value')
    .description('Shows every setting with its value, as rankzero run would have it here without flags.')
    .option('--origin', 'with where each value comes from, and what it overrules')
    .option('--json', 'one JSON object: settings, central, problems')
    .addHelpText('after', `
Keys are shown as where they are, and are not read. What is wrong with a file is said on stderr, and the exit
status is 2 then; such values do not count. Files, forms and names: lib/config/CONFIG.md.

Example:
  rankzero config show --origin`)
    .action((flags: Flags, own: Command) => {
      const { dir } = own.opts<{ dir?: string }>()
      const sources = { ...commandSources(), flags: { dir } }
      const settings = SETTING_NAMES.map((name) => {
        const { value, origin, overruled } = findSetting(name, sources) as Found<unknown>
        const others = overruled.map((other) => ({ value: writtenOf(name, other.value), ...other.origin }))
        const isKey = SETTINGS[name].key === true
        return { name: fileNameOf(name), value: writtenOf(name, value), ...origin, overruled: others, isKey }
      })
      // Together they must be what other processes take.
      resolveSettings(sources)
      const text = flags.json === true ? jsonText(settings) : tableText(settings, flags.origin === true)
      process.stdout.write(text)
      for (const problem of configProblems()) tell(problem)
      if (configProblems().length > 0) exit(EXIT.usage)
    }))

/** As one writes it, so that it can be put into a file. */
function writtenOf(name: SettingName, value: unknown): unknown {
  if (name === 'systemMetrics') return value === 0 ? 'no' : `${Number(value) / 1000}s`
  if (SETTINGS[name].form === 'seconds') return Number(value) / 1000
  const { max, windowMs = 0 } = (value ?? {}) as { max?: number; windowMs?: number }
  return max === undefined ? value : `${max}/${windowMs / 1000}`
}

function jsonText(settings: readonly Shown[]): string {
  const config = commandConfig()
  const copy = config?.central?.copy ?? null
  return `${JSON.stringify({
    settings: settings.map(({ isKey: _, ...one }) => one),
    central: config?.central == null ? null : {
      url: config.central.url, at: copy?.at ?? null, etag: copy?.etag ?? null, stale: config.stale,
    },
    problems: configProblems().map(({ message, remedy }) => ({ message, remedy })),
  })}\n`
}

function tableText(settings: readonly Shown[], origin: boolean): string {
  const rows = settings.map(({ name, value, place, overruled, isKey }) => {
    const shown = (each: unknown): string | null => each === null ? null
      : isKey ? referenceText(each as KeyRef) : typeof each === 'string' ? each : JSON.stringify(each)
    const others = overruled.map((other) => `${other.place} (${shown(other.value)})`)
    const more = others.length === 0 ? '' : `, not ${others.join(', ')}`
    return [name, shown(value), ...origin ? [`${place}${more}`] : []]
  })
  return table(['setting', 'value', ...origin ? ['from'] : []], rows)
}
