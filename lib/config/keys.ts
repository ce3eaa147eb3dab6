/**
 * Keys by reference. Only the aggregator calls `resolveKeys`; others check that a key is where it is said to
 * be, without taking it.
 *
 * In: references. Out: keys, or why not. Invariant: no error repeats a key, or what a command said.
 */
import { statSync } from 'node:fs'
import { ask } from '../aside.ts'
import { messageOf, RankzeroError } from '../errors.ts'
import { readPlain } from '../files.ts'
import { CONFIG_BYTES_MAX, KEY_BYTES_MAX, KEY_COMMAND_MS } from '../limits-config.ts'
import { iniOf } from './document.ts'
import { exposureOf } from './layers.ts'
import { findSetting, SETTING_NAMES, SETTINGS, type Env, type Sources } from './settings.ts'
import { referenceText, type KeyRef } from './values.ts'

export const KEY_NAMES = ['cometApiKey', 'webhookUrl', 'webhookSecret'] as const
export type KeyName = typeof KEY_NAMES[number]

/** `why`: there is none, in words for whoever can help. */
export type Key = { value: string } | { why: string }
export type Keys = Readonly<Record<KeyName, Key>>

/** Of these names; nothing is done for others. Never throws. A command has KEY_COMMAND_MS. */
export async function resolveKeys(sources: Sources, names: readonly KeyName[]): Promise<Keys> {
  const found = await Promise.all(KEY_NAMES.map(async (name) => {
    const key = names.includes(name) ? await keyOf(name, sources) : { why: `${name} was not asked for` }
    return [name, key] as const
  }))
  return Object.fromEntries(found) as Record<KeyName, Key>
}

async function keyOf(name: KeyName, sources: Sources): Promise<Key> {
  const { value: ref } = findSetting(name, sources)
  const [variable] = SETTINGS[name].env
  if (ref === null) {
    return { why: `${variable} is not set where rankzero runs, and no configuration says where the key is` }
  }
  try {
    const value = (await take(ref, sources.env)).trim()
    if (value === '') throw new Error('it is empty')
    if (/[\u0000-\u001f\u007f]/.test(value)) throw new Error('it has more than one line')
    return { value }
  } catch (error) {
    return { why: `${name}, ${referenceText(ref)}: ${messageOf(error)}` }
  }
}

async function take(ref: KeyRef, env: Env): Promise<string> {
  if ('env' in ref) {
    const value = env[ref.env]
    if (!value) throw new Error('it is not set where rankzero runs')
    return value
  }
  if ('file' in ref) {
    if (ref.at === undefined) return readPlain(ref.file, KEY_BYTES_MAX).toString()
    const exposed = exposureOf(ref.file)
    if (exposed !== null) throw new Error(`${exposed.why}: ${exposed.remedy}`)
    const text = readPlain(ref.file, CONFIG_BYTES_MAX).toString()
    if (ref.at.startsWith('[')) return iniOf(text).get(ref.at)?.raw ?? ''
    return String((JSON.parse(text) as Record<string, unknown>)[ref.at] ?? '')
  }
  const answer = await ask(ref.command, KEY_COMMAND_MS)
  if (answer === null) throw new Error(`no answer within ${KEY_COMMAND_MS / 1000} s`)
  if (answer.status !== 0) throw new Error(`it exits with ${answer.status}`)
  return answer.stdout
}

/** Before COMMAND starts: what is sure to fail. @throws RankzeroError CONFIG. */
export function checkKey(name: KeyName, sources: Sources, needed: boolean): void {
  const { value: ref, origin: { place } } = findSetting(name, sources)
  if (ref === null && needed) {
    throw new RankzeroError('CONFIG', `nothing says where ${name} is`,
      `set ${SETTINGS[name].env[0]}, or name it in the configuration file (lib/config/CONFIG.md)`)
  }
  if (ref === null || 'command' in ref) return
  const refuse = (why: string, remedy: string): never => {
    throw new RankzeroError('CONFIG', `${place}: ${why}`, remedy)
  }
  if ('env' in ref) {
    return sources.env[ref.env] ? undefined
      : refuse(`the variable ${ref.env} is not set`, `set it to the key, or correct ${place}`)
  }
  if (statSync(ref.file, { throwIfNoEntry: false })?.isFile() !== true) {
    refuse(`${ref.file} is no file`, `put the key there, or correct ${place}`)
  }
  const exposed = ref.at === undefined ? null : exposureOf(ref.file)
  if (exposed !== null) refuse(exposed.why, exposed.remedy)
}

/** Variables that hold keys, by our own names and by those that a configuration gives them. */
export function keyVariables(sources: Sources): string[] {
  return SETTING_NAMES.filter((name) => SETTINGS[name].key).flatMap((name) => {
    const { value } = findSetting(name as KeyName, sources)
    return [...SETTINGS[name].env, ...value !== null && 'env' in value ? [value.env] : []]
  })
}
