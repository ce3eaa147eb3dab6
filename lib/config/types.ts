/** Types of room config: what is set, what a row of the table says, where values come from. */
import type { RankzeroError } from '../errors.ts'
import type { KeyRef } from './values.ts'

export type Env = Readonly<Record<string, string | undefined>>

export interface Settings {
  project: string
  /** null: the run id stands in. */
  name: string | null
  /** null: generated. */
  key: string | null
  /** Parent of the run directories, absolute. */
  dir: string
  backend: string[]
  onCollision: 'fail' | 'wait' | 'rename'
  onFailure: 'stop' | 'continue'
  exitTimeoutMs: number
  /** Run id or directory to resume. */
  resume: string | null
  nproc: number | null
  /** null: collapse with nproc, else raw. */
  console: 'collapse' | 'prefix' | 'raw' | null
  /** null: decided by what COMMAND is (DESIGN 11). */
  forwardSignals: boolean | null
  passKeys: boolean
  pythonPath: boolean
  lockDir: string
  /** null: /dev/shm/rankzero-<uid>. */
  shmDir: string | null
  overflowCap: number
  spoolCap: number
  sealAfterMs: number
  joinTimeoutMs: number
  /** Interval of the system metrics, ms; 0: none. */
  systemMetrics: number
  /** null: the run directory. */
  jsonlDir: string | null
  /** null: the one that the API key names, else www.comet.com. */
  cometUrl: string | null
  /** null: the default one of the API key. */
  workspace: string | null
  tags: string[]
  /** Backends that have archives are not called. */
  offline: boolean
  /** Which ranks get series of their own at backends. */
  rankSeries: 'none' | 'outliers' | 'all'
  /** Budgets of the whole job. */
  cometCalls: Rate
  cometMetrics: Rate
  cometParameters: Rate
  cometOutput: Rate
  cometOther: Rate
  /** Of one series. */
  cometPoints: number
  /** Backends log their HTTP calls. */
  debug: boolean
  /** null: found (DESIGN 11). `host` or `host:port`. */
  head: string | null
  /** null: the head makes one in its run directory. */
  secretFile: string | null
  cometApiKey: KeyRef | null
  webhookUrl: KeyRef | null
  webhookSecret: KeyRef | null
  /** null: ~/.rankzero/config.json, if it is there. */
  config: string | null
  configUrl: string | null
  configSha256: string | null
  /** Ed25519, base64 of 32 bytes, or of what openssl calls DER. */
  configPublicKey: string | null
}
export type SettingName = keyof Settings

/** So many in any window of so many ms. */
export interface Rate {
  max: number
  windowMs: number
}

/** Where a value was found, in words for a message: `--key`, `RANKZERO_KEY`, `init({ key })`, `default`. */
export interface Origin {
  from: 'code' | 'flag' | 'environment' | 'file' | 'url' | 'default'
  place: string
}

export interface Row<T> {
  /** Flag of `rankzero run`, if it has one. */
  flag?: string
  /** Variables, the first that is set decides. */
  env: readonly string[]
  /** May be given to `init()`. */
  code?: true
  /** Says where the others are read, so the central document has no say in it. */
  own?: true
  /** Its variable holds the key itself, and its value is a reference. */
  key?: true
  /** How to write it. */
  form: string
  /** As a person would write the default. */
  shown: string
  initial: (cwd: string) => T
  /** The value, or an Error whose message completes "<place> is <value>: …". */
  read: (raw: unknown, cwd: string) => T
  about: string
}

/** A file, or the central document, as it was read: values that can be used. */
export interface Layer {
  from: 'file' | 'url'
  /** Path, or URL. */
  place: string
  /** With where it stands, in words. */
  values: ReadonlyMap<SettingName, { value: unknown; place: string }>
}

export interface Sources {
  /** What `init()` was given. */
  code?: Partial<Record<SettingName, unknown>>
  /** What the command line has, as text or already typed. */
  flags?: Partial<Record<SettingName, unknown>>
  env: Env
  /** Files and the central document, the first decides. */
  layers?: readonly Layer[]
  /** What relative paths are relative to; default the working directory. */
  cwd?: string
  /**
   * Called with each value that cannot be used; the next source then decides. Without it, such a value
   * throws.
   */
  onInvalid?: (error: RankzeroError) => void
}

export interface Found<T> {
  value: T
  origin: Origin
  /** Values of lower sources that say something else. */
  overruled: { value: T; origin: Origin }[]
}
