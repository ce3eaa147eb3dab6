/**
 * SETTINGS.md, written from the table of settings: `settingsTable()` is the file, and a test holds them
 * equal.
 */
import { fileNameOf, SETTING_NAMES, SETTINGS } from './settings.ts'

/**
 * Variables that are no settings: `rankzero run` sets them for its children, or they choose a part of ours.
 */
const VARIABLES: readonly (readonly [string, string])[] = [
  ['RANKZERO_RUN', 'Run id. Processes that have it belong to that run'],
  ['RANKZERO_MEETING', 'Where the processes of one run find each other (32 hex digits); before RANKZERO_RUN'],
  ['RANKZERO_CLI', 'How to start an agent: a JSON array of arguments, or the path of the rankzero command'],
  ['RANKZERO_SUPERVISOR', 'Supervisor of this node (pid:start time:boot id); while it lives, no exit waits'],
  ['RANKZERO_RANK', 'Global rank; with RANKZERO_WORLD_SIZE, RANKZERO_LOCAL_RANK, RANKZERO_LOCAL_WORLD_SIZE'],
  ['RANKZERO_PARENT_PID', 'Who set RANKZERO_RANK; they count only below that process'],
  ['RANKZERO_OWNER', 'Set by init(): which process logs for this rank, so that its children do not'],
  ['RANKZERO_NATIVE', '0: do without the native addon'],
]

export function settingsTable(): string {
  const lines = [
    '# Settings',
    '',
    'Written by `settingsTable()`; do not edit. The first source that has a value decides: code (`init`),',
    'flags of `rankzero run`, environment, configuration file, central configuration (CONFIG.md), default.',
    'Below `rankzero run`, flags and environment come before code for project, key, name and dir. In a file',
    'a setting has the name of the first column. Sizes are bytes, or `4MiB` (binary) or `4MB` (decimal);',
    'seconds may have a fraction. An empty variable counts as not set. A variable of a key holds the key; in',
    'a file stands a reference to it.',
    '',
    '| setting | flag | environment | code | form | default | meaning |',
    '|---|---|---|---|---|---|---|',
  ]
  for (const name of SETTING_NAMES) {
    const row = SETTINGS[name]
    const variables = row.env.map((variable) => `\`${variable}\``).join(', ')
    const flag = row.flag ? `\`${row.flag}\`` : ''
    const cells = [fileNameOf(name), flag, variables, row.code ? 'yes' : '', row.form, row.shown]
    lines.push(`| ${cells.join(' | ')} | ${row.about} |`)
  }
  lines.push('', '## Other variables', '', '| variable | meaning |', '|---|---|')
  for (const [variable, about] of VARIABLES) lines.push(`| \`${variable}\` | ${about} |`)
  return `${lines.join('\n')}\n`
}
