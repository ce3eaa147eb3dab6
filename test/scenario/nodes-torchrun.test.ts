/** `rankzero run -- torchrun --nnodes 2 …` typed on both hosts, with the Python client in the workers. */
import { join, resolve } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { CLI, kill, sleep, until, type Started } from './harness.ts'
import { TwoHosts, type Job } from './two-hosts.ts'

const VENV = resolve(import.meta.dirname, '../../.cache/venv/bin')
const SCRIPT = join(import.meta.dirname, 'torch_trainer.py')

let two: TwoHosts
afterEach(() => two?.dispose())

const job: Job = { shared: true, metrics: 1, steps: 200, rate: 50 }

function start(i: number, rendezvous: string[]): Started {
  const torchrun = [join(VENV, 'torchrun'), '--nnodes', '2', '--nproc-per-node', '2', ...rendezvous, SCRIPT]
  return two.net.start(i, [process.execPath, CLI, 'run', '--', ...torchrun], {
    ...two.envOf(i), T_STEPS: String(two.job.steps), T_RATE: String(two.job.rate), T_TRUTH: two.truth,
    GLOO_SOCKET_IFNAME: 'eth0', OMP_NUM_THREADS: '1',
  })
}

const rendezvousOf: Record<string, (i: number) => string[]> = {
  c10d: () => ['--rdzv-backend', 'c10d', '--rdzv-endpoint', 'h0:29512', '--rdzv-id', 'two'],
  static: (i) => ['--node-rank', String(i), '--master-addr', 'h0', '--master-port', '29512'],
}

describe.each(['c10d', 'static'])('torchrun on two nodes with the %s rendezvous', (rendezvous) => {
  it.each<[string, boolean, number]>([
    ['the run directory, the head first', true, 0], ['nothing, the head last', false, 1],
  ])('is one run when they share %s', async (_, shared, first) => {
    two = await TwoHosts.make({ ...job, shared })
    const one = start(first, rendezvousOf[rendezvous]!(first))
    await sleep(3000)
    const other = start(1 - first, rendezvousOf[rendezvous]!(1 - first))
    await expectOneRun(one, other)
    expect([two.runsOf(0).length, two.runsOf(1).length]).toEqual([1, shared ? 1 : 0])
    // Both supervisors know the run, wherever it is.
    const run = two.place.runs()[0]
    for (const { stderr } of [await one.ended, await other.ended]) expect(stderr).toContain(run)
  })
})

it('is one run when the aggregator of the head is killed', async () => {
  two = await TwoHosts.make({ ...job, shared: false, steps: 500 })
  const both = [0, 1].map((i) => start(i, rendezvousOf['c10d']!(i)))
  await until('points of all ranks', 60_000, () => two.place.runs().length === 1
    && two.place.picture()?.members.filter(({ logged }) => logged > 20).length === 4)
  kill(await until('the aggregator', 60_000, () => two.net.pids(0, ' aggregator ')[0]))
  await expectOneRun(both[0]!, both[1]!)
})

/** Every point once, whole books, and the status that both deserve. */
async function expectOneRun(one: Started, other: Started): Promise<void> {
  for (const { code, stderr } of await Promise.all([one.ended, other.ended])) expect(code, stderr).toBe(0)
  const status = await until('the end of the run', 60_000, () => {
    const now = two.place.picture()
    return now?.state === 'ended' && now
  })
  expect(status).toMatchObject({ status: 'finished', ranks: 4, host: 'h0' })
  const expected = [0, 1, 2, 3].flatMap((rank) =>
    Array.from({ length: two.job.steps }, (_, step) => `loss ${step} ${rank} ${rank + step / 4096}`))
  const got = two.place.points()
    .map(({ metric, step, rank, value }) => `${metric} ${step} ${rank} ${value}`)
  expect(got.sort()).toEqual(expected.sort())
  expect(two.place.audit()).toMatchObject({ balanced: true, complete: true })
}
