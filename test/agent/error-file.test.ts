import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { settled } from '../../lib/agent/deaths.ts'
import { withErrorFile } from '../../lib/agent/error-file.ts'
import type { Departure } from '../../lib/record/index.ts'

const dir = mkdtempSync(join(tmpdir(), 'rz-error-'))
const file = join(dir, 'error.json')
afterAll(() => rmSync(dir, { recursive: true }))
const unknown: Departure = { exit: null, signal: null, cause: 'unknown' }
const exited: Departure = { exit: 1, signal: null, cause: 'pidfd' }

describe('what torchelastic has of a dead worker', () => {
  it('is nothing without a file, or in a directory that holds nothing', () => {
    expect(withErrorFile(exited, undefined)).toEqual(exited)
    expect(withErrorFile(exited, file)).toEqual(exited)
  })

  it.each([
    [{ message: { message: 'ValueError: bad: 3', extraInfo: { timestamp: '1' } } }, 'ValueError', 'bad: 3'],
    [{ message: 'torch.cuda.OutOfMemoryError: no room' }, 'torch.cuda.OutOfMemoryError', 'no room'],
    [{ message: { message: 'KeyError' } }, 'KeyError', ''],
    [{ message: 'two words' }, 'Error', 'two words'],
  ])('is the exception %j, and the directory', (content, type, message) => {
    writeFileSync(file, JSON.stringify(content))
    expect(withErrorFile(exited, file)).toEqual({ ...exited, error: { type, message }, log: dir })
    expect(withErrorFile(unknown, file)).toMatchObject({ cause: 'error-file', error: { type } })
  })

  it('is the directory of its output when the file cannot be read', () => {
    writeFileSync(file, '{ half')
    expect(withErrorFile(exited, file)).toEqual(exited)
    writeFileSync(join(dir, 'stderr.log'), '')
    expect(withErrorFile(unknown, file)).toEqual({ ...unknown, log: dir })
  })
})

describe('an end record and the kernel', () => {
  const record = (exit: number | null): Departure => ({ exit, signal: null, cause: 'end-record' })
  it('the record comes first where it knows a status', () => {
    expect(settled(record(0), { ...exited, log: '/l' })).toEqual({ ...record(0), log: '/l' })
    expect(settled(record(3), null)).toEqual(record(3))
    expect(settled(null, exited)).toEqual(exited)
    expect(settled(null, null)).toBeNull()
  })
  it('the kernel does where end() came long before the exit', () => {
    expect(settled(record(null), { exit: null, signal: 'SIGKILL', cause: 'pidfd' }))
      .toEqual({ exit: null, signal: 'SIGKILL', cause: 'pidfd' })
    expect(settled(record(null), unknown)).toEqual(record(null))
  })
})
