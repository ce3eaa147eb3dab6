import { describe, expect, it } from 'vitest'
import { BEAT_STALE_MS } from '../../lib/limits.ts'
import { AgentKeeper, type KeeperOptions } from '../../lib/logger/keeper.ts'
import { FakeJournal } from './fake-journal.ts'

class Journal extends FakeJournal {
  lastBeat = 0
  override beat(): number { return this.lastBeat }
}

/** Without a command each start is one line, told once; that is what these tests see. */
function keeperOf(options: Partial<KeeperOptions> = {}) {
  const journal = new Journal()
  const said: string[] = []
  const keeper = new AgentKeeper(journal, {
    cli: null, meeting: 'm', run: null, dir: '/d', env: {}, firstStartAt: 0,
    say: (line) => said.push(line), ...options,
  })
  return { journal, keeper, said }
}

describe('the keeper of an agent', () => {
  it('tells once that there is no command, and where the records wait', () => {
    const { keeper, said } = keeperOf()
    for (let now = 10_000; now < 60_000; now += 1000) keeper.look(now)
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(/command was not found.*\/nowhere.*RANKZERO_CLI.*rankzero sync/)
    expect(keeper.canDeliver).toBe(false)
  })

  it('does nothing while the beat is young, and acts when it is old', () => {
    const { journal, keeper, said } = keeperOf()
    journal.lastBeat = 100_000
    keeper.look(100_000 + BEAT_STALE_MS - 1)
    expect(said).toEqual([])
    keeper.look(100_000 + BEAT_STALE_MS)
    expect(said).toHaveLength(1)
    expect(keeper.canDeliver).toBe(true)
  })

  it('does not take a beat for young after the clock was set back', () => {
    const { journal, keeper, said } = keeperOf()
    journal.lastBeat = 100_000
    keeper.look(50_000)
    expect(said).toHaveLength(1)
  })

  it('leaves the first start to others until it is time, unless it must', () => {
    const { keeper, said } = keeperOf({ firstStartAt: 50_000 })
    keeper.look(49_999)
    expect(said).toEqual([])
    keeper.ensure(49_999)
    expect(said).toHaveLength(1)
  })
})
