/** Processes of ours that are stopped, not gone: nothing fails, nothing answers. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { DAEMON_READY_MS, END_LOOK_MS, EXIT_TIMEOUT_MS } from '../../lib/limits.ts'
import { CLIENT, PYTHON } from '../python/kit.ts'
import { kill, Place, until, type Started } from '../scenario/harness.ts'
import { expectWithin, NODE_TRAINER, SLACK_MS } from './kit.ts'

let place: Place
afterEach(() => place?.dispose())

const EXIT_MS = 2000
const ENV = { RANKZERO_EXIT_TIMEOUT: String(EXIT_MS / 1000) }
const stop = (pids: readonly number[]): void => pids.forEach((pid) => kill(pid, 'SIGSTOP'))

/** A program in the place of rankzero whose aggregator is stopped before it has said a word. */
function stoppedAggregator(): string {
  const path = join(place.root, 'stopped')
  const real = `exec '${process.execPath}' '${place.cli}' "$@"`
  writeFileSync(path, `#!/bin/sh\n[ "$1" = aggregator ] && kill -STOP $$\n${real}\n`, { mode: 0o755 })
  return path
}

/** A trainer that logs until `stop` is there, and says so in `logs`. */
const UNTIL_TOLD = `
import os, sys, time, rankzero
run = rankzero.init()
while not os.path.exists(os.environ["STOP"]):
    run.log({"a": 1.0})
    open(os.environ["LOGS"], "a").close()
    time.sleep(0.01)
begun = time.monotonic()
`

interface Training { job: Started; leave: () => void }

async function training(supervised: boolean, end = 'run.end()', more = {}): Promise<Training> {
  place = new Place({ ...ENV, ...more })
  const file = join(place.root, 'train.py')
  writeFileSync(file, `${UNTIL_TOLD}${end}\nprint(time.monotonic() - begun, file=sys.stderr)\n`)
  const [told, logs] = ['stop', 'logs'].map((name) => join(place.root, name)) as [string, string]
  const env = { STOP: told, LOGS: logs, PYTHONPATH: CLIENT, RANKZERO_CLI: place.cli }
  const job = place.start([...supervised ? ['run', '--'] : [], PYTHON, file], env)
  await until('a trainer that logs', 60_000, () => existsSync(logs))
  await place.one('agent')
  await place.one('aggregator')
  return { job, leave: () => writeFileSync(told, '') }
}

/** How long `end()` took, as the trainer printed it. */
const endMs = (stderr: string): number => 1000 * Number(/^\d+\.\d+(e-\d+)?$/m.exec(stderr)?.[0])

/** It runs, and is no zombie. */
function isPython(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(PYTHON)
  } catch {
    return false
  }
}

describe('an aggregator that is stopped', () => {
  it('before it is ready: COMMAND runs, and its end is bounded', async () => {
    place = new Place(ENV)
    const env = { RANKZERO_CLI: stoppedAggregator(), T_STEPS: '20' }
    const done = await place.run(['run', '--', ...NODE_TRAINER], env)
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toMatch(/it said nothing within/)
    expectWithin(done, DAEMON_READY_MS + EXIT_MS)
  })

  it.each(['aggregator', 'agent'] as const)('or an %s, in mid-run: the end is bounded', async (kind) => {
    const { job, leave } = await training(true)
    stop(place.processes(kind))
    const begun = performance.now()
    leave()
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toMatch(/rankzero sync/)
    // The trainer itself waits for nobody below a supervisor.
    expect(endMs(done.stderr)).toBeLessThan(EXIT_MS)
    expect(performance.now() - begun).toBeLessThan(EXIT_MS + END_LOOK_MS + SLACK_MS)
  })

  it('below a trainer that is not supervised: its end waits for its exit time', async () => {
    const { job, leave } = await training(false)
    stop([...place.processes('aggregator'), ...place.processes('agent')])
    leave()
    const done = await job.ended
    expect(done.code, done.stderr).toBe(0)
    expect(done.stderr).toMatch(/were not delivered within 2 s/)
    expect(endMs(done.stderr)).toBeLessThan(EXIT_MS + SLACK_MS)
  })

  it('and holds the key: another run is refused, and `rankzero run` says so in time', async () => {
    const { leave, job } = await training(true, 'run.end()', { RANKZERO_KEY: 'held' })
    stop(place.processes('aggregator'))
    const done = await place.run(['run', '--', 'true'])
    expect([done.code, done.stderr]).toEqual([75, expect.stringContaining('held')])
    expectWithin(done, DAEMON_READY_MS)
    leave()
    await job.ended
  })
})

it('a supervisor that is stopped keeps no trainer from leaving', async () => {
  const { job, leave } = await training(true, 'sys.stderr.flush()')
  kill(job.child.pid, 'SIGSTOP')
  const trainer = await until('the trainer', 60_000, () => place.processes().find(isPython))
  const begun = performance.now()
  leave()
  await until('its end', EXIT_TIMEOUT_MS + SLACK_MS, () => !isPython(trainer))
  expect(performance.now() - begun).toBeLessThan(SLACK_MS)
  kill(job.child.pid, 'SIGCONT')
  expect((await job.ended).code).toBe(0)
})
