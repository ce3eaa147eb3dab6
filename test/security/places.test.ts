/**
 * What another user could have put where our files are looked for: squatted directories, links, FIFOs,
 * devices, files of others. Nothing of it is used, nothing hangs, and each is told once.
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync, chownSync, copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync,
  symlinkSync, writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withErrorFile } from '../../lib/agent/error-file.ts'
import { openOwn, readOwn, readPlain, whyNotOurs } from '../../lib/files.ts'
import { listJournals, openReader } from '../../lib/journal/index.ts'
import { acquireKey, elect, readMeeting, readShared, sharedPath } from '../../lib/lock/index.ts'
import { readKeys } from '../../lib/transport/index.ts'
import { TRAINER, until } from '../scenario/harness.ts'
import { journalIn, log, scratch } from '../journal/helpers.ts'
import { place } from './kit.ts'

const NOBODY = 65534
const fifo = (path: string): string => {
  expect(spawnSync('mkfifo', ['-m', '600', path]).status).toBe(0)
  return path
}

/** A directory as another user would have made it first: his, and open to all. */
function squat(path: string): string {
  mkdirSync(path, { recursive: true })
  chmodSync(path, 0o777)
  chownSync(path, NOBODY, NOBODY)
  return path
}

describe('a directory is used only when', () => {
  it('it is ours, and nobody else may write in it; what is not there yet may become so', () => {
    const dir = scratch('disk')
    expect(whyNotOurs(dir)).toBe(null)
    expect(whyNotOurs(join(dir, 'none'))).toBe(null)
    for (const mode of [0o777, 0o770, 0o702]) {
      chmodSync(dir, mode)
      expect(whyNotOurs(dir), mode.toString(8)).toMatch(/others may write in it.*chmod 700/)
    }
    chmodSync(dir, 0o755)
    expect(whyNotOurs(dir)).toBe(null)
    expect(whyNotOurs(squat(join(dir, 'theirs')))).toMatch(/belongs to user 65534/)
    symlinkSync(join(dir, 'theirs'), join(dir, 'link'))
    expect(whyNotOurs(join(dir, 'link'))).toMatch(/belongs to user 65534/)
    writeFileSync(join(dir, 'file'), '')
    expect(whyNotOurs(join(dir, 'file'))).toMatch(/no directory/)
  })

  it('that holds for locks: an election and a key are refused with the remedy', async () => {
    const dir = squat(join(scratch('disk'), 'locks'))
    const remedy = expect.stringContaining('RANKZERO_LOCK_DIR')
    const refused = expect.objectContaining({ code: 'USAGE', remedy })
    expect(() => elect(dir, 'agent-x')).toThrow(refused)
    const wanted = { project: 'p', key: 'k', run: 'r', dir: '/', onCollision: 'fail' } as const
    await expect(acquireKey({ lockDir: dir, ...wanted })).rejects.toThrow(/belongs to user 65534/)
    expect(readdirSync(dir)).toEqual([])
  })
})

describe('a file is read only when', () => {
  it('it is plain: no open waits for a FIFO or follows a device, and a read is bounded', () => {
    const dir = scratch('disk')
    const pipe = fifo(join(dir, 'pipe'))
    for (const path of [pipe, '/dev/zero', dir]) {
      expect(() => readPlain(path, 100), path).toThrow(/plain file|EISDIR/)
      expect(() => openOwn(path, 'r'), path).toThrow()
    }
    writeFileSync(join(dir, 'large'), Buffer.alloc(101))
    expect(() => readPlain(join(dir, 'large'), 100)).toThrow(/more than 100/)
    expect(readPlain(join(dir, 'large'), 101)).toHaveLength(101)
  })

  it('it is ours, where it decides over our data', () => {
    const dir = scratch('disk')
    const theirs = join(dir, 'theirs')
    writeFileSync(theirs, '{}')
    chownSync(theirs, NOBODY, NOBODY)
    symlinkSync(theirs, join(dir, 'link'))
    expect(() => readOwn(theirs, 100)).toThrow(/belongs to user 65534/)
    expect(() => readOwn(join(dir, 'link'), 100)).toThrow(/ELOOP/)
    expect(readPlain(theirs, 100).toString()).toBe('{}')
  })

  it('that holds for endpoint files: who may write in a shared directory leads no agent away', () => {
    const dir = scratch('disk')
    const meeting = 'ab'.repeat(16)
    mkdirSync(join(dir, '.meet'))
    const path = sharedPath(dir, meeting)
    writeFileSync(path, '{"run":"r"}')
    expect(readShared(dir, meeting)).toEqual({ run: 'r' })
    chownSync(path, NOBODY, NOBODY)
    expect(readShared(dir, meeting)).toBe(null)
    fifo(join(dir, `meet-${meeting}.json`))
    expect(readMeeting(dir, meeting)).toBe(null)
  })

  it('that holds for what torchelastic left of a dead worker', () => {
    const dir = scratch('disk')
    const dead = { exit: null, signal: null, cause: 'unknown' } as const
    for (const path of [fifo(join(dir, 'error.json')), '/dev/zero', join(dir, 'none')]) {
      expect(withErrorFile(dead, path), path).toEqual(dead)
    }
  })
})

