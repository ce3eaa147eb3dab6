import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 as zlibCrc32 } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { ADDON_PATH, loadAddon, native, twin } from '../../lib/native.ts'

const EXERCISE = new URL('./exercise.cjs', import.meta.url).pathname
const BUILD = new URL('../../native/build.js', import.meta.url).pathname
const made: string[] = []

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})

function scratch(parent: string): string {
  const path = mkdtempSync(join(parent, 'rz-native-'))
  made.push(path)
  return path
}

/** A choice of whoever runs the tests; an addon that is merely missing fails them. */
const twinChosen = process.env['RANKZERO_NATIVE'] === '0'

test('the addon is built, loaded, and does what its twin cannot', () => {
  expect(native.kind).toBe(twinChosen ? 'twin' : 'addon')
  const args = ['--expose-gc', EXERCISE, ADDON_PATH, scratch('/dev/shm')]
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  expect([stdout, stderr]).toEqual(['ok\n', ''])
})

interface Build {
  compilerArguments(out: string, extra: string[]): string[]
}

test('the C code is clean under AddressSanitizer and UBSan', async () => {
  const { compilerArguments } = (await import(BUILD)) as Build
  const out = join(scratch(tmpdir()), 'rankzero-asan.node')
  const sanitize = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer']
  const flags = ['-g', '-O1', '-Werror', ...sanitize]
  execFileSync('cc', compilerArguments(out, flags), { stdio: 'pipe' })
  const library = execFileSync('cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim()
  const args = ['--expose-gc', EXERCISE, out, scratch('/dev/shm')]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, LD_PRELOAD: library, ASAN_OPTIONS: 'detect_leaks=0' },
  })
  expect([status, stdout, stderr]).toEqual([0, 'ok\n', ''])
})

test('an install without a compiler says so in one line and succeeds', () => {
  const { status, stdout } = spawnSync(process.execPath, [BUILD], {
    encoding: 'utf8',
    env: { ...process.env, CC: '/nowhere/cc' },
  })
  expect(status).toBe(0)
  expect(stdout).toMatch(/^rankzero: no C compiler \(\/nowhere\/cc\); without the addon .+\n$/)
})

describe.skipIf(twinChosen)('a mapping', () => {
  test('is refused when the file system cannot hold all of it, and leaves no file', () => {
    const small = scratch('/dev/shm')
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'rz', small])
    try {
      expect(native.mapCreate(join(small, 'x'), 4 << 20)).toBeNull()
      expect(readdirSync(small)).toEqual([])
      expect(native.mapCreate(join(small, 'x'), 1 << 19)).not.toBeNull()
    } finally {
      execFileSync('umount', ['-l', small])
    }
  })
})

describe.each([['the addon', native], ['the twin', twin]] as const)('%s', (_, under) => {
  test('names the file system and its room', () => {
    const shm = under.statfs('/dev/shm')
    expect(shm.type).toBe('tmpfs')
    expect(shm.total).toBeGreaterThanOrEqual(shm.free)
    expect(under.statfs('/proc').type).toBe('proc')
    expect(under.statfs('/no/such')).toEqual({ type: 'unknown', free: 0, total: 0 })
  })

  test('has the crc of zlib', () => {
    const bytes = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * i) & 255))
    const table = zlibCrc32 as undefined | typeof zlibCrc32
    for (const length of [0, 1, 7, 8, 9, 2999]) {
      const part = bytes.subarray(1, 1 + length)
      const expected = table === undefined ? twin.crc32(part, 77) : table(part, 77)
      expect(under.crc32(part, 77)).toBe(expected)
    }
  })
})

test('the twin refuses what it cannot do', () => {
  expect([twin.mapCreate('/dev/shm/x', 1), twin.lockFile('/dev/shm/x')]).toEqual([null, null])
  expect([twin.lockHolder('/dev/shm/x'), twin.pidfdOpen(1)]).toEqual([-1, -1])
  expect(twin.pidfdExit(3)).toEqual({ exited: false, exit: null, signal: null })
  expect(existsSync('/dev/shm/x')).toBe(false)
})

test('a file that is no addon is not loaded', () => {
  const dir = scratch(tmpdir())
  expect(loadAddon(join(dir, 'nothing.node'))).toBeNull()
})
