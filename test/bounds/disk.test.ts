/** A disk that hangs, at the start, in mid-run and at the end: run directory, locks, HOME, journals. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DAEMON_READY_MS, DISK_ANSWER_MS, LOGGER_TICK_MS } from '../../lib/limits.ts'
import { CLIENT, PYTHON } from '../python/kit.ts'
import { Place, until, type Ended, type Started } from '../scenario/harness.ts'
import { Disk, endedWithin, expectWithin, NODE_TRAINER, SLACK_MS } from './kit.ts'

const EXIT_MS = 2000
const ENV = { RANKZERO_EXIT_TIMEOUT: String(EXIT_MS / 1000) }
/** Where each of the directories is when the disk has it. */
const ON_DISK: Record<string, (disk: string) => NodeJS.ProcessEnv> = {
  'the run directory': (disk) => ({ RANKZERO_DIR: join(disk, 'runs') }),
  'the lock directory': (disk) => ({ RANKZERO_LOCK_DIR: join(disk, 'locks') }),
  'HOME': (disk) => ({ HOME: disk, RANKZERO_LOCK_DIR: '' }),
  'the directory of journals': (disk) => ({ RANKZERO_SHM_DIR: join(disk, 'shm') }),
}
const ALL = Object.keys(ON_DISK)

type Test = (place: Place, disk: Disk, env: NodeJS.ProcessEnv) => Promise<void>

async function withDisk(what: string, test: Test): Promise<void> {
  const place = new Place(ENV)
  const disk = await Disk.make()
  try {
    await test(place, disk, ON_DISK[what]!(disk.path))
  } finally {
    await disk.go()
    place.dispose()
    await disk.dispose()
  }
}

/** They wait more than they work. */
async function each(test: (what: string) => Promise<void>): Promise<void> {
  await Promise.all(ALL.map(test))
}

/** A word in a file that appears when COMMAND has logged enough, and one that lets it go on. */
const COMMAND = ['/bin/sh', '-c', '"$@"; status=$?; touch "$ENDS"; exit $status', 'command']

/** A supervisor that stands, with a trainer that logs. */
async function running(place: Place, env: NodeJS.ProcessEnv, ...options: string[]): Promise<Started> {
  const started = place.start(['run', ...options, '--', ...COMMAND, ...NODE_TRAINER], {
    ...env, T_STEPS: '100000', T_RATE: '200', T_TRUTH: join(place.root, 'truth'),
    ENDS: join(place.root, 'ends'),
  })
  await until('a trainer that logs', 60_000, () => existsSync(join(place.root, 'truth.0')))
  return started
}

describe.concurrent('a disk that hangs before the start', () => {
  it('COMMAND runs all the same, and we leave soon after it', () => each((what) =>
    withDisk(what, async (place, disk, env) => {
      await disk.hang()
      const own = { ...env, T_STEPS: '50', ENDS: join(place.root, 'ends') }
      const done = await place.run(['run', '--', ...COMMAND, ...NODE_TRAINER], own)
      expect(done.code, done.stderr).toBe(0)
      expect(existsSync(join(place.root, 'ends')), what).toBe(true)
      // Journals on the disk that was asked for: both the supervisor and the trainer look for another place.
      expectWithin(done, DAEMON_READY_MS + 2 * DISK_ANSWER_MS + EXIT_MS)
    })))

  it.each(['Node', 'Python'])('a %s trainer that is not supervised leaves in time', (language) =>
    each((what) => withDisk(what, async (place, disk, env) => {
      await disk.hang()
      const python = join(place.root, 'train.py')
      writeFileSync(python, 'import rankzero\nrun = rankzero.init()\nfor i in range(50): run.log({"a": i})\n')
      const argv = language === 'Node' ? NODE_TRAINER : [PYTHON, python]
      const RANKZERO_RUN = '20260101-000000.000-aaaaaa'
      // Python itself looks for its packages in HOME first.
      const stale = { PYTHONNOUSERSITE: '1', RANKZERO_RUN, PYTHONPATH: CLIENT, RANKZERO_CLI: place.cli }
      const done = await place.run(argv, { ...env, ...stale, T_LEAVE: 'none', T_STEPS: '50' })
      expect(done.code, done.stderr).toBe(0)
      expectWithin(done, 3 * DISK_ANSWER_MS + EXIT_MS)
    })))
})

describe.concurrent('a disk that hangs and is all there is, so that there is no journal', () => {
  const everything = (disk: string): NodeJS.ProcessEnv =>
    Object.assign({}, ...Object.values(ON_DISK).map((env) => env(disk))) as NodeJS.ProcessEnv

  it.each(['Node', 'Python'])('a %s trainer goes on, tries again, and leaves in time', (language) =>
    withDisk('HOME', async (place, disk) => {
      await disk.hang()
      const python = join(place.root, 'train.py')
      writeFileSync(python, 'import rankzero, time\nrun = rankzero.init()\n'
        + 'for i in range(60): run.log({"a": i}); time.sleep(0.1)\n')
      const argv = language === 'Node' ? NODE_TRAINER : [PYTHON, python]
      const own = {
        PYTHONNOUSERSITE: '1', PYTHONPATH: CLIENT, RANKZERO_CLI: place.cli, T_METRICS: '1', T_STEPS: '60',
        T_RATE: '10',
      }
      const done = await place.run(argv, { ...everything(disk.path), ...own })
      expect(done.code, done.stderr).toBe(0)
      expect(done.stderr).toContain('its disk does not answer')
      expect(done.stderr).toContain('no journal could be opened: 60 values were not recorded')
      expectWithin(done, 3 * DISK_ANSWER_MS + 6000)
    }))
})

describe.concurrent('a disk that hangs in mid-run', () => {
  it.each(ALL.slice(0, 3))('%s: training goes on, signals are heard, the end is bounded', (what) =>
    withDisk(what, async (place, disk, env) => {
      const started = await running(place, env, '--nproc', '1')
      await disk.hang()
      const before = place.steps(0)
      await until('more steps', SLACK_MS, () => place.steps(0) > before + 200)
      started.child.kill('SIGTERM')
      const done = await endedWithin(started, LOGGER_TICK_MS + 3 * EXIT_MS + SLACK_MS)
      expect(done.code, done.stderr).toBe(143)
      if (what === 'the run directory') expect(done.stderr).toMatch(/rankzero sync/)
    }))
})

describe.concurrent('commands on a disk that hangs', () => {
  it('say so and leave', () => withDisk('the run directory', async (place, disk, env) => {
    mkdirSync(join(disk.path, 'runs'))
    await disk.hang()
    const commands = ['status', 'export', 'audit', 'console', 'sync', 'doctor']
    const all = await Promise.all(commands.map((name) => place.run([name], env)))
    for (const done of all) {
      expect([done.code, done.stderr]).toEqual([1, expect.stringMatching(/does not answer within 5 s/)])
      expectWithin(done, DISK_ANSWER_MS)
    }
    const resumed: Ended = await place.run(['run', '--resume', 'latest', '--', 'true'], env)
    expect([resumed.code, resumed.stderr]).toEqual([1, expect.stringMatching(/does not answer/)])
    expectWithin(resumed, DISK_ANSWER_MS)
  }))
})