describe('a secret', () => {
  it('may be reached through a link of ours; a FIFO, a device and a huge file are none', () => {
    const dir = scratch('disk')
    const path = join(dir, 'secret')
    writeFileSync(path, '01'.repeat(32), { mode: 0o600 })
    symlinkSync(path, join(dir, 'link'))
    expect(readKeys(join(dir, 'link'))).toEqual(readKeys(path))
    expect(() => readKeys(fifo(join(dir, 'pipe')))).toThrow(/no plain file/)
    expect(() => readKeys('/dev/zero')).toThrow(/no plain file/)
    expect(() => readKeys(dir)).toThrow(/no plain file|EISDIR/)
    writeFileSync(join(dir, 'huge'), '01'.repeat(5 << 20), { mode: 0o600 })
    expect(() => readKeys(join(dir, 'huge'))).toThrow(/32 bytes/)
    chownSync(path, NOBODY, NOBODY)
    expect(() => readKeys(join(dir, 'link'))).toThrow(/belongs to user 65534/)
    expect(() => readKeys(`${path}\0.txt`)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})

describe('a journal', () => {
  const written = (shm: string): string => {
    const writer = journalIn(shm)
    writer.define(0, ['a'], 1)
    log(writer, 0, 1, [1])
    return listJournals(shm)[0]!
  }

  it('of another user, behind a link, or that is a FIFO is not opened', () => {
    const shm = scratch()
    const path = written(shm)
    openReader(path).close()
    const named = (n: number): string => join(shm, `${n}`.repeat(32) + '.jnl')
    symlinkSync(path, named(1))
    fifo(named(2))
    copyFileSync(path, named(3))
    chownSync(named(3), NOBODY, NOBODY)
    symlinkSync('/dev/zero', named(4))
    for (const n of [1, 2, 3, 4]) expect(() => openReader(named(n)), named(n)).toThrow(/ELOOP|plain|65534/)
    linkSync(path, named(5))
    openReader(named(5)).close()
  })

  it('in a directory that is not ours alone is not even listed', () => {
    const shm = scratch()
    written(shm)
    chmodSync(shm, 0o777)
    expect(listJournals(shm)).toEqual([])
  })
})

const PYTHON = `
import rankzero
run = rankzero.init()
for step in range(5): run.log({"m": 1}, step=step)
run.end()
`

describe.each([
  ['Node', [process.execPath, TRAINER]],
  ['Python', ['python3', '-c', PYTHON]],
])('a %s trainer whose directory in shared memory was taken by another user', (language, argv) => {
  it('logs elsewhere, says so in one line, writes nothing there, and its agent reads nothing', async () => {
    const at = place()
    squat(at.shm)
    writeFileSync(join(at.shm, `${'0'.repeat(32)}.jnl`), 'x', { mode: 0o666 })
    fifo(join(at.shm, `${'1'.repeat(32)}.jnl`))
    const before = readdirSync(at.shm)
    const python = resolve(import.meta.dirname, '../../lib/python')
    const env = { T_METRICS: '1', T_STEPS: '5', T_RATE: '100', PYTHONPATH: python }
    const job = await at.run(['run', '--', ...argv], env)
    expect(job.code, job.stderr).toBe(0)
    const told = job.stderr.split('\n').filter((line) => line.includes('the journal goes elsewhere'))
    const why = /belongs to user 65534, not to 0: it is not used/
    expect(told, job.stderr).toEqual([expect.stringMatching(why)])
    expect(readdirSync(at.shm)).toEqual(before)
    expect(at.status(), language).toMatchObject({ status: 'finished' })
    expect(at.points()).toHaveLength(5)
  })
})

it('an agent leaves alone what others put into its directories, and delivers what is ours', async () => {
  const at = place()
  const pending = join(at.dir, '.pending')
  squat(pending)
  const env = { T_METRICS: '1', T_STEPS: '300', T_RATE: '100' }
  const job = at.start(['run', '--', process.execPath, TRAINER], env)
  const journal = await until('a journal', 60_000, () => at.shmFiles().find((name) => name.endsWith('.jnl')))
  const forged = join(pending, `${'a'.repeat(32)}.jnl`)
  copyFileSync(join(at.shm, journal), `${forged}.tmp`)
  chownSync(`${forged}.tmp`, NOBODY, NOBODY)
  renameSync(`${forged}.tmp`, forged)
  const victim = join(at.root, 'victim')
  writeFileSync(victim, 'precious')
  symlinkSync(victim, join(pending, `${'b'.repeat(32)}.jnl`))
  symlinkSync(victim, join(pending, 'agent-h.log'))
  fifo(join(at.shm, `${'c'.repeat(32)}.jnl`))
  expect((await job.ended).code).toBe(0)
  expect(at.points()).toHaveLength(300)
  expect(at.audit()).toMatchObject({ balanced: true, complete: true })
  expect(readFileSync(victim, 'utf8')).toBe('precious')
  expect(existsSync(forged)).toBe(true)
  const log = readFileSync(join(at.dir, at.runs()[0]!, 'log', 'agent.log'), 'utf8')
  expect(log.match(/belongs to user 65534/g)).toHaveLength(1)
  expect(log.match(/no plain file/g)).toHaveLength(1)
})
