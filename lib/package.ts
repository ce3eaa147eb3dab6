/** Where our own package is, and which. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * A file of it: from lib/ in a checkout, or from wherever in dist/ the bundler put the code.
 * Without a package.json above (someone bundled us), it leads to nothing.
 */
export function ownFile(path: string): string {
  let root = dirname(fileURLToPath(import.meta.url))
  while (root !== dirname(root) && !existsSync(join(root, 'package.json'))) root = dirname(root)
  return join(root, path)
}

export function ownVersion(): string {
  return (JSON.parse(readFileSync(ownFile('package.json'), 'utf8')) as { version: string }).version
}
