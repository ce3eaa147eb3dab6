/**
 * Room config, first half: the table of settings, how a raw value is read, and which source wins.
 *
 * In: values from code, flags, environment and layers (files, the central document). Out: one value per
 * setting and where it came from.
 * Invariants: one row per setting; a value that cannot be used names itself, its place and the remedy; '' in
 * the environment counts as not set; a key is told by reference (KeyRef), whoever asks. It reads no file, and
 * it holds no zod: importing zod costs 70-100 ms, which a trainer must not pay, so the logger reads its few
 * settings here and everybody else goes through schema.ts, which checks the whole.
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { RankzeroError } from '../errors.ts'
import {
  COMET_CALLS, COMET_METRICS, COMET_OTHER, COMET_OUTPUT, COMET_PARAMETERS,
  COMET_SERIES_POINTS,
} from '../limits-comet.ts'
import {
  EXIT_TIMEOUT_MS, JOIN_TIMEOUT_MS, OVERFLOW_CAP_BYTES,
  SEAL_AFTER_MS, SPOOL_CAP_BYTES, SYSTEM_INTERVAL_MS,
} from '../limits.ts'
import type {
  Env, Found, Origin, Rate, Row, SettingName, Settings, Sources,
} from './types.ts'
import {
  readBytes, readChoice, readCount, readFlag, readHost, readInterval, readList, readPath, readRate,
  readReference, readSeconds, readSha256, readText, readUrl, type KeyRef,
} from './values.ts'

export type { Env, Found, Layer, Origin, Rate, Row, SettingName, Settings, Sources } from './types.ts'

const text = (about: string, env: string[], flag: string): Row<string | null> => ({
  flag, env, code: true, form: 'text', shown: 'none', initial: () => null, read: readText, about,
})
const seconds = (ms: number, about: string, env: string, flag?: string): Row<number> => ({
  flag, env: [env], form: 'seconds', shown: `${ms / 1000}`, initial: () => ms, read: readSeconds, about,
})
const bytes = (size: number, about: string, env: string): Row<number> => ({
  env: [env], form: 'bytes', shown: `${size / 2 ** 20}MiB`, initial: () => size, read: readBytes, about,
})
const choice = <T extends string>(
  all: readonly [T, ...T[]], about: string, env: string, flag: string,
): Row<T> => ({
  flag, env: [env], form: all.join(', '), shown: all[0], initial: () => all[0],
  read: (raw) => readChoice(raw, all), about,
})

const rate = ({ max, windowMs }: Rate, about: string, env: string): Row<Rate> => ({
  env: [env], form: 'number per seconds, as `15000/3600`', shown: `${max}/${windowMs / 1000}`,
  initial: () => ({ max, windowMs }), read: readRate, about,
})

const keyOf = (about: string, env: string): Row<KeyRef | null> => ({
  env: [env], key: true, form: 'reference to a key', shown: 'none', initial: () => null, read: readReference,
  about,
})

const CONSOLE_MODES = ['collapse', 'prefix', 'raw'] as const

export const SETTINGS: { readonly [N in SettingName]: Row<Settings[N]> } = {
  project: {
    flag: '--project', env: ['RANKZERO_PROJECT', 'COMET_PROJECT_NAME', 'MLFLOW_EXPERIMENT_NAME'], code: true,
    form: 'text', shown: 'default', initial: () => 'default', read: readText,
    about: 'Project that the experiment belongs to; together with the key it names what one run may hold',
  },
  name: text('Name of the experiment; without one, the run id',
    ['RANKZERO_NAME', 'COMET_START_EXPERIMENT_NAME'], '--name'),
  key: text('Experiment key, held by one run at a time; without one, it is generated',
    ['RANKZERO_KEY', 'COMET_EXPERIMENT_KEY'], '--key'),
  dir: {
    flag: '--dir', env: ['RANKZERO_DIR'], form: 'path', shown: './rankzero',
    initial: (cwd) => join(cwd, 'rankzero'), read: (raw, cwd) => readPath(raw, cwd),
    about: 'Parent of the run directories',
  },
  backend: {
    flag: '--backend', env: ['RANKZERO_BACKEND'], form: 'names, separated by commas', shown: 'local',
    initial: () => ['local'], read: readList, about: 'Where the session is delivered to',
  },
  onCollision: choice(['fail', 'wait', 'rename'], 'What to do when another run holds the key',
    'RANKZERO_ON_COLLISION', '--on-collision'),
  onFailure: choice(['stop', 'continue'], 'With --nproc: whether a failed worker stops the others',
    'RANKZERO_ON_FAILURE', '--on-failure'),
  exitTimeoutMs: seconds(EXIT_TIMEOUT_MS, 'How long an exit may wait for what is not delivered yet',
    'RANKZERO_EXIT_TIMEOUT', '--exit-timeout'),
  resume: {
    flag: '--resume', env: ['RANKZERO_RESUME'], form: 'run id or directory', shown: 'none',
    initial: () => null, read: readText, about: 'Run to go on with, instead of a new one',
  },
  nproc: {
    flag: '--nproc', env: ['RANKZERO_NPROC'], form: 'number', shown: 'none', initial: () => null,
    read: readCount, about: 'Start COMMAND this many times, as ranks 0 to N-1',
  },
  console: {
    flag: '--console', env: ['RANKZERO_CONSOLE'], form: 'collapse, prefix, raw',
    shown: 'collapse with --nproc, else raw', initial: () => null,
    read: (raw) => readChoice(raw, CONSOLE_MODES),
    about: 'With --nproc: equal lines of several ranks as one, each line with its rank, or as they come',
  },
  forwardSignals: {
    flag: '--forward-signals', env: ['RANKZERO_FORWARD_SIGNALS'], form: 'yes or no',
    shown: 'as COMMAND needs', initial: () => null, read: readFlag,
    about: 'Send INT and TERM on to COMMAND, whoever else got them',
  },
  passKeys: {
    flag: '--pass-keys', env: ['RANKZERO_PASS_KEYS'], form: 'yes or no', shown: 'no', initial: () => false,
    read: readFlag, about: 'Leave variables that hold API keys in the environment of COMMAND',
  },
  pythonPath: {
    flag: '--no-python-path', env: ['RANKZERO_PYTHON_PATH'], form: 'yes or no', shown: 'yes',
    initial: () => true, read: readFlag, about: 'Append our Python client to PYTHONPATH of COMMAND',
  },
  lockDir: {
    env: ['RANKZERO_LOCK_DIR'], form: 'path', shown: '~/.rankzero/locks',
    initial: () => join(homedir(), '.rankzero', 'locks'), read: (raw, cwd) => readPath(raw, cwd),
    about: 'Directory of the locks; runs exclude each other as far as they share it',
  },
  shmDir: {
    env: ['RANKZERO_SHM_DIR'], form: 'path', shown: '/dev/shm/rankzero-UID', initial: () => null,
    read: (raw, cwd) => readPath(raw, cwd), about: 'Directory of the journals, in shared memory',
  },
  overflowCap: bytes(OVERFLOW_CAP_BYTES,
    'Per rank: what may wait in overflow segments before loss is counted', 'RANKZERO_OVERFLOW_CAP'),
  spoolCap: bytes(SPOOL_CAP_BYTES, 'Per node: what the agent may spool to disk before loss is counted',
    'RANKZERO_SPOOL_CAP'),
  sealAfterMs: seconds(SEAL_AFTER_MS, 'A row waits this long for ranks that never logged its metric',
    'RANKZERO_SEAL_AFTER'),
  joinTimeoutMs: seconds(JOIN_TIMEOUT_MS, 'Rows wait this long for ranks that have not joined',
    'RANKZERO_JOIN_TIMEOUT'),
  systemMetrics: {
    flag: '--system-metrics', env: ['RANKZERO_SYSTEM_METRICS'], form: 'yes, no, or seconds such as 5s',
    shown: `${SYSTEM_INTERVAL_MS / 1000}s`, initial: () => SYSTEM_INTERVAL_MS, read: readInterval,
    about: 'How often the agent samples CPU, memory, network, disk and GPU of its node into `sys/…`',
  },
  jsonlDir: {
    env: ['RANKZERO_JSONL_DIR'], form: 'path', shown: 'the run directory, as rows.jsonl',
    initial: () => null, read: (raw, cwd) => readPath(raw, cwd),
    about: 'Directory of the files of backend jsonl, `<run id>.jsonl` each',
  },
  cometUrl: {
    env: ['RANKZERO_COMET_URL', 'COMET_URL_OVERRIDE'], form: 'URL',
    shown: 'what COMET_API_KEY names, else https://www.comet.com', initial: () => null, read: readUrl,
    about: 'Server of backend comet, with or without `/clientlib/`',
  },
  workspace: {
    flag: '--workspace', env: ['RANKZERO_WORKSPACE', 'COMET_WORKSPACE'], form: 'text',
    shown: 'the default one of the API key', initial: () => null, read: readText,
    about: 'Comet workspace of the project',
  },
  tags: {
    flag: '--tags', env: ['RANKZERO_TAGS', 'COMET_START_EXPERIMENT_TAGS'], form: 'names, separated by commas',
    shown: 'none', initial: () => [], read: readList, about: 'Tags of the experiment',
  },
  offline: {
    flag: '--offline', env: ['RANKZERO_OFFLINE'], form: 'yes or no', shown: 'no', initial: () => false,
    read: readFlag, about: 'Call no Comet server: what it would get is in an archive, and `sync` delivers it',
  },
  rankSeries: choice(['none', 'outliers', 'all'],
    'Ranks with series of their own in Comet, `<metric>/rank/<n>`; outliers: lowest, highest, not finite',
    'RANKZERO_RANK_SERIES', '--rank-series'),
  cometCalls: rate(COMET_CALLS, 'Calls of the whole job to Comet', 'RANKZERO_COMET_CALLS'),
  cometMetrics: rate(COMET_METRICS, 'Metric values of the whole job to Comet', 'RANKZERO_COMET_METRICS'),
  cometParameters: rate(COMET_PARAMETERS, 'Parameters of the whole job to Comet',
    'RANKZERO_COMET_PARAMETERS'),
  cometOutput: rate(COMET_OUTPUT, 'Lines of output of the whole job to Comet', 'RANKZERO_COMET_OUTPUT'),
  cometOther: rate(COMET_OTHER, 'Everything else of the whole job to Comet', 'RANKZERO_COMET_OTHER'),
  cometPoints: {
    env: ['RANKZERO_COMET_POINTS'], form: 'number', shown: `${COMET_SERIES_POINTS}`,
    initial: () => COMET_SERIES_POINTS, read: readCount,
    about: 'Points of one series in Comet; what a metric has beyond is thinned more and more',
  },
  debug: {
    flag: '--debug', env: ['RANKZERO_DEBUG'], form: 'yes or no', shown: 'no', initial: () => false,
    read: readFlag,
    about: 'Log each HTTP call of a backend in requests.log of the run directory, without keys',
  },
  head: {
    flag: '--head', env: ['RANKZERO_HEAD'], form: 'host or host:port', shown: 'found',
    initial: () => null, read: readHost, about: 'Host of the head, where it cannot be found otherwise',
  },
  secretFile: {
    flag: '--secret-file', env: ['RANKZERO_SECRET_FILE'], form: 'path', shown: 'in the run directory',
    initial: () => null, read: (raw, cwd) => readPath(raw, cwd),
    about: 'File of mode 0600 with the run secret; needed on each node if nodes share no run directory',
  },
  cometApiKey: keyOf('API key of backend comet', 'COMET_API_KEY'),
  webhookUrl: keyOf('Where backend webhook posts to; may hold a token, so it is kept as a key is',
    'RANKZERO_WEBHOOK_URL'),
  webhookSecret: keyOf('What backend webhook signs with', 'RANKZERO_WEBHOOK_SECRET'),
  config: {
    flag: '--config', env: ['RANKZERO_CONFIG'], own: true, form: 'path',
    shown: '~/.rankzero/config.json, if it is there', initial: () => null,
    read: (raw, cwd) => readPath(raw, cwd), about: 'The configuration file (CONFIG.md)',
  },
  configUrl: {
    env: ['RANKZERO_CONFIG_URL'], own: true, form: 'URL', shown: 'none', initial: () => null, read: readUrl,
    about: 'Central configuration: https, or http of this host',
  },
  configSha256: {
    env: ['RANKZERO_CONFIG_SHA256'], own: true, form: '64 hex digits', shown: 'none', initial: () => null,
    read: readSha256, about: 'Digest that the central configuration must have',
  },
  configPublicKey: {
    env: ['RANKZERO_CONFIG_PUBLIC_KEY'], own: true, form: 'Ed25519 public key, base64', shown: 'none',
    initial: () => null, read: readText, about: 'Who must have signed the central configuration',
  },
}
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[]

/** What a setting is called in files: without our unit, since there it is written as anywhere else. */
export const fileNameOf = (name: SettingName): string => name.replace(/Ms$/, '')

