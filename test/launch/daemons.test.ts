import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { watchDaemons } from '../../lib/launch/daemons.ts'
import { until } from '../scenario/harness.ts'

const dir = mkdtempSync(join(tmpdir(), 'rz-watch-'))
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(dir, { recursive: true })
})

test('a dead agent is started again, also when the clock was set back by an hour meanwhile', async () => {
  const calls = join(dir, 'calls')
  const place = { cli: ['/bin/sh', '-c', `echo "$0" >> ${calls}`], dir, lockDir: dir, env: process.env }
  const beat = Date.now()
  const unwatch = watchDaemons({
    place, run: null, meeting: '0'.repeat(32), aggregatorPid: null, beat: () => beat,
    ended: async () => false,
  })
  try {
    vi.spyOn(Date, 'now').mockImplementation(() => beat - 3_600_000)
    await until('a new agent', 60_000, () => existsSync(calls))
    expect(readFileSync(calls, 'utf8')).toBe('agent\n')
  } finally {
    unwatch()
  }
})
