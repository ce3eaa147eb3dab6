/** Python trainers on the whole road: pools, no command line, crashes, restarts of daemons, a full disk. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { kill, Place, sleep, until } from '../scenario/harness.ts'
import { envOf, leave, PYTHON, script, VENV_PYTHON } from './kit.ts'

let place: Place
afterEach(() => place?.dispose())

const STEPS = `
import os, sys, time, rankzero
run = rankzero.init()
for step in range(int(os.environ.get("T_STEPS", "100"))):
    run.log({"loss": step / 4 + run.rank, "n": step}, step=step)
    time.sleep(float(os.environ.get("T_PAUSE", "0")))
`

/** Every (metric, step) of every rank is there once, with the value that was logged. */
function expectExact(ranks: number, steps: number): void {
  const points = place.points()
  expect(points).toHaveLength(2 * ranks * steps)
  const wrong = points.filter(({ metric, step, rank, value }) =>
    value !== (metric === 'n' ? step : step / 4 + rank))
  expect(wrong).toEqual([])
  const places = new Set(points.map(({ metric, step, rank }) => `${metric} ${step} ${rank}`))
  expect(places.size).toBe(points.length)
  expect(place.audit()).toMatchObject({ balanced: true, complete: true })
}

describe('Python under rankzero run', () => {
  it('a DataLoader with 4 workers and a spawn pool: no hang, no double end, no lost point', async () => {
    place = new Place()
    const path = script(place, `
import warnings; warnings.simplefilter("ignore")
import multiprocessing as mp, rankzero, torch
from torch.utils.data import DataLoader, Dataset
class Data(Dataset):
    def __len__(self): return 16
    def __getitem__(self, i):
        rankzero.init().log({"never": i}, step=i)
        return torch.tensor(float(i))
def work(i):
    rankzero.init().log({"never": i}, step=i)
    return i
if __name__ == "__main__":
    run = rankzero.init()
    for step, batch in enumerate(DataLoader(Data(), batch_size=2, num_workers=4)):
        run.log({"sum": batch.sum()}, step=step)
    with mp.get_context("spawn").Pool(2) as pool: assert pool.map(work, range(4)) == list(range(4))
    run.log({"sum": -1}, step=8)
`)
    const done = await place.run(['run', '--nproc', '1', '--', VENV_PYTHON, path], envOf(place))
    expect(done.code, done.stderr).toBe(0)
    expect(place.points().map(({ metric, step, value }) => [metric, step, value])).toEqual(
      Array.from({ length: 9 }, (_, step) => ['sum', step, step === 8 ? -1 : 4 * step + 1]))
    expect(place.status()).toMatchObject({ status: 'finished', ranks: 1 })
    expect(place.audit().ranks).toHaveLength(1)
  }, 240_000)

  it('an exception in one of four: failed, with rank, type and message; the others are whole', async () => {
    place = new Place()
    const path = script(place, `${STEPS}
if run.rank == 2:
    while sum(name.startswith("done-") for name in os.listdir(".")) < 3: time.sleep(0.05)
    raise FloatingPointError("loss is nan")
open("done-%d" % run.rank, "w").close()
time.sleep(60)
`)
    const done = await place.run(['run', '--nproc', '4', '--', PYTHON, path], envOf(place))
    expect(done.code).toBe(1)
    const error = { type: 'FloatingPointError', message: 'loss is nan' }
    expect(place.status()).toMatchObject({
      status: 'failed',
      failed: [{ rank: 2, exit: 1, lastStep: 99, error }],
    })
    expectExact(4, 100)
  })

  it('a rank killed with SIGKILL: everything it logged is there', async () => {
    place = new Place()
    const path = script(place, `${STEPS}
if run.rank == 1:
    while not os.path.exists("done-0"): time.sleep(0.05)
    os.kill(os.getpid(), 9)
open("done-0", "w").close()
time.sleep(60)
`)
    await place.run(['run', '--nproc', '2', '--', PYTHON, path], envOf(place))
    expect(place.status()).toMatchObject({ status: 'failed', failed: [{ rank: 1, signal: 'SIGKILL' }] })
    expectExact(2, 100)
  })

  it('agent and aggregator killed in mid-run: nothing missing, nothing twice', async () => {
    place = new Place()
    const path = script(place, STEPS)
    const env = { ...envOf(place), T_STEPS: '800', T_PAUSE: '0.02' }
    const run = place.start(['run', '--nproc', '2', '--exit-timeout', '60', '--', PYTHON, path], env)
    for (const kind of ['agent', 'aggregator', 'agent'] as const) {
      await sleep(1500)
      kill(await place.one(kind))
    }
    const done = await run.ended
    expect(done.code, done.stderr).toBe(0)
    expectExact(2, 800)
  })
})

describe('Python alone', () => {
  it('without any rankzero command the journal waits, says so once, and sync delivers it', async () => {
    place = new Place()
    const path = script(place, STEPS)
    const env = { ...envOf(place), RANKZERO_CLI: '', PATH: '/nowhere', RANKZERO_EXIT_TIMEOUT: '120' }
    const done = await place.run([PYTHON, path], env)
    expect(done.code).toBe(0)
    expect(done.ms, 'it waits for nobody').toBeLessThan(60_000)
    expect(done.stderr).toMatch(/^rankzero: rank 0: the rankzero command was not found, so nothing is .*\n$/)
    const synced = await place.run(['sync', '--all'])
    expect(synced.code, synced.stderr).toBe(0)
    expectExact(1, 100)
  })

  it('an agent that dies while nobody supervises is started again', async () => {
    place = new Place()
    const path = script(place, STEPS)
    const run = place.start([PYTHON, path], { ...envOf(place), T_STEPS: '500', T_PAUSE: '0.025' })
    await sleep(1500)
    kill(await place.one('agent'))
    const done = await run.ended
    expect([done.code, done.stderr]).toEqual([0, ''])
    await until('the run has ended', 60_000, () => place.picture()?.state === 'ended')
    expectExact(1, 500)
  })
})

it('full disks: nothing is raised, losses are counted, what fits is whole', () => {
  const mount = join('/dev/shm', `rz-test-full-${process.pid}`)
  mkdirSync(mount)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', mount])
  onTestFinished(() => {
    execFileSync('umount', [mount])
    execFileSync('rmdir', [mount])
  })
  const { status, stdout, stderr } = leave(`
import rankzero
run = rankzero.init()
for step in range(20000): run.log({"a": step, "b": step}, step=step)
print(run._journal.logged, run._journal.lost, run._journal.seq())
`, { RANKZERO_SHM_DIR: '/proc/nowhere', RANKZERO_DIR: join(mount, 'runs'), HOME: '/proc/nowhere' })
  expect(status).toBe(0)
  expect(stderr).toMatch(/^(rankzero: rank 0: full \d+: the journal is full: it is left out\. .*\n)?$/)
  const [logged, lost, seq] = stdout.split(' ').map(Number)
  expect(logged).toBe(40_000)
  expect(lost).toBeGreaterThan(20_000)
  expect(2 * (seq! - 2) + lost!).toBe(logged)
})
