import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openDiary } from '../lib/diary.ts'

let dir: string
beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'rz-diary-')) })
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(dir, { recursive: true, force: true })
})

describe('the diary of a daemon', () => {
  test('has each line once in a row, and makes its directory', () => {
    const path = join(dir, 'log', 'agent.log')
    const diary = openDiary('agent', path)
    for (const line of ['one', 'one', 'two', 'one']) diary(line)
    expect(readFileSync(path, 'utf8').trim().split('\n').map((line) => line.replace(/^\S+ /, ''))).toEqual(
      ['one', 'two', 'one'].map((line) => `agent[${process.pid}] ${line}`))
  })

  test('does not bring back a run directory that its user removed', () => {
    const run = join(dir, 'run')
    mkdirSync(join(run, 'log'), { recursive: true })
    const diary = openDiary('aggregator', join(run, 'log', 'aggregator.log'))
    diary('serves')
    rmSync(run, { recursive: true })
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    diary('ended: finished')
    expect(existsSync(run)).toBe(false)
    expect(said).toHaveBeenCalledWith(expect.stringContaining('ended: finished'))
  })
})
