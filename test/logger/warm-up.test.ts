import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { scratchJournal } from '../../lib/journal/index.ts'
import { warmUp } from '../../lib/logger/warm-up.ts'

test('leaves nothing in shared memory, and a second one does nothing', () => {
  const before = readdirSync('/dev/shm')
  warmUp()
  warmUp()
  const added = readdirSync('/dev/shm').filter((name) => !before.includes(name))
  expect(added.filter((name) => name.startsWith('rankzero-'))).toEqual([])
})

test('a scratch journal takes what fits, and counts the rest', () => {
  const journal = scratchJournal(1024)
  journal.define(1, ['a'], 0)
  for (let step = 0; step < 100; step++) {
    const at = journal.begin(1, false)
    if (at < 0) journal.drop(1, 1)
    else journal.commit(1, 1, step, NaN, 0)
  }
  expect(journal.lost).toBeGreaterThan(0)
  expect(journal.logged).toBe(100)
  journal.close()
})
