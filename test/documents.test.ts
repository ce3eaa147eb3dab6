/** What the documents say holds a promise is there to hold it. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const ROOMS = [
  'agent', 'aggregator', 'artifact', 'bounds', 'comet', 'drill', 'journal', 'launchers', 'ledger', 'lock',
  'logger', 'power', 'python', 'scenario', 'security', 'session', 'sim', 'transport',
].join('|')
const NAMED = new RegExp(`\`((?:${ROOMS})/[a-z.-]+)\``, 'g')

it.each(['SECURITY.md', 'lib/GUARANTEES.md'])('%s names tests that there are', (document) => {
  const named = [...readFileSync(join(ROOT, document), 'utf8').matchAll(NAMED)].map((found) => found[1]!)
  expect(named.length).toBeGreaterThan(8)
  expect(named.filter((name) => !existsSync(join(ROOT, 'test', `${name}.test.ts`)))).toEqual([])
})
