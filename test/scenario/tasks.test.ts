/** Supervisors as the tasks of a launcher, side by side under one parent: one run, whoever comes first. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CLI, kill, Place, TRAINER, until, type Started } from './harness.ts'

let place: Place
beforeEach(() => { place = new Place({ T_STEPS: '30', T_RATE: '60', RANKZERO_EXIT_TIMEOUT: '40' }) })
afterEach(() => place.dispose())

const NODE = process.execPath
/** What Open MPI gives rank `rank` of a launch. */
const task = (rank: number, world: number, launch = 'a'): NodeJS.ProcessEnv => ({
  OMPI_COMM_WORLD_RANK: `${rank}`, OMPI_COMM_WORLD_SIZE: `${world}`, OMPI_COMM_WORLD_LOCAL_RANK: `${rank}`,
  OMPI_COMM_WORLD_LOCAL_SIZE: `${world}`, OMPI_MCA_orte_hnp_uri: `1234.0;tcp://127.0.0.1:${launch}`,
})
const tasks = (world: number, launch?: string, env: NodeJS.ProcessEnv = {}): Started[] =>
  Array.from({ length: world }, (_, rank) =>
    place.start(['run', '--', NODE, TRAINER], { ...task(rank, world, launch), ...env }))
const codes = async (all: Started[]): Promise<(number | null)[]> =>
  (await Promise.all(all.map(({ ended }) => ended))).map(({ code }) => code)

function expectWhole(run: string, world: number): void {
  const status = place.status(run)
  expect(status).toMatchObject({ state: 'ended', status: 'finished', ranks: world, failed: [] })
  expect(status.members.map(({ rank, attempt }) => [rank, attempt]).sort())
    .toEqual(Array.from({ length: world }, (_, rank) => [rank, 1]))
  const audit = place.audit(run)
  expect(audit).toMatchObject({ balanced: true, complete: true })
  expect(audit.ranks.map(({ admitted }) => admitted)).toEqual(Array.from({ length: world }, () => 60))
}

