import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { BOUNDS, boundsMarkdown } from '../../lib/cli/bounds-table.ts'
import * as ofComet from '../../lib/limits-comet.ts'
import * as ofConfig from '../../lib/limits-config.ts'
import * as ofConsole from '../../lib/limits-console.ts'
import * as others from '../../lib/limits.ts'

const limits = { ...others, ...ofComet, ...ofConfig, ...ofConsole }

/** `npx vitest run test/bounds/table.test.ts -u` writes the file anew. */
it('BOUNDS.md is what lib/limits.ts says', async () => {
  await expect(boundsMarkdown()).toMatchFileSnapshot('../../lib/BOUNDS.md')
})

it('each bound is a number of seconds that a person can wait for, made of limits that there are', () => {
  for (const { path, ms, made } of BOUNDS) {
    expect(ms, path).toBeGreaterThanOrEqual(0)
    expect(ms, path).toBeLessThanOrEqual(limits.MEMBER_SILENT_MS)
    for (const name of made.match(/[A-Z_]+_MS\b|LOCK_TRIES/g) ?? []) expect(limits, path).toHaveProperty(name)
  }
})

it('each bound names a test that there is', () => {
  for (const { path, test } of BOUNDS) {
    for (const file of test.split(', ')) {
      expect(existsSync(resolve(import.meta.dirname, '../..', file)), `${path}: ${file}`).toBe(true)
    }
  }
})
