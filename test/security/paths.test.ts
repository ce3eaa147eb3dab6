/** Names that would lead out of their directory, and what nothing of ours does: inflate. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findRun } from '../../lib/cli/runs.ts'
import { findSetting } from '../../lib/config/settings.ts'
import { acquireKey } from '../../lib/lock/index.ts'
import { namedMeeting } from '../../lib/rank/meeting.ts'
import { originSchema } from '../../lib/wire/index.ts'
import { TRAINER } from '../scenario/harness.ts'
import { scratch } from '../journal/helpers.ts'
import { place } from './kit.ts'

const OUT = [
  '..', '../x', '../../etc/passwd', '/etc', 'a/../../b', '.', '\u0000', 'a\u0000b', 'a\nb', 'x'.repeat(5000),
]

describe('a name that leads elsewhere', () => {
  it('is no meeting and no instance: both are 32 hex digits', () => {
    for (const name of [...OUT, 'AB'.repeat(16), 'g'.repeat(32)]) {
      expect(namedMeeting({ RANKZERO_MEETING: name })).toBe(null)
      const origin = { instance: name, meeting: name }
      const issues = originSchema.safeParse(origin).error!.issues.map(({ path }) => path[0])
      expect(issues).toEqual(expect.arrayContaining(['instance', 'meeting']))
    }
  })

  it('is no run', () => {
    const dir = scratch('disk')
    const refused = expect.objectContaining({ code: 'NO_SUCH_RUN' })
    for (const name of OUT) expect(() => findRun(dir, name), name).toThrow(refused)
  })

  it('may be a key: its lock is named by a digest', async () => {
    const lockDir = scratch('disk')
    for (const key of ['../../k', '/k', 'a\u0000b', '💥'.repeat(500)]) {
      const wanted = { lockDir, project: '..', key, run: 'r', dir: '/', onCollision: 'fail' } as const
      ;(await acquireKey(wanted)).release()
    }
    for (const name of readdirSync(lockDir)) expect(name).toMatch(/^[0-9a-f]{64}\.(lock|json)$/)
  })

  it('with controls is no setting; a daemon takes it for no meeting and no run', async () => {
    for (const value of ['a\u0000b', 'a\nb', '\u001b[31m', 'x'.repeat(5000)]) {
      for (const name of ['dir', 'lockDir', 'secretFile', 'key', 'name', 'project'] as const) {
        expect(() => findSetting(name, { env: {}, flags: { [name]: value } }), name).toThrow(/control|longer/)
      }
    }
    const at = place()
    const meeting = ['--meeting', 'ab'.repeat(16)]
    const bad = [['--meeting', '../../x'], [...meeting, '--resume', '..'], [...meeting, '--resume', '.x']]
    for (const words of bad) {
      const { code, stderr } = await at.run(['aggregator', ...words])
      expect([code, stderr]).toEqual([2, expect.stringMatching(/no meeting id|no run id/)])
    }
    const agent = await at.run(['agent', ...meeting, '--run', '..'])
    expect([agent.code, agent.stderr]).toEqual([2, expect.stringContaining('no run id')])
    expect(readdirSync(at.root)).toEqual(['home'])
  })

  it('in RANKZERO_RUN makes a logger begin a run of its own, below its directory', async () => {
    const at = place()
    const run = { T_METRICS: '1', T_STEPS: '3', T_RATE: '100', RANKZERO_EXIT_TIMEOUT: '60' }
    const env = { ...run, RANKZERO_RUN: '../../../tmp/evil' }
    const { code, stderr } = await at.run([process.execPath, TRAINER], env)
    expect(code, stderr).toBe(0)
    expect(stderr).toContain('that is no run id')
    expect(at.runs()).toHaveLength(1)
  })
})

it('nothing is inflated: no part of ours can be given a bomb', () => {
  const roots = ['lib', 'native'].map((name) => resolve(import.meta.dirname, '../..', name))
  // What is compiled in build/ is not ours: SQLite inflates on demand.
  const isOurs = (name: string): boolean => /\.(ts|py|c|js)$/.test(name) && !name.startsWith('build/')
  const sources = roots.flatMap((root) => readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(isOurs).map((name) => readFileSync(join(root, name), 'utf8')))
  expect(sources.length).toBeGreaterThan(200)
  // Calls and archives go out compressed; what comes in is not asked for that way (undici inflates nothing).
  const packs = /^import \{ (gzip|createDeflateRaw|crc32 as \w+) \} from 'node:zlib'$/gm
  const inflates = /node:zlib|\b(inflate|gunzip|unzip|brotli)\w*\(|\.decompress|import (gzip|bz2|lzma)/
  expect(sources.filter((text) => inflates.test(text.replace(packs, '')))).toEqual([])
})