describe('rankzero run as the task of a launcher', () => {
  it('4 tasks make one run, and each says its name', async () => {
    const all = tasks(4)
    expect(await codes(all)).toEqual([0, 0, 0, 0])
    const [run] = place.runs()
    expect(place.runs()).toHaveLength(1)
    for (const one of all) expect(one.stderr()).toBe(`rankzero: run ${run} ${join(place.dir, run!)}\n`)
    expectWhole(run!, 4)
  })

  it('8 tasks that come in any order, rank 0 last, make one run', async () => {
    const all = [7, 3, 1, 5, 2, 6, 4, 0].map((rank) =>
      place.start(['run', '--', NODE, TRAINER], task(rank, 8)))
    expect(new Set(await codes(all))).toEqual(new Set([0]))
    expect(place.runs()).toHaveLength(1)
    expectWhole(place.runs()[0]!, 8)
  })

  it('a short task does not end the session before the last one has come', async () => {
    const first = place.start(['run', '--', NODE, TRAINER], { ...task(0, 2), T_STEPS: '1', T_RATE: '0' })
    await until('rank 0 has ended', 60_000, () =>
      place.runs().length === 1 && place.picture()?.members.some(({ state }) => state === 'ended'))
    await new Promise((done) => setTimeout(done, 1500))
    const second = place.start(['run', '--', NODE, TRAINER], { ...task(1, 2), T_STEPS: '1', T_RATE: '0' })
    expect(await codes([first, second])).toEqual([0, 0])
    expect(place.runs()).toHaveLength(1)
    await until('the session ended', 60_000, () => place.picture()?.state === 'ended')
    expect(place.status()).toMatchObject({ status: 'finished', ranks: 2 })
  })

  it('two jobs side by side are two runs', async () => {
    expect(await codes([...tasks(3, 'a'), ...tasks(3, 'b')])).toEqual([0, 0, 0, 0, 0, 0])
    expect(place.runs()).toHaveLength(2)
    for (const run of place.runs()) expectWhole(run, 3)
  })

  it('a killed rank is known by its task, with its signal and its last step', async () => {
    const all = tasks(3, 'a', { T_STEPS: '400' })
    const pid = await until('rank 2 logs', 60_000, () =>
      place.runs().length === 1 && place.picture()?.members.find((m) => m.rank === 2 && m.lastStep! > 5)?.pid)
    kill(pid)
    expect(await codes(all)).toEqual([0, 0, 137])
    const status = place.status()
    expect(status).toMatchObject({ status: 'failed', failed: [{ rank: 2, pid, signal: 'SIGKILL' }] })
    const [step] = status.failed.map(({ lastStep }) => lastStep)
    const told = all.map((one) => one.stderr().match(/first failure.*/)?.[0]).filter(Boolean)
    expect(told).toEqual([expect.stringMatching(new RegExp(`rank 2 on .*SIGKILL, last step ${step}$`))])
  })

  it('a held key stops rank 0 before its COMMAND starts', async () => {
    const holder = place.start(['run', '--key', 'k', '--', NODE, TRAINER], { T_STEPS: '600' })
    await until('the key is held', 60_000, () => place.runs().length === 1)
    const env = { RANKZERO_KEY: 'k' }
    const one = place.start(['run', '--', NODE, TRAINER], { ...task(0, 2), ...env })
    expect((await one.ended).code).toBe(75)
    expect(place.runs()).toHaveLength(1)
    kill(holder.child.pid, 'SIGTERM')
    await holder.ended
  })

  it('tasks below a supervisor take part in its run', async () => {
    const script = `for r in 0 1 2; do OMPI_COMM_WORLD_RANK=$r OMPI_COMM_WORLD_SIZE=3
      export OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE
      OMPI_COMM_WORLD_LOCAL_RANK=$r OMPI_COMM_WORLD_LOCAL_SIZE=3 ${NODE} ${CLI} run -- ${NODE} ${TRAINER} &
      done; wait`
    const done = await place.run(['run', '--', '/bin/sh', '-c', script])
    expect(done.code, done.stderr).toBe(0)
    expect(place.runs()).toHaveLength(1)
    expectWhole(place.runs()[0]!, 3)
  })
})

/** torchrun of a node, as far as the supervisor looks: its name and its options. */
function torchrun(): string {
  const file = join(place.root, 'torchrun')
  const script = `#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; exec "$@"\n`
  spawnSync('/bin/sh', ['-c', 'cat > "$0" && chmod +x "$0"', file], { input: script })
  return file
}
const triple = (rank: number, world: number): NodeJS.ProcessEnv => ({
  RANK: `${rank}`, WORLD_SIZE: `${world}`, LOCAL_RANK: '0', LOCAL_WORLD_SIZE: '1',
  MASTER_ADDR: 'localhost', MASTER_PORT: '29777', TORCHELASTIC_RUN_ID: 'job',
})

describe('rankzero run before torchrun of each node', () => {
  const command = ['--nnodes', '2', '--rdzv-id', 'job', '--rdzv-backend', 'c10d', '--rdzv-endpoint',
    'localhost:29777', '--', NODE, TRAINER]
  /** The ranks' own variables come from torchrun; here from the supervisor's environment, which it passes. */
  const nodes = (env: NodeJS.ProcessEnv = {}): Started[] => [0, 1].map((rank) =>
    place.start(['run', '--', torchrun(), ...command.slice(0, -2), '/usr/bin/env',
      ...Object.entries(triple(rank, 2)).map(([name, value]) => `${name}=${value}`), NODE, TRAINER], env))

  it('the first on the head\'s host opens the run, the other takes part', async () => {
    const all = nodes()
    expect(await codes(all)).toEqual([0, 0])
    expect(place.runs()).toHaveLength(1)
    expectWhole(place.runs()[0]!, 2)
  })

  it('jobs one after the other with the same name and port are a run each', async () => {
    for (let job = 1; job <= 3; job++) {
      expect(await codes(nodes())).toEqual([0, 0])
      expect(place.runs()).toHaveLength(job)
    }
    for (const run of place.runs()) expectWhole(run, 2)
  })

  it('a meeting that a killed job left behind is not gone on with', async () => {
    const all = nodes({ T_STEPS: '600' })
    await until('both log', 60_000, () =>
      place.runs().length === 1 && place.picture()?.members.filter((m) => m.lastStep! > 3).length === 2)
    for (const pid of place.processes()) kill(pid)
    await Promise.all(all.map(({ ended }) => ended))
    const next = nodes()
    expect(await codes(next)).toEqual([0, 0])
    expect(place.runs()).toHaveLength(2)
    expectWhole(place.runs()[1]!, 2)
    // What the killed job left waits for sync: no head comes back for it, and nobody of the next one says so.
    expect(place.status(place.runs()[1]).term).toBe(1)
    for (const one of next) expect(one.stderr()).not.toContain('not delivered')
  })
})

