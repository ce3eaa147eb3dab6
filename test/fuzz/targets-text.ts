/** Decoders of text and of files of text: ledger, environment and settings, command line, small files. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { withErrorFile } from '../../lib/agent/error-file.ts'
import { audit, points, rows } from '../../lib/aggregator/replay.ts'
import { State } from '../../lib/aggregator/core-state.ts'
import { auditCommand } from '../../lib/cli/audit.ts'
import { consoleCommand } from '../../lib/cli/console.ts'
import { usageError } from '../../lib/cli/define.ts'
import { doctorCommand } from '../../lib/cli/doctor.ts'
import { exportCommand } from '../../lib/cli/export.ts'
import { runSubcommand, superviseOptions } from '../../lib/cli/run.ts'
import { shown, statusCommand } from '../../lib/cli/status.ts'
import { syncCommand } from '../../lib/cli/sync.ts'
import { readCometFile, readDocument, type Place } from '../../lib/config/document.ts'
import { findSetting, SETTING_NAMES, SETTINGS, type Env } from '../../lib/config/settings.ts'
import { RankzeroError } from '../../lib/errors.ts'
import { launcherOf, remoteHint, startsRemote, torchNodes } from '../../lib/launch/core-command.ts'
import { openLedger, type Entry, type Ledger } from '../../lib/ledger/index.ts'
import { headCandidates, identify, meetingId, parseOwner, type Facts } from '../../lib/rank/index.ts'
import { readKeys } from '../../lib/transport/secret.ts'
import { decodeBatch } from '../../lib/wire/index.ts'
import { corpusOf, mutateBytes, mutateJsonText, oddText, pick, type Random, type Target } from './kit.ts'

let folder = ''
const scratch = (): string => (folder ||= mkdtempSync('/dev/shm/rz-guard-fuzz-'))

/** For tests: after the last target. */
export function removeScratch(): void {
  if (folder !== '') rmSync(folder, { recursive: true, force: true })
}

function law(holds: boolean, text: string): void {
  if (!holds) throw new Error(`broken: ${text}`)
}

const textOf = (input: Uint8Array): string => Buffer.from(input).toString()
const NOTHING = 'no JSON of the kind'

function jsonOf<T>(input: Uint8Array): T | null {
  try {
    const value: unknown = JSON.parse(textOf(input))
    return typeof value === 'object' && value !== null ? value as T : null
  } catch {
    return null
  }
}

// --- ledger: a file of SQLite, or the entries of one as JSON with the blobs in base64

const SQLITE = 'SQLite format 3'

const ledger: Target = {
  name: 'ledger',
  seeds() {
    const path = join(scratch(), 'recorded.sqlite')
    const made = openLedger(path)
    made.append(entriesOf(corpusOf('ledger')[0]!) ?? [])
    made.close()
    return [readFileSync(path)]
  },
  mutate: (input, random, others) =>
    isSqlite(input) ? mutateBytes(input, random) : mutateJsonText(input, random, others),
  run: (input) => isSqlite(input) ? ofFile(input) : ofEntries(input),
}
const isSqlite = (input: Uint8Array): boolean => textOf(input.subarray(0, SQLITE.length)) === SQLITE

function ofFile(input: Uint8Array): string {
  const path = join(scratch(), 'ledger.sqlite')
  writeFileSync(path, input)
  const opened = openLedger(path, { readonly: true })
  try {
    return readAs(opened)
  } finally {
    opened.close()
  }
}

/** As ledger.ts makes them of a row, whatever the row holds. */
function entriesOf(input: Uint8Array): Entry[] | null {
  const list = jsonOf<Record<string, unknown>[]>(input)
  if (!Array.isArray(list)) return null
  return list.flatMap((one, at): Entry[] => {
    if (typeof one !== 'object' || one === null) return []
    const data = Buffer.from(String(one['data'] ?? ''), 'base64')
    const seqs = { firstSeq: Number(one['firstSeq']), lastSeq: Number(one['lastSeq']) }
    const head = { pos: at + 1, at: Number(one['at']) }
    return [one['type'] === 'batch'
      ? { ...head, ...seqs, type: 'batch', instance: String(one['instance']), data }
      : { ...head, type: 'note', kind: String(one['kind']), body: one['body'] }]
  })
}

function ofEntries(input: Uint8Array): string {
  const entries = entriesOf(input)
  if (entries === null) return NOTHING
  const waits = { sealAfterMs: 1, joinTimeoutMs: 1 }
  const state = new State({ ...waits, openRowsBytesMax: 1 << 20, decode: decodeBatch })
  for (const entry of entries) state.apply(entry)
  for (const note of state.decide(Date.now())) law(note.type === 'note', 'decisions are notes')
  state.drain(Date.now())
  state.health(Date.now())
  state.metrics(10)
  return readAs({
    id: 'l', path: '/r/ledger.sqlite', entries: () => entries, meta: () => ({}), append: () => 0,
    setMeta() {}, term: () => 0, fence() {}, close() {},
  })
}

