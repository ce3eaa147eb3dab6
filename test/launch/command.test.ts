import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { childEnv, commandLine, freePort, whyNotRunnable, workerEnv } from '../../lib/launch/command.ts'

const place = mkdtempSync(join(tmpdir(), 'rz-command-'))
writeFileSync(join(place, 'plain'), 'text', { mode: 0o644 })
writeFileSync(join(place, 'tool'), '#!/bin/sh\n', { mode: 0o755 })
afterAll(() => rmSync(place, { recursive: true }))

describe('COMMAND is looked for before anything starts', () => {
  test.each([
    ['a program in PATH', 'tool', null],
    ['a path', join(place, 'tool'), null],
    ['a name that is nowhere', 'no-such-thing', 'NOT_FOUND'],
    ['a path that is nowhere', join(place, 'x'), 'NOT_FOUND'],
    ['a directory', place, 'NOT_FOUND'],
    ['no name at all', '', 'NOT_FOUND'],
  ])('%s', (_, file, code) => {
    expect(whyNotRunnable(file, { PATH: place })?.code ?? null).toBe(code)
  })
  test('a file without the execute bit', () => {
    const error = whyNotRunnable('plain', { PATH: `/nowhere:${place}` })
    expect(error).toMatchObject({ code: 'NOT_EXECUTABLE', exit: 126 })
    expect(error?.remedy).toContain(`chmod +x ${join(place, 'plain')}`)
  })
})

describe('the environment of COMMAND', () => {
  const facts = {
    run: 'r1', meeting: 'f'.repeat(32), dir: '/runs', head: null, python: null,
    cli: ['node', '/x y/main.js'], supervisor: '1:2:b', passKeys: false, secrets: ['COMET_API_KEY'],
  }
  test('has what finds the run, and no key of a tracker', () => {
    const env = childEnv({ HOME: '/h', COMET_API_KEY: 'secret', OTHER_KEY: 'kept' }, facts)
    expect(env).toEqual({
      HOME: '/h', OTHER_KEY: 'kept', RANKZERO_RUN: 'r1', RANKZERO_MEETING: facts.meeting,
      RANKZERO_DIR: '/runs',
      RANKZERO_CLI: '["node","/x y/main.js"]', RANKZERO_SUPERVISOR: '1:2:b',
    })
  })
  test('keeps the keys when asked to', () => {
    const env = childEnv({ COMET_API_KEY: 'secret' }, { ...facts, passKeys: true })
    expect(env).toMatchObject({ COMET_API_KEY: 'secret' })
  })
  test('names the meeting alone while the run is not known, and no run of somebody else', () => {
    const env = childEnv({ RANKZERO_RUN: 'stale' }, { ...facts, run: null })
    expect(env.RANKZERO_RUN).toBeUndefined()
    expect(childEnv({}, { ...facts, head: 'h0' }).RANKZERO_HEAD).toBe('h0')
    expect(env.RANKZERO_MEETING).toBe(facts.meeting)
  })
  test('has our Python client last in its path', () => {
    const path = (given?: string) =>
      childEnv({ PYTHONPATH: given }, { ...facts, python: '/pkg/lib/python' }).PYTHONPATH
    expect([path('/mine:/yours'), path(''), path()]).toEqual([
      '/mine:/yours:/pkg/lib/python', '/pkg/lib/python', '/pkg/lib/python',
    ])
    expect(childEnv({ PYTHONPATH: '/mine' }, facts).PYTHONPATH).toBe('/mine')
  })
  test('of a worker has the rank tuple in the common names and in ours, over leaked ones', () => {
    expect(workerEnv({ RANK: '9', RANKZERO_RANK: '9' }, 2, 4, 1234)).toEqual({
      RANK: '2', WORLD_SIZE: '4', LOCAL_RANK: '2', LOCAL_WORLD_SIZE: '4',
      RANKZERO_RANK: '2', RANKZERO_WORLD_SIZE: '4', RANKZERO_LOCAL_RANK: '2', RANKZERO_LOCAL_WORLD_SIZE: '4',
      RANKZERO_PARENT_PID: String(process.pid), MASTER_ADDR: '127.0.0.1', MASTER_PORT: '1234',
    })
  })
})

test('the recorded command can be pasted into a shell', () => {
  expect(commandLine(['python', 'a b.py', "it's", '--lr=1e-3'])).toBe("python 'a b.py' 'it'\\''s' --lr=1e-3")
})

test('a free port is a port', async () => {
  expect(await freePort()).toBeGreaterThan(1023)
})
