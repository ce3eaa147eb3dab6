import { readFileSync } from 'node:fs'

/** From package.json, which is at the same place relative to lib/cli and to dist/cli. */
export function ownVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
