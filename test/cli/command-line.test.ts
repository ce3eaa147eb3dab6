/** What can be said to `rankzero`, and what it answers when it is said wrongly. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Diagnosis } from '../../lib/cli/doctor/index.ts'
import { superviseOptions } from '../../lib/cli/run.ts'
import { CLI } from '../scenario/harness.ts'

const place = mkdtempSync(join(tmpdir(), 'rz-cli-'))
afterAll(() => rmSync(place, { recursive: true }))
const env = { PATH: process.env['PATH'], HOME: place, RANKZERO_SHM_DIR: join(place, 'shm') }

const COMMANDS = ['run', 'status', 'console', 'export', 'audit', 'sync', 'doctor', 'drill']

function rankzero(...args: string[]): { code: number | null; out: string; err: string } {
  const done = spawnSync(process.execPath, [CLI, ...args], { cwd: place, env })
  return { code: done.status, out: done.stdout.toString(), err: done.stderr.toString() }
}

describe('--help', () => {
  test('lists the commands, and not the daemons', () => {
    const { code, out } = rankzero('--help')
    expect(code).toBe(0)
    for (const name of COMMANDS) expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'))
    expect(out).not.toMatch(/^ {2}(agent|aggregator)/m)
  })
  test.each(COMMANDS)('of %s has --dir and an example', (name) => {
    const { code, out, err } = rankzero(name, '--help')
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/^ {2}--dir <D>/m)
    expect(out).toMatch(new RegExp(`^Example:\n {2}rankzero ${name} `, 'm'))
    if (name !== 'run') expect(out).toMatch(/^ {2}--json/m)
  })
  test('of COMMAND is COMMAND\'s own', () => {
    expect(superviseOptions(['sh', '--help'], {}, { env }).command).toEqual(['sh', '--help'])
    expect(rankzero('run', 'no-such-command', '--help').code).toBe(127)
  })
})

describe('a wrong call exits 2 and says what and what to do', () => {
  test.each([
    [['run', '--nprocs', '4', '--', 'x'], "unknown option '--nprocs'", '--nproc'],
    [['run', '--nproc', '0', '--', 'x'], "--nproc is '0'", 'Give --nproc as number'],
    [['run', '--on-collision', 'explode', '--', 'x'], "--on-collision is 'explode'", 'fail, wait, rename'],
    [['run', '--console', 'loud', '--', 'x'], "--console is 'loud'", 'collapse, prefix, raw'],
    [['run', '--console', 'prefix', '--', 'x'], '--console prefix needs --nproc', 'init(capture=True)'],
    [['run', '--exit-timeout', 'soon', '--', 'x'], "--exit-timeout is 'soon'", 'seconds'],
    [['run', '--backend', 'pigeon', '--', 'x'], "no backend 'pigeon'", 'local'],
    [['run'], "missing required argument 'COMMAND'", 'rankzero run --help'],
    [['stats'], "unknown command 'stats'", 'status'],
    [['export', '--format', 'xml'], "--format is 'xml'", 'jsonl or csv'],
    [['console', '--rank', 'x'], "--rank is 'x'", '--rank 3'],
    [['sync', '--all', 'latest'], '--all and RUN latest', 'one of them'],
    [['status', 'a', 'b'], 'too many arguments', 'rankzero status --help'],
    [['agent', '--dir', '.'], '--meeting is missing', 'rankzero itself'],
    [['aggregator', '--nonsense'], "'--nonsense'", 'rankzero itself'],
    [[], 'no command given', 'rankzero --help'],
  ])('%j', (args, what, remedy) => {
    const { code, out, err } = rankzero(...args)
    expect([code, out]).toEqual([2, ''])
    const [first, second] = err.split('\n')
    expect(first).toMatch(/^rankzero: .* \[USAGE\]$/)
    expect(first).toContain(what)
    expect(err).toContain(remedy)
    expect(second).toMatch(/^rankzero: to do: /)
  })

  const readers = ['status', 'console', 'export', 'audit', 'sync']
  test.each(readers)('%s of a run that is not there exits 3', (name) => {
    const { code, err } = rankzero(name, '--dir', join(place, 'none'))
    expect(code).toBe(3)
    expect(err).toContain(`no directory ${join(place, 'none')} [NO_SUCH_RUN]`)
  })
})

describe('run reads its options', () => {
  const read = (flags: object, vars: object = {}) =>
    superviseOptions(['x'], flags, { env: { ...env, ...vars } })
  test('with defaults', () => {
    expect(read({})).toMatchObject({
      nproc: null, key: null, onFailure: 'stop', forwardSignals: 'auto', exitTimeoutMs: 10_000,
      passKeys: false, sessionArgs: ['--on-collision', 'fail'],
    })
  })
  test('how output is shown: with --nproc as asked, else COMMAND has its terminal', () => {
    const shown = (flags: object, vars: object = {}): string => read(flags, vars).console
    expect([shown({}), shown({ nproc: '2' })]).toEqual(['raw', 'collapse'])
    expect(shown({ nproc: '2', console: 'raw' }, { RANKZERO_CONSOLE: 'prefix' })).toBe('raw')
    expect(shown({ nproc: '2' }, { RANKZERO_CONSOLE: 'prefix' })).toBe('prefix')
    expect(shown({}, { RANKZERO_CONSOLE: 'prefix' })).toBe('raw')
  })
  test('from flags', () => {
    const flags = {
      nproc: '4', key: '-k', project: 'p', onCollision: 'wait', onFailure: 'continue', exitTimeout: '2.5',
      passKeys: true, forwardSignals: false,
    }
    expect(read(flags)).toMatchObject({
      nproc: 4, key: '-k', onFailure: 'continue', exitTimeoutMs: 2500, passKeys: true,
      forwardSignals: 'never', sessionArgs: ['--project=p', '--key=-k', '--on-collision', 'wait'],
    })
  })
  test('from variables, which flags overrule', () => {
    const vars = { RANKZERO_NPROC: '3', RANKZERO_EXIT_TIMEOUT: '1', RANKZERO_KEY: 'v', RANKZERO_DIR: '/d' }
    expect(read({ nproc: '2' }, vars)).toMatchObject({ nproc: 2, exitTimeoutMs: 1000, key: 'v', dir: '/d' })
  })
  test('with the secret checked before anything starts', () => {
    const path = join(place, 'secret')
    writeFileSync(path, '01'.repeat(32), { mode: 0o600 })
    expect(read({ secretFile: path, head: 'h0:5' }).env)
      .toMatchObject({ RANKZERO_SECRET_FILE: path, RANKZERO_HEAD: 'h0:5' })
    chmodSync(path, 0o644)
    expect(() => read({ secretFile: path })).toThrow(/its mode is 644/)
    expect(() => read({}, { RANKZERO_SECRET_FILE: join(place, 'none') })).toThrow(/ENOENT/)
  })
  test('and refuses a variable as it refuses a flag', () => {
    expect(() => read({}, { RANKZERO_NPROC: 'x' })).toThrow("RANKZERO_NPROC is 'x'")
  })
})

function doctor(args: string[], vars: NodeJS.ProcessEnv): Diagnosis {
  const argv = [CLI, 'doctor', '--json', ...args]
  const done = spawnSync(process.execPath, argv, { cwd: place, env: { ...env, ...vars } })
  return JSON.parse(done.stdout.toString()) as Diagnosis
}

describe('doctor', () => {
  test('--json says who a process here would be, and why', () => {
    const said = doctor([], {
      RANK: '1', WORLD_SIZE: '2', LOCAL_RANK: '1',
      OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '2', OMPI_COMM_WORLD_LOCAL_RANK: '0',
    })
    expect(said).toMatchObject({ rank: 0, worldSize: 2, localRank: 0, source: 'openmpi' })
    expect(said.conflicts).toMatchObject([{ rank: 1, worldSize: 2 }])
    const keys = ['level', 'remedy', 'what']
    for (const finding of said.findings) expect(Object.keys(finding).sort()).toEqual(keys)
    expect(said.findings.some(({ what }) => what.includes('says rank 1 of 2'))).toBe(true)
  })
  test('names launchers with their versions, once each, and the Python with our client', () => {
    const bin = join(place, 'bin')
    mkdirSync(bin)
    const script = (name: string, text: string): void =>
      writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    script('mpirun.openmpi', 'echo "mpirun (Open MPI) 4.1.4"; echo "Report bugs to ..."')
    symlinkSync('mpirun.openmpi', join(bin, 'mpirun'))
    script('mpirun.mpich', 'printf "HYDRA build details:\\n    Version:    4.0.2\\n"')
    script('srun', 'echo "srun: fatal: no config at 10.0.0.1" >&2; exit 1')
    script('python3', 'echo 3.7.1; echo /site/rankzero/__init__.py; echo 0.0.9')
    const said = doctor([], { PATH: `${bin}:/usr/bin:/bin` })
    expect(said.launchers.filter(({ path }) => path.startsWith(bin))).toEqual([
      { name: 'mpirun', path: join(bin, 'mpirun'), version: 'Open MPI 4.1.4' },
      { name: 'mpirun.mpich', path: join(bin, 'mpirun.mpich'), version: 'MPICH 4.0.2' },
      { name: 'srun', path: join(bin, 'srun'), version: null },
    ])
    expect(said.python).toEqual({
      path: join(bin, 'python3'), version: '3.7.1',
      client: { path: '/site/rankzero/__init__.py', version: '0.0.9' },
    })
    const all = said.findings.map(({ what }) => what).join('\n')
    expect(all).toMatch(/srun .* does not say its version/)
    expect(all).toMatch(/is Python 3\.7\.1; the Python client needs 3\.8/)
    expect(all).toMatch(/Python has rankzero 0\.0\.9 /)
    expect(said.limits.openFiles).toBeGreaterThan(0)
    expect(said.limits.somaxconn).toBeGreaterThan(0)
  })
  test('finds the Python client as rankzero run would give it', () => {
    const PYTHONPATH = resolve(import.meta.dirname, '../../lib/python')
    const { python, findings } = doctor([], { PYTHONPATH, PATH: `/usr/bin:${env.PATH}` })
    expect(python!.client!.path).toMatch(/lib\/python\/rankzero\/__init__\.py$/)
    expect(findings.some(({ what }) => what.includes('import rankzero fails'))).toBe(false)
  })
  test('finds what is wrong with the place', () => {
    const vars = { RANKZERO_NATIVE: '0', RANKZERO_SHM_DIR: join(place, 'disk') }
    const { findings } = doctor(['--dir', '/proc/nowhere'], vars)
    expect(findings[0]).toMatchObject({ level: 'error', what: '/proc/nowhere (runs) cannot be written' })
    const all = findings.map(({ what }) => what).join('\n')
    expect(all).toMatch(/RANKZERO_NATIVE=0: journals are files/)
    expect(all).toMatch(/disk \(journals\) is .*, no shared memory/)
  })
})