function readAs(of: Ledger): string {
  const books = audit(of)
  let merged = 0
  for (const row of rows(of)) if (row.metric !== '') merged++
  let single = 0
  for (const point of points(of)) if (point.metric !== '') single++
  return `${books.balanced} ${books.ranks.length} ${merged > 0} ${single > 0}`
}

// --- environments: what launchers set, and our settings

interface Recording { processes: { env: Env }[] }
const RECORDED = join(import.meta.dirname, '../rank/env')
const ALL_SETTINGS = Object.fromEntries([
  ['RANKZERO_RUN', 'r1'], ['RANKZERO_MEETING', 'ab'.repeat(16)], ['RANKZERO_HEAD', '[fd00::1]:99'],
  ['RANKZERO_EXIT_TIMEOUT', '1.5'], ['RANKZERO_OVERFLOW_CAP', '4MiB'], ['RANKZERO_NPROC', '4'],
  ['RANKZERO_SYSTEM_METRICS', '5s'], ['RANKZERO_SECRET_FILE', '~/s'], ['RANKZERO_BACKEND', 'local,comet'],
  ['RANKZERO_ON_COLLISION', 'wait'], ['RANKZERO_PASS_KEYS', 'yes'], ['RANKZERO_KEY', 'k'],
  ['RANKZERO_OWNER', '1:2:3:4:5'], ['PET_NNODES', '1:4'], ['PET_RDZV_ENDPOINT', 'h:29400'],
])

const environment: Target = {
  name: 'environment',
  seeds() {
    const envs = readdirSync(RECORDED).flatMap((name) => {
      const { processes } = JSON.parse(readFileSync(join(RECORDED, name), 'utf8')) as Recording
      return processes.slice(0, 2).map(({ env }) => env)
    })
    return [...envs, ALL_SETTINGS].map((env) => Buffer.from(JSON.stringify(env)))
  },
  mutate: mutateJsonText,
  run(input) {
    const given = jsonOf<Record<string, unknown>>(input)
    if (given === null) return NOTHING
    const env = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]))
    const facts: Facts = {
      pid: 100, procStart: 7, bootId: 'b', uid: 0, ancestors: [{ pid: 9, start: 1, name: 'torchrun' }],
    }
    const me = identify(env, facts)
    law(me.rank >= 0 && me.rank < me.worldSize && me.localRank < me.worldSize, 'a rank is below the size')
    law(/^[0-9a-f]{32}$/.test(meetingId(env, facts, me).meeting), 'a meeting is 32 hex digits')
    headCandidates(env, me)
    parseOwner(env, facts)
    torchNodes([], env)
    const invalid: string[] = []
    for (const name of SETTING_NAMES) {
      const { value } = findSetting(name, { env, cwd: '/w', onInvalid: (error) => {
        law(error instanceof RankzeroError && error.remedy !== '', 'a refusal has a remedy')
        invalid.push(name)
      } })
      const isPath = name === 'dir' || name === 'lockDir' || name === 'secretFile'
      law(!isPath || value === null || /^\/[^\0\n]*$/.test(String(value)), `${name} is an absolute path`)
    }
    return `${me.source} ${invalid.length > 3 ? '>' : invalid.join()}`
  },
}

// --- command lines

const SUBCOMMANDS: Record<string, () => Command> = {
  run: () => runSubcommand(() => {}), status: statusCommand, export: exportCommand,
  audit: () => auditCommand(() => {}), sync: () => syncCommand(() => {}), console: consoleCommand,
  doctor: doctorCommand,
}
const LINES = [
  ['run', '--nproc', '2', '--project', 'p', '--name=n', '--key', 'k', '--', 'python', 't.py', '--lr', '1'],
  ['run', '--exit-timeout', '2', '--head', 'h:1', '--', 'torchrun', '--nnodes=2', '--rdzv-endpoint=h:1'],
  ['run', '--on-collision', 'wait', '--', 'mpirun', '-np', '4', '-H', 'a,b', '-x', 'RANKZERO_RUN', './t'],
  ['run', '--no-system-metrics', '--system-metrics', '5s', '--', 'srun', '--export=NONE', 'python', 't.py'],
  ['status', 'latest', '--json', '--watch', '--dir', '/nowhere'], ['export', '--points', '--metric', 'a*'],
  ['audit', 'r1', '--json'], ['sync', '--all', '--key', 'k'], ['console', '--follow'], ['doctor', '--json'],
]

