/**
 * Room config, second half: the schema of complete settings. Everybody but a trainer resolves here, and
 * settings that came from another process are checked here.
 */
import { z } from 'zod'
import { RankzeroError } from '../errors.ts'
import {
  findSetting, SETTING_NAMES, type Origin, type SettingName, type Settings, type Sources,
} from './settings.ts'

const ms = z.number().int().min(0).max(2 ** 31 - 1)
const bytes = z.number().int().min(0)
const path = z.string().startsWith('/')
const text = z.string().min(1)
const key = z.union([
  z.strictObject({ env: text }), z.strictObject({ file: path, at: text.optional() }),
  z.strictObject({ command: z.array(text).min(1) }),
])
const rate = z.strictObject({ max: z.number().int().min(1), windowMs: z.number().int().min(1) })

export const SettingsSchema = z.strictObject({
  project: text,
  name: text.nullable(),
  key: text.nullable(),
  dir: path,
  backend: z.array(text).min(1),
  onCollision: z.enum(['fail', 'wait', 'rename']),
  onFailure: z.enum(['stop', 'continue']),
  exitTimeoutMs: ms,
  resume: text.nullable(),
  nproc: z.number().int().min(1).nullable(),
  console: z.enum(['collapse', 'prefix', 'raw']).nullable(),
  forwardSignals: z.boolean().nullable(),
  passKeys: z.boolean(),
  pythonPath: z.boolean(),
  lockDir: path,
  shmDir: path.nullable(),
  overflowCap: bytes,
  spoolCap: bytes,
  sealAfterMs: ms,
  joinTimeoutMs: ms,
  systemMetrics: ms,
  jsonlDir: path.nullable(),
  cometUrl: text.nullable(),
  workspace: text.nullable(),
  tags: z.array(text),
  offline: z.boolean(),
  rankSeries: z.enum(['none', 'outliers', 'all']),
  cometCalls: rate,
  cometMetrics: rate,
  cometParameters: rate,
  cometOutput: rate,
  cometOther: rate,
  cometPoints: z.number().int().min(1),
  debug: z.boolean(),
  head: text.nullable(),
  secretFile: path.nullable(),
  cometApiKey: key.nullable(),
  webhookUrl: key.nullable(),
  webhookSecret: key.nullable(),
  config: path.nullable(),
  configUrl: text.nullable(),
  configSha256: text.nullable(),
  configPublicKey: text.nullable(),
}) satisfies z.ZodType<Settings>

export interface Resolved {
  settings: Settings
  origins: Record<SettingName, Origin>
  /** One line per value that a higher source overruled, for a single report. */
  differences: string[]
}

/**
 * All settings from their sources, with the origin of each.
 * @throws RankzeroError USAGE naming value, place and remedy.
 */
export function resolveSettings(sources: Sources): Resolved {
  const values: Partial<Record<SettingName, unknown>> = {}
  const origins: Partial<Record<SettingName, Origin>> = {}
  const differences: string[] = []
  for (const name of SETTING_NAMES) {
    const found = findSetting(name, sources)
    values[name] = found.value
    origins[name] = found.origin
    for (const other of found.overruled) {
      differences.push(`${name} is '${found.value}' from ${found.origin.place}, not '${other.value}' `
        + `from ${other.origin.place}`)
    }
  }
  return { settings: checkSettings(values), origins: origins as Record<SettingName, Origin>, differences }
}

/** Complete settings as another process handed them over. @throws RankzeroError USAGE naming the fields. */
export function checkSettings(values: unknown): Settings {
  const parsed = SettingsSchema.safeParse(values)
  if (parsed.success) return parsed.data
  const fields = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'settings'}: ${issue.message}`)
  throw new RankzeroError('USAGE', `settings cannot be used: ${fields.join('; ')}`,
    'Run the same version of rankzero everywhere; rankzero doctor shows where each setting comes from.')
}
