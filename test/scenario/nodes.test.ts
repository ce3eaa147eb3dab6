import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { kill, ROUNDS, sleep, until } from './harness.ts'
import { TwoHosts, type Job } from './two-hosts.ts'

let two: TwoHosts
afterEach(() => two?.dispose())

const job: Job = { shared: true, metrics: 2, steps: 300, rate: 100 }
const NOTHING: Job = { ...job, shared: false }

/** What may happen to a run of two nodes, each by its name. */
const EVENTS: Record<string, (of: Job) => Promise<void>> = {
  async 'are one run'(of) {
    two = await TwoHosts.make(of)
    two.start(0, 0)
    two.start(1, 2)
    await two.finished()
    await two.expectWhole()
    const status = two.place.status()
    expect(status.clocks?.map(({ host }) => host)).toEqual(['h0', 'h1'])
    expect(Math.abs(status.clocks![1]!.offsetMs!)).toBeLessThan(100)
    expect(status).toMatchObject({ host: 'h0', denied: 0 })
  },

  async 'are one run also when the head comes last'(of) {
    two = await TwoHosts.make(of)
    two.start(1, 2)
    await sleep(8000)
    two.start(0, 0)
    await two.finished()
    await two.expectWhole()
    // Only the head makes run directories.
    if (!of.shared) expect(two.runsOf(1)).toEqual([])
  },

  async 'lose nothing when the link is down for 20 s'(of) {
    two = await TwoHosts.make({ ...of, steps: 3500 })
    two.start(0, 0)
    two.start(1, 2)
    await sleep(4000)
    two.net.cut(1, 'silent')
    await sleep(20_000)
    two.net.heal(1)
    await two.finished()
    await two.expectWhole()
    // Longer than a silent head is waited for; but its lock is held.
    expect(two.place.status()).toMatchObject({ host: 'h0', term: 1 })
  },

  async 'lose nothing when the link is down at the end, and heals within a minute'(of) {
    two = await TwoHosts.make({ ...of, steps: 1000, env: { RANKZERO_EXIT_TIMEOUT: '2' } })
    two.start(0, 0)
    two.start(1, 2)
    await until('all ranks', 60_000, () =>
      two.place.runs().length === 1 && two.place.picture()?.members.length === 4)
    two.net.cut(1, 'silent')
    await two.finished()
    await sleep(8000)
    two.net.heal(1)
    await two.expectWhole()
  },

  'lose nothing when the agent is killed': (of) => killed(of, 'agent', 1),
  'lose nothing when the aggregator is killed': (of) => killed(of, 'aggregator', 0),
}

async function killed(of: Job, kind: string, host: number): Promise<void> {
  two = await TwoHosts.make({ ...of, steps: 1200 })
  two.start(0, 0)
  two.start(1, 2)
  const pid = await until(`the ${kind}`, 60_000, () => two.net.pids(host, ` ${kind} `)[0])
  await sleep(4000)
  kill(pid)
  await two.finished()
  await two.expectWhole()
}

// Sharing nothing is the hardest and meets every event; the others meet those where sharing is in the way.
// More rounds than usual: all of them everywhere.
const SHARING: Record<string, { of: Job; events: RegExp }> = {
  'the run directory': { of: job, events: /are one run$|at the end|aggregator/ },
  'nothing': { of: NOTHING, events: /./ },
  'everything': { of: { ...job, home: 'one' }, events: /are one run|agent/ },
}

describe.each(Object.entries(SHARING))('two nodes that share %s', (_, { of, events }) => {
  const wanted = Object.entries(EVENTS).filter(([name]) => ROUNDS > 3 || events.test(name))
  it.each(wanted)('%s', (_name, run) => run(of))
})

describe('rank 0 on another host than MASTER_ADDR', () => {
  it('is the head all the same, and the signpost leads there', async () => {
    two = await TwoHosts.make({ ...NOTHING, steps: 800 })
    two.start(0, 2)
    two.start(1, 0)
    await two.finished()
    await two.expectWhole(two.dirOf(1))
    expect(two.runsOf(0)).toEqual([])
  })
})

describe('a third host', () => {
  it.each(['no secret', 'another secret'])('with %s gets nothing in', async (which) => {
    two = await TwoHosts.make({ ...NOTHING, endless: true }, 3)
    two.start(0, 0)
    two.start(1, 2)
    await sleep(2000)
    const wrong = join(two.place.root, 'wrong')
    two.writeSecret(wrong)
    const env = two.envOf(2, which === 'no secret' ? null : wrong)
    const strangers = two.start(2, 2, env, join(two.place.root, 'strange'))
    two.ranks.splice(-2)
    const logs = (rank: number): boolean => existsSync(join(two.place.root, `strange.${rank}`))
    await until('strangers that log', 60_000, () => [2, 3].every(logs))
    const { place } = two
    if (which === 'another secret') await until('a knock', 60_000, () => (place.picture()?.denied ?? 0) > 0)
    else await sleep(3000)
    place.stop()
    await two.finished()
    for (const { child } of strangers) kill(child.pid)
    await two.expectWhole()
    const status = two.place.status()
    expect(status.clocks?.map(({ host }) => host)).toEqual(['h0', 'h1'])
    if (which === 'another secret') expect(status.denied).toBeGreaterThan(0)
    else expect(status.denied).toBe(0)
  })
})