/** Under `rankzero run` these are the launch's to say, not the code's (DESIGN 8). */
const OF_THE_LAUNCH: ReadonlySet<SettingName> = new Set(['project', 'key', 'name', 'dir'])

/**
 * One setting from its sources: code, flags, environment, layers, default; below `rankzero run`
 * (RANKZERO_MEETING is set) flags and environment come before code for project, key, name and directory.
 * @throws RankzeroError USAGE for a value that cannot be used, unless `onInvalid` takes it.
 */
export function findSetting<N extends SettingName>(name: N, sources: Sources): Found<Settings[N]> {
  const row = SETTINGS[name] as Row<Settings[N]>
  const cwd = sources.cwd ?? process.cwd()
  const variable = row.env.find((each) => sources.env[each])
  const code = { raw: sources.code?.[name], origin: { from: 'code', place: `init({ ${name} })` } } as const
  const flag = { raw: sources.flags?.[name], origin: { from: 'flag', place: row.flag ?? name } } as const
  const env = {
    raw: variable && (row.key ? { env: variable } : sources.env[variable]),
    origin: { from: 'environment', place: variable ?? '' },
  } as const
  const launched = Boolean(sources.env.RANKZERO_RUN || sources.env.RANKZERO_MEETING)
  const launchFirst = OF_THE_LAUNCH.has(name) && launched
  const found: { value: Settings[N]; origin: Origin }[] = []
  for (const { raw, origin } of launchFirst ? [flag, env, code] : [code, flag, env]) {
    if (raw === undefined) continue
    try {
      found.push({ value: row.read(raw, cwd), origin })
    } catch (error) {
      const invalid = invalidValue(row, origin, raw, error)
      if (!sources.onInvalid) throw invalid
      sources.onInvalid(invalid)
    }
  }
  for (const { from, values } of sources.layers ?? []) {
    const one = values.get(name)
    if (one !== undefined) {
      found.push({ value: one.value as Settings[N], origin: { from, place: one.place } })
    }
  }
  const byDefault = { from: 'default', place: 'default' } as const
  const first = found[0] ?? { value: row.initial(cwd), origin: byDefault }
  const overruled = found.filter((other) => JSON.stringify(other.value) !== JSON.stringify(first.value))
  return { ...first, overruled }
}

