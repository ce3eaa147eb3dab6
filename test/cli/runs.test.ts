import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findRun, listRuns, parentOf } from '../../lib/cli/runs.ts'

const [OLD, NEW] = ['20260101-000000-aaaaaa', '20260102-000000-bbbbbb']
let dir: string
const add = (run: string, mark: string): void => {
  mkdirSync(join(dir, run))
  writeFileSync(join(dir, run, mark), '')
}
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rz-runs-'))
  add(NEW, 'ledger.sqlite')
  add(OLD, 'endpoint.json')
  mkdirSync(join(dir, '.pending'))
  mkdirSync(join(dir, 'zz-something-else'))
})
afterEach(() => rmSync(dir, { recursive: true }))

describe('RUN', () => {
  test('latest is the last started; other directories are no runs', () => {
    expect(listRuns(dir).map(({ run }) => run)).toEqual([OLD, NEW])
    expect(findRun(dir)).toEqual({ run: NEW, dir: join(dir, NEW) })
  })
  test('is a run id or a run directory anywhere', () => {
    expect(findRun(dir, OLD).dir).toBe(join(dir, OLD))
    const found = findRun('/nowhere', join(dir, OLD))
    expect(found.run).toBe(OLD)
    expect(parentOf(found)).toBe(dir)
  })
  test('that is not there names those that are', () => {
    expect(() => findRun(dir, 'nope')).toThrow(expect.objectContaining({ code: 'NO_SUCH_RUN', exit: 3 }))
    try {
      findRun(dir, 'nope')
    } catch (error) {
      expect((error as { remedy: string }).remedy).toContain(`${NEW}, ${OLD}`)
    }
  })
  test.each(['latest', 'x'])('%s in a directory without runs says where it looked', (run) => {
    expect(() => findRun(join(dir, '.pending'), run)).toThrow(`no run in ${join(dir, '.pending')}`)
    expect(() => findRun(join(dir, 'absent'), run)).toThrow(`no directory ${join(dir, 'absent')}`)
  })
})