const commandLines: Target = {
  name: 'arguments',
  seeds: () => LINES.map((words) => Buffer.from(JSON.stringify(words))),
  mutate(input, random, others) {
    const words = jsonOf<unknown[]>(input)
    if (!Array.isArray(words) || random() < 0.2) return mutateJsonText(input, random, others)
    words.splice(1 + Math.floor(random() * words.length), random() < 0.5 ? 1 : 0, oddWord(random))
    return Buffer.from(JSON.stringify(words))
  },
  run(input) {
    const given = jsonOf<unknown[]>(input)
    if (!Array.isArray(given)) return NOTHING
    const [name = '', ...words] = given.map(String)
    launcherOf(words)
    startsRemote(launcherOf(words))
    remoteHint(launcherOf(words), false)
    torchNodes(words, {})
    const make = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined
    if (make === undefined) return 'no such command'
    const subcommand = make().configureOutput({ writeOut() {}, writeErr() {} })
    // What it would do is left out; what it reads of its words is not.
    subcommand.action((first: unknown, flags: unknown) => {
      if (name === 'run') superviseOptions(first as string[], flags as never, { env: { PATH: '/nowhere' } })
    })
    try {
      subcommand.parse(words, { from: 'user' })
    } catch (error) {
      if (error instanceof RankzeroError) throw error
      const said = usageError(error as never, [name])
      law(said === null || said.code === 'USAGE', `${name}: ${String(error)}`)
      return said === null ? `${name} help` : `${name} usage`
    }
    return name
  },
}

const oddWord = (random: Random): string => random() < 0.4 ? oddText(random) : pick(random, [
  '--', '-', '--nproc', '--nproc=-1', '--key=', '--dir', '--json=1', '--help', '-h', '--console=raw',
  'latest', '..', '--system-metrics', '--no-python-path', '--forward-signals', '--head=::',
  '--secret-file=/dev/zero', '--resume', '--backend=local,,', '-m', 'torch.distributed.run',
  '--rdzv-conf=is_host=x', 'env', 'timeout',
  '--metric=**',
])

// --- small files, told apart by their first byte: a secret, an exception of torchelastic, a picture of a run

const files: Target = {
  name: 'files',
  mutate(input, random, others) {
    const rest = input.subarray(1)
    const body = input[0] === 0x73 ? mutateBytes(rest, random) : mutateJsonText(rest, random, others)
    return Buffer.concat([input.subarray(0, 1), body])
  },
  run(input) {
    const kind = String.fromCharCode(input[0] ?? 0)
    const path = join(scratch(), 'status.json')
    rmSync(path, { force: true })
    writeFileSync(path, input.subarray(1), { mode: 0o600 })
    if (kind === 's') return readKeys(path).client.publicKey.length === 40 ? 'secret' : 'bad key'
    if (kind === 'e') {
      const { cause, error } = withErrorFile({ exit: null, signal: null, cause: 'unknown' }, path)
      law((error === undefined) === (cause === 'unknown'), 'an exception is a cause')
      law(error === undefined || typeof error.message === 'string', 'a message is text')
      return `error file ${error?.type.length}`
    }
    const { text } = shown({ run: 'r', dir: scratch() }, false)
    law(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text), 'nothing of it moves the cursor')
    return `picture ${text.split('\n').length > 10}`
  },
}

// --- configurations, told apart by their first byte: central, pinned, a file, `.comet.config`

const refused = { why: 'no', remedy: 'do' }
const CONFIGS: Record<string, Place> = {
  c: { from: 'url', place: 'https://h/c.json', base: null, exposed: refused, mayRun: refused },
  p: { from: 'url', place: 'https://h/c.json', base: null, exposed: refused, mayRun: true },
  f: { from: 'file', place: '/h/c.json', base: '/h', exposed: null, mayRun: true },
  e: { from: 'file', place: '/h/c.json', base: '/h', exposed: refused, mayRun: refused },
  i: { from: 'file', place: '/h/.comet.config', base: '/h', exposed: null, mayRun: refused },
}

const configuration: Target = {
  name: 'configuration',
  mutate(input, random, others) {
    const rest = input.subarray(1)
    if (input[0] === 0x69) return Buffer.concat([input.subarray(0, 1), mutateBytes(rest, random)])
    const body = mutateJsonText(rest, random, others.map((one) => one.subarray(1)))
    return Buffer.concat([Buffer.from(pick(random, ['c', 'p', 'f', 'e'])), body])
  },
  run(input) {
    const kind = String.fromCharCode(input[0] ?? 0)
    const place = CONFIGS[kind]
    if (place === undefined) return 'no such place'
    const text = textOf(input.subarray(1))
    const { layer, problems } = kind === 'i' ? readCometFile(text, place) : readDocument(text, place)
    for (const error of problems) {
      law(error instanceof RankzeroError && error.code === 'CONFIG' && error.remedy !== '', 'a remedy')
      law(error.message.startsWith(place.place), 'an error names its place')
    }
    for (const [name, { value }] of layer.values) {
      const { key } = SETTINGS[name]
      law(!key || value === null || typeof value === 'object', 'a key itself is no value')
      const isCommand = key && value !== null && Object.hasOwn(value as object, 'command')
      law(!isCommand || place.mayRun === true, 'what anybody can write starts no program')
      law(name !== 'config' && (place.from === 'file' || name !== 'configUrl'), 'it does not say where it is')
      const found = findSetting(name, { env: {}, layers: [layer], cwd: '/w' })
      law(found.origin.from === place.from, `${name} is what was read`)
    }
    return `${kind} ${layer.values.size > 9 ? '>' : [...layer.values.keys()].join()} ${problems.length > 0}`
  },
}

export const TEXT_TARGETS: Target[] = [ledger, environment, commandLines, files, configuration]