/** What may be a key is not repeated. */
export function invalidValue(
  row: Row<unknown>, { from, place }: Origin, raw: unknown, cause: unknown,
): RankzeroError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const code = from === 'file' || from === 'url' ? 'CONFIG' : 'USAGE'
  const remedy = `Give ${place} as ${row.form}, or leave it out (default: ${row.shown}).`
  const seen = row.key ? 'no reference to a key' : shown(raw)
  return new RankzeroError(code, `${place} is ${seen}: ${why}`, remedy)
}

function shown(raw: unknown): string {
  const written = typeof raw === 'string' ? `'${raw}'`
    : typeof raw === 'object' ? JSON.stringify(raw) : String(raw)
  return written.length > 200 ? `${written.slice(0, 200)}…` : written
}

const PATHS: readonly SettingName[] = ['dir', 'lockDir', 'shmDir', 'secretFile', 'jsonlDir', 'config']

/**
 * The same environment for a process that works in another directory: our own relative paths made absolute.
 */
export function withAbsolutePaths(env: Env, cwd?: string): Record<string, string | undefined> {
  const out = { ...env }
  for (const name of PATHS) {
    const [variable] = SETTINGS[name].env
    if (variable && env[variable]) out[variable] = readPath(env[variable], cwd ?? process.cwd())
  }
  if (env.COMET_CONFIG) out.COMET_CONFIG = readPath(env.COMET_CONFIG, cwd ?? process.cwd())
  return out
}