describe('ranks without rankzero run', () => {
  /** Plays the launcher of two ranks: a process with a launcher's name that ends when they have. */
  const launch = `#!/bin/sh
    for r in 0 1; do RANK=$r LOCAL_RANK=$r ${NODE} ${TRAINER} & done; wait`
  it('of jobs one after the other with the same name are a run each', async () => {
    const file = join(place.root, 'torchrun')
    spawnSync('/bin/sh', ['-c', 'cat > "$0" && chmod +x "$0"', file], { input: launch })
    const env = { WORLD_SIZE: '2', LOCAL_WORLD_SIZE: '2', TORCHELASTIC_RUN_ID: 'job', RANKZERO_CLI: CLI }
    for (let job = 1; job <= 3; job++) expect((await place.run([file], env)).code).toBe(0)
    await until('all sessions ended', 60_000, () =>
      place.runs().length === 3 && place.runs().every((run) => place.picture(run)?.state === 'ended'))
    for (const run of place.runs()) expectWhole(run, 2)
  })
})

describe('a trainer that starts a run', () => {
  it('has a run of its own, and so has what it started', async () => {
    const script = `import { spawnSync } from 'node:child_process'
      import { init } from '${join(import.meta.dirname, '../../dist/index.js')}'
      const run = init()
      run.log({ outer: 1 })
      const words = ['${CLI}', 'run', '--', process.execPath, '${TRAINER}']
      process.exitCode = spawnSync(process.execPath, words, { stdio: 'inherit' }).status
      await run.end()`
    const { code, stderr } = await place.run([NODE, '--input-type=module', '-e', script])
    expect(code, stderr).toBe(0)
    expect(place.runs()).toHaveLength(2)
    const inner = /^rankzero: run (\S+)/m.exec(stderr)![1]!
    expectWhole(inner, 1)
  })
})

describe('variables of a run that is over', () => {
  it('are ignored by a supervisor, which says so once and begins a run of its own', async () => {
    const names = ['RANKZERO_RUN', 'RANKZERO_MEETING', 'RANKZERO_SUPERVISOR']
    const out = join(place.root, 'env')
    expect((await place.run(['run', '--', '/bin/sh', '-c', `env | grep ^RANKZERO_ > ${out}`])).code).toBe(0)
    const left = Object.fromEntries(readFileSync(out, 'utf8').trim().split('\n')
      .map((line) => line.split(/=(.*)/s).slice(0, 2)).filter(([name]) => names.includes(name!)))
    expect(Object.keys(left).sort()).toEqual([...names].sort())
    const again = await place.run(['run', '--', NODE, TRAINER], left)
    expect(again.code).toBe(0)
    expect(again.stderr.match(/that run has ended/g)).toHaveLength(1)
    expect(place.runs()).toHaveLength(2)
    const bare = await place.run([NODE, TRAINER].slice(0, 2), left)
    expect(bare.code, bare.stderr).toBe(0)
    expect(place.runs()).toHaveLength(3)
    expect(existsSync(join(place.dir, place.runs()[2]!, 'ledger.sqlite'))).toBe(true)
  })
})
