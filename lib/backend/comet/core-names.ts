/** Keys, names and texts as Comet takes them. Pure. */
import { sha256 } from '../../rank/sha256.ts'
import { COMET_NAME_CHARS_MAX, COMET_TEXT_CHARS_MAX } from '../../limits-comet.ts'

/** Experiment keys are global to the server: one that fits is used, any other by the start of its digest. */
export const cometKey = (key: string): string =>
  /^[0-9A-Za-z]{32,50}$/.test(key) ? key : sha256(key).slice(0, 40)

/** Comet's own name for what belongs to no project. */
export const projectOf = (project: string): string => project === 'default' ? 'general' : project

/** Root of the server, of what COMET_URL_OVERRIDE or a key names. */
export const rootOf = (url: string): string => url.replace(/\/+$/, '').replace(/\/clientlib$/, '')

/** Some keys name their server: `<key>*<base64 of JSON>`. Null: this one does not. */
export function serverOfKey(apiKey: string): string | null {
  const encoded = apiKey.split('*')[1]
  if (encoded === undefined) return null
  try {
    const { baseUrl } = JSON.parse(atob(encoded)) as { baseUrl?: unknown }
    return typeof baseUrl === 'string' && /^https?:\/\//.test(baseUrl) ? rootOf(baseUrl) : null
  } catch {
    return null // An old key with a star in it.
  }
}

/** Half a pair is no Unicode, and servers refuse it. */
const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd')

/** Unlike the SDK's, the short form of two long names is never the same. */
export function nameOf(name: string): string {
  const text = wellFormed(name)
  if (text === '') return '(no name)'
  if (text.length <= COMET_NAME_CHARS_MAX) return text
  return `${wellFormed(text.slice(0, COMET_NAME_CHARS_MAX - 9))}~${sha256(name).slice(0, 8)}`
}

export function textOf(text: string): string {
  const whole = wellFormed(text)
  return whole.length <= COMET_TEXT_CHARS_MAX ? whole
    : `${wellFormed(whole.slice(0, COMET_TEXT_CHARS_MAX))} [truncated]`
}
