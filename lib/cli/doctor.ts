import type { Command } from 'commander'
import type { BackendCheck } from '../backend/index.ts'
import { findSetting } from '../config/settings.ts'
import { printableAll } from '../record/printable.ts'
import { checkNames, command, dirOf, type Shared } from './define.ts'
import type { Diagnosis } from './doctor/index.ts'
import { style, table } from './output.ts'

interface Flags extends Shared {
  backend?: string
  json?: true
}

export const doctorCommand = (): Command => command('doctor')
  .summary('who am I and why; launchers, Python, shared memory, limits')
  .description('Says which rank a process here would have and why, and what would slow or stop a run.')
  .option('--backend <B,...>', 'ask the servers of these backends too')
  .option('--json', 'one JSON object')
  .addHelpText('after', `
It shows: rank, world size and the variables that decided; launchers and Python with their versions; limits;
who answered where the head may be, and its clock; directories with their file systems; then findings, worst
first: error (it will not work), warning (it costs something), info; each with what to do about it.
With --backend comet also: server and its version, the proxy that leads there, whether the key is valid,
workspace and project, how far the server's clock is from ours, calls left where the server tells.
Ask it where the question is: rankzero run --nproc 2 -- rankzero doctor

Example:
  rankzero doctor --json`)
  .action(async (flags: Flags) => {
    const { diagnose } = await import('./doctor/index.ts')
    // Not by the variable: a rank that asks has no key.
    const named = findSetting('backend', { flags: { backend: flags.backend }, env: {} }).value
    checkNames(named)
    const diagnosis = await diagnose(dirOf(flags), process.env, named)
    const json = `${JSON.stringify(diagnosis)}\n`
    process.stdout.write(flags.json === true ? json : diagnosisText(printableAll(diagnosis)))
  })

type Asked = Diagnosis['head']['asked'][number]

function askedText({ name, address, port, answer, head, offsetMs, why }: Asked): string {
  const where = port === 0 ? address : `${address}:${port}`
  const what = head === null ? answer : `${answer}, which leads to ${head}`
  const clock = offsetMs === null ? '' : `; the head's clock is ${Math.round(offsetMs)} ms from ours`
  return `${name}${where === '' || where === name ? '' : ` (${where})`}: ${why === '' ? what : why}${clock}`
}

/** What is known; `clockMs: 5` as `clock 5 ms`, `callsLeft: 7` as `calls left 7`. */
const factsText = (facts: BackendCheck['facts']): string => Object.entries(facts)
  .filter(([, value]) => value !== null).map(([fact, value]) => fact.endsWith('Ms')
    ? `${fact.slice(0, -2)} ${value} ms`
    : `${fact.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)} ${value}`).join(', ')

const pythonText = (python: Diagnosis['python']): string => python === null ? 'none on PATH'
  : `${python.version} (${python.path}), `
    + (python.client === null ? 'without rankzero' : `with rankzero ${python.client.version}`)

function limitsText({ openFiles, processes, memlock, somaxconn }: Diagnosis['limits']): string {
  const shown = (value: number | null): string => value === null ? 'any number of' : String(value)
  const locked = memlock === null ? 'all memory' : `${Math.round(memlock / 2 ** 20)} MiB`
  return `${shown(openFiles)} open files, ${shown(processes)} processes, ${locked} locked, `
    + `${shown(somaxconn)} waiting connections`
}

const COLOURS = { error: 'red', warning: 'yellow', info: 'dim' } as const

function diagnosisText(one: Diagnosis): string {
  const variables = Object.entries(one.variables).map(([name, value]) => `${name}=${value}`).join(' ')
  const launched = one.launchedBy
  const launchers = one.launchers.map(({ name, version }) => `${name} ${version ?? '?'}`).join(', ')
  const facts: [string, string][] = [
    ['rank', `${one.rank} of ${one.worldSize}, local rank ${one.localRank}, on ${one.node}`],
    ['because', `${one.source}${variables === '' ? '' : `: ${variables}`}`],
    ['meeting', `${one.meeting} (from ${one.meetingFrom})`],
    ['versions', `rankzero ${one.versions.rankzero}, node ${one.versions.node}, ${one.native}`],
    ['launched', launched === null ? 'by no launcher' : `by ${launched.name} (pid ${launched.pid})`],
    ['launchers', launchers === '' ? 'none on PATH' : launchers],
    ['python', pythonText(one.python)],
    ['limits', limitsText(one.limits)],
    ...one.head.asked.map((asked): [string, string] => ['head', askedText(asked)]),
    ...one.backends.map(({ name, facts }): [string, string] => [name, factsText(facts)]),
  ]
  const places = one.places.map(({ what, path, type, free, writable }) =>
    [what, path, type, `${(free / 2 ** 30).toFixed(1)} GiB free`, writable ? '' : 'not writable'])
  const findings = one.findings.map(({ level, what, remedy }) =>
    `${style(COLOURS[level], level.padEnd(9))}  ${what}\n${' '.repeat(11)}${remedy}\n`)
  return facts.map(([name, text]) => `${style('dim', name.padEnd(9))}  ${text}\n`).join('')
    + `\n${table(['place', 'path', 'file system', 'room', ''], places)}\n`
    + (findings.length === 0 ? `${style('green', 'nothing to complain about')}\n` : findings.join(''))
}
