/** The digits under DDP with gloo, by torchrun: what the ranks computed is what the session has. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CLI, type Ended, type Place } from '../scenario/harness.ts'
import { EXAMPLES, launcherPlace, PYTHON, RANKS } from './kit.ts'

const TRAINER = join(EXAMPLES, 'pytorch-ddp/train.py')
const WITNESS = join(import.meta.dirname, 'witness.py')

let place: Place

interface Told {
  'train/loss': number
  step: number
  weight: number
  generation: number
}

function truthOf(rank: number): { told: Told[]; means: Map<number, number> } {
  const text = readFileSync(join(place.root, `truth.${rank}`), 'utf8')
  const lines = text.split('\n').filter(Boolean).map((line) => JSON.parse(line))
  return {
    told: lines.filter((line) => 'train/loss' in line),
    means: new Map(lines.filter((line) => 'mean' in line).map(({ step, mean }) => [step, mean])),
  }
}

function train(launcher: string[], args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  place = launcherPlace({ T_TRUTH: 'truth', ...env })
  const command = [...launcher, `--nproc-per-node=${RANKS}`, WITNESS, TRAINER, ...args]
  return place.run([process.execPath, CLI, 'run', '--exit-timeout', '30', '--', ...command])
}

const everyRank = Array.from({ length: RANKS }, (_, rank) => rank)

/** Of each rank and step the value of its newest life, and the row's mean as DDP itself reduced it. */
function expectTruth(steps: number): void {
  const points = place.points('latest', '--metric', 'train/loss')
  for (const rank of everyRank) {
    const newest = new Map(truthOf(rank).told.map((told) => [told.step, told]))
    expect([...newest.keys()]).toEqual(Array.from({ length: steps }, (_, step) => step))
    const own = points.filter((point) => point.rank === rank && !point.superseded)
    expect(own.map(({ step, value, weight }) => [step, value, weight])).toEqual(
      [...newest.values()].map((told) => [told.step, told['train/loss'], told.weight]),
    )
  }
  const { means } = truthOf(0)
  const rows = place.rows('latest', '--metric', 'train/loss')
  expect(rows.map(({ step }) => step)).toEqual([...means.keys()])
  for (const row of rows) {
    expect(row).toMatchObject({ count: RANKS, expected: RANKS, sealed: true })
    expect(Math.abs(Number(row.mean) - means.get(row.step)!)).toBeLessThan(1e-6)
  }
  expect(place.audit()).toMatchObject({ balanced: true, complete: true })
}

function expectTrained({ code, stdout, stderr }: Ended, steps: number): void {
  expect(code, stderr).toBe(0)
  expect(stdout).toMatch(/test accuracy 0\.\d+/)
  expectTruth(steps)
  expect(place.runs()).toHaveLength(1)
  expect(place.status()).toMatchObject({ status: 'finished', ranks: RANKS, failed: [] })
}

describe('the digits under DDP', () => {
  afterEach(() => place?.dispose())

  it.each([
    ['torchrun --standalone', ['torchrun', '--standalone']],
    ['python -m torch.distributed.run', [PYTHON, '-m', 'torch.distributed.run', '--master-port=29731']],
  ])('%s: each rank has its loss, the mean is DDP’s own', async (_, launcher) => {
    expectTrained(await train(launcher, ['--steps', '30']), 30)
  })

  it('a rank is killed, torchrun restarts all from a checkpoint: replayed steps count once', async () => {
    const args = ['--steps', '40', '--checkpoint', 'digits.pt', '--save-every', '10']
    // Without it torch 2.15 cannot restart after SIGKILL: its store keeps the addresses of the dead.
    const env = { T_KILL: '2:25', TORCH_DISABLE_SHARE_RDZV_TCP_STORE: '1' }
    const { code, stderr } = await train(['torchrun', '--max-restarts=1'], args, env)
    expect(code, stderr).toBe(0)
    expectTruth(40)

    // What the first life logged from the checkpoint on is history, in its own attempt.
    const points = place.points('latest', '--metric', 'train/loss')
    for (const rank of everyRank) {
      const old = points.filter((point) => point.rank === rank && point.superseded)
      const first = truthOf(rank).told.filter(({ generation, step }) => generation === 0 && step >= 20)
      expect(old.map(({ attempt, step, value }) => [attempt, step, value])).toEqual(
        first.map((told) => [1, told.step, told['train/loss']]),
      )
      const valid = points.filter((point) => point.rank === rank && !point.superseded)
      expect(valid.map(({ attempt }) => attempt)).toEqual(valid.map(({ step }) => (step < 20 ? 1 : 2)))
    }
    const { status, failed, ranks } = place.status()
    expect({ status, ranks }).toEqual({ status: 'finished', ranks: RANKS })
    expect(failed[0]).toMatchObject({ rank: 2, signal: 'SIGKILL', lastStep: 24, recovered: true })
    expect(failed.every(({ recovered }) => recovered)).toBe(true)
  })
})

describe('the digits under DDP by torchrun, each rank with four data loaders', () => {
  let done: Ended
  beforeAll(async () => { done = await train(['torchrun'], ['--steps', '30', '--loaders', '4']) })
  afterAll(() => place?.dispose())

  it('torchrun: each rank has its loss, the mean is DDP’s own', () => expectTrained(done, 30))

  it('data loaders that are forked take no part', () => {
    expect(place.audit().ranks).toHaveLength(RANKS)
    expect(place.status()).toMatchObject({ status: 'finished', failed: [] })
  })
})
