import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  checkSettings, findSetting, resolveSettings, SETTING_NAMES, SettingsSchema, settingsTable,
  withAbsolutePaths, type SettingName,
} from '../../lib/config/index.ts'
import type { RankzeroError } from '../../lib/errors.ts'

const cwd = '/work/here'
const value = (name: SettingName, raw: string) =>
  findSetting(name, { flags: { [name]: raw }, env: {}, cwd }).value

describe('defaults', () => {
  it('are complete and pass the schema', () => {
    const { settings, origins, differences } = resolveSettings({ env: {}, cwd })
    expect(SettingsSchema.parse(settings)).toEqual(settings)
    expect(settings).toMatchObject({
      project: 'default', name: null, key: null, dir: '/work/here/rankzero', backend: ['local'],
      onCollision: 'fail', onFailure: 'stop', exitTimeoutMs: 10_000, overflowCap: 256 * 2 ** 20,
      sealAfterMs: 10_000,
    })
    expect(new Set(Object.values(origins).map((origin) => origin.from))).toEqual(new Set(['default']))
    expect(differences).toEqual([])
  })

  it('has the same settings in table and schema', () => {
    expect(Object.keys(SettingsSchema.shape).sort()).toEqual([...SETTING_NAMES].sort())
  })
})

describe('precedence', () => {
  const all = {
    code: { project: 'code' }, flags: { project: 'flag' },
    env: { RANKZERO_PROJECT: 'env', COMET_PROJECT_NAME: 'comet' }, cwd,
  }

  it('is code, flags, environment, default', () => {
    expect(findSetting('project', all)).toMatchObject({
      value: 'code', origin: { from: 'code', place: 'init({ project })' },
    })
    expect(findSetting('project', { ...all, code: {} })).toMatchObject({
      value: 'flag', origin: { from: 'flag', place: '--project' },
    })
    expect(findSetting('project', { ...all, code: {}, flags: {} })).toMatchObject({
      value: 'env', origin: { from: 'environment', place: 'RANKZERO_PROJECT' },
    })
  })

  it('puts flags and environment before code below rankzero run, and tells each difference', () => {
    const env = { RANKZERO_RUN: 'r', RANKZERO_KEY: 'theirs' }
    const { settings, differences } = resolveSettings({ code: { key: 'mine', name: 'n' }, env, cwd })
    expect(settings).toMatchObject({ key: 'theirs', name: 'n' })
    expect(differences).toEqual(["key is 'theirs' from RANKZERO_KEY, not 'mine' from init({ key })"])
  })

  it('reads the variables of other trackers where they mean the same', () => {
    expect(findSetting('key', { env: { COMET_EXPERIMENT_KEY: 'k' } })).toMatchObject({
      value: 'k', origin: { place: 'COMET_EXPERIMENT_KEY' },
    })
    expect(findSetting('project', { env: { MLFLOW_EXPERIMENT_NAME: 'm' } }).value).toBe('m')
  })

  it('counts an empty variable as not set', () => {
    const found = findSetting('name', { env: { RANKZERO_NAME: '' } })
    expect(found).toMatchObject({ value: null, origin: { from: 'default' } })
  })
})

describe('values', () => {
  it.each([
    ['overflowCap', '4096', 4096], ['overflowCap', '4MiB', 4194304], ['overflowCap', '4M', 4194304],
    ['overflowCap', '4 MB', 4000000], ['overflowCap', '1.5KiB', 1536], ['overflowCap', '0', 0],
    ['exitTimeoutMs', '0.25', 250], ['exitTimeoutMs', '10s', 10000], ['exitTimeoutMs', '0', 0],
    ['backend', 'local, comet,local', ['local', 'comet']], ['nproc', '8', 8], ['passKeys', 'yes', true],
    ['forwardSignals', '0', false], ['dir', 'runs', '/work/here/runs'], ['dir', '/x/../y', '/y'],
    ['onCollision', 'wait', 'wait'],
  ] as const)('%s %j is %j', (name, raw, expected) => expect(value(name, raw)).toEqual(expected))

  it.each([
    ['overflowCap', '4 apples'], ['overflowCap', '-1'], ['overflowCap', '1e30TiB'], ['exitTimeoutMs', 'soon'],
    ['exitTimeoutMs', '-1'], ['exitTimeoutMs', '99999999'], ['exitTimeoutMs', 'Infinity'], ['nproc', '0'],
    ['nproc', '2.5'], ['nproc', '99999999'], ['passKeys', 'maybe'], ['onCollision', 'explode'],
    ['backend', ' , '], ['name', '   '], ['name', 'two\nlines'], ['key', 'k'.repeat(2000)],
  ] as const)('%s refuses %j with value, place and remedy', (name, raw) => {
    let error: RankzeroError | undefined
    try {
      value(name, raw)
    } catch (thrown) {
      error = thrown as RankzeroError
    }
    expect(error).toMatchObject({ code: 'USAGE', exit: 2 })
    expect(error!.message).toMatch(new RegExp(`^(--[a-z-]+|${name}) is '`))
    expect(error!.message).toContain(raw.slice(0, 100))
    expect(error!.remedy).toContain('default:')
  })

  it('hands an unusable value to onInvalid and lets the next source decide', () => {
    const told: string[] = []
    const found = findSetting('exitTimeoutMs', {
      env: { RANKZERO_EXIT_TIMEOUT: 'soon' }, onInvalid: (error) => told.push(error.message),
    })
    expect(found.value).toBe(10_000)
    expect(told).toEqual(["RANKZERO_EXIT_TIMEOUT is 'soon': not a number of seconds up to 2147483"])
  })

  it('never throws anything but a usage error, whatever the environment holds', () => {
    fc.assert(fc.property(fc.constantFrom(...SETTING_NAMES), fc.string(), (name, raw) => {
      try {
        value(name, raw)
      } catch (error) {
        expect((error as RankzeroError).code).toBe('USAGE')
      }
    }))
  })
})

describe('settings of another process', () => {
  it('are checked as a whole and name the field that is wrong', () => {
    const { settings } = resolveSettings({ env: {}, cwd })
    expect(checkSettings(JSON.parse(JSON.stringify(settings)))).toEqual(settings)
    expect(() => checkSettings({ ...settings, exitTimeoutMs: -1 })).toThrow(/exitTimeoutMs/)
    expect(() => checkSettings({ ...settings, surprise: 1 })).toThrow(/surprise/)
    expect(() => checkSettings(null)).toThrow(/settings/)
  })

  it('hold absolute paths for a process that works elsewhere', () => {
    expect(withAbsolutePaths({ RANKZERO_DIR: 'runs', RANKZERO_LOCK_DIR: '/l', HOME: 'x' }, cwd))
      .toEqual({ RANKZERO_DIR: '/work/here/runs', RANKZERO_LOCK_DIR: '/l', HOME: 'x' })
  })
})

describe('SETTINGS.md', () => {
  it('is what settingsTable() writes', () => {
    const file = new URL('../../lib/config/SETTINGS.md', import.meta.url)
    expect(readFileSync(file, 'utf8')).toBe(settingsTable())
  })
})
