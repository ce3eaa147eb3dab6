/** Each Python example, as its own first lines say to start it; ddp.test.ts has examples/pytorch-ddp. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CLI, until, type Place } from '../scenario/harness.ts'
import { hosts, type Hosts } from '../setup/netns.ts'
import { PROVIDED_MS_MAX, provided } from '../setup/provided.ts'
import { CACHE, EXAMPLES, launcherPlace } from './kit.ts'
import { slurm, type Slurm } from './slurm.ts'

let place: Place
let net: Hosts | null = null
let cluster: Slurm | null = null
beforeAll(() => provided('complete'), PROVIDED_MS_MAX)
afterEach(async () => {
  net?.dispose()
  await cluster?.dispose()
  place?.dispose()
  net = cluster = null
})

/** A place where `rankzero` is a command, as after npm install -g. */
function examplePlace(env: NodeJS.ProcessEnv = {}): Place {
  place = launcherPlace(env)
  const bin = join(place.root, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'rankzero'), `#!/bin/sh\nexec ${process.execPath} ${CLI} "$@"\n`, { mode: 0o755 })
  place.env['PATH'] = `${bin}:${place.env['PATH']}`
  return place
}

/** One finished run of these ranks, in which the loss fell. */
function expectTrained(ranks: number): void {
  expect(place.runs()).toHaveLength(1)
  expect(place.status()).toMatchObject({ status: 'finished', ranks, project: 'digits', failed: [] })
  expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  const rows = place.rows('latest', '--metric', 'train/loss')
  expect(rows.every(({ count, expected }) => count === ranks && expected === ranks)).toBe(true)
  expect(Number(rows.at(-1)!.mean)).toBeLessThan(Number(rows[0]!.mean) / 2)
}

describe('examples', () => {
  const mpich = { MPI4PY_MPIABI: 'mpich', LD_LIBRARY_PATH: join(CACHE, 'mpich') }
  it.each([
    ['mpi', 'mpirun.openmpi -n 4 python -m mpi4py train.py', {}],
    ['mpi', 'mpirun.mpich -n 4 python -m mpi4py train.py', mpich],
    ['horovod', 'horovodrun -np 4 python train.py', {}],
  ])('%s: %s', async (name, command, env) => {
    examplePlace(env)
    const argv = ['/usr/bin/env', 'rankzero', 'run', '--', ...command.split(' ')]
    const { code, stdout, stderr } = await place.run(argv, {}, join(EXAMPLES, name))
    expect(code, stdout + stderr).toBe(0)
    expectTrained(4)
  })

  it('slurm: sbatch digits.sbatch', async () => {
    cluster = await slurm()
    // Its nodes have no addresses of their own here.
    examplePlace({ ...cluster.env, MASTER_ADDR: '127.0.0.1' })
    const out = join(place.root, 'job.out')
    const argv = ['/usr/bin/env', 'sbatch', `--output=${out}`, 'digits.sbatch']
    const { code, stderr } = await place.run(argv, {}, join(EXAMPLES, 'slurm'))
    expect(code, stderr).toBe(0)
    await until('the end of the job', 120_000, () => cluster!.ask('squeue', '--noheader') === '')
    expect(readFileSync(out, 'utf8')).toContain('test accuracy')
    expectTrained(4)
  })

  it('two-nodes: digits.sh on each of two hosts', async () => {
    net = await hosts(2)
    examplePlace()
    const secret = join(place.root, 'secret')
    writeFileSync(secret, randomBytes(32).toString('base64'), { mode: 0o600 })
    const nodes = [0, 1].map((i) => {
      const dir = join(place.root, i === 0 ? 'runs' : 'elsewhere')
      const env = { RANKZERO_DIR: dir, RANKZERO_SECRET_FILE: secret, GLOO_SOCKET_IFNAME: 'eth0' }
      return net!.start(i, [join(EXAMPLES, 'two-nodes/digits.sh'), 'h0'], { ...place.env, ...env })
    })
    for (const { ended } of nodes) {
      const { code, stdout, stderr } = await ended
      expect(code, stdout + stderr).toBe(0)
    }
    expectTrained(4)
  })
})
