import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
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

  it('starts again with doubling pauses while no agent shows itself, and at once after one did', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'rz-keeper-'))
    try {
      const file = join(dir, 'starts')
      const { journal, keeper } = keeperOf({ cli: ['/bin/sh', '-c', `echo x >>${file}`] })
      const starts = (): number => readFileSync(file, 'utf8').length / 2
      // At 100, 105, 115, 135, 175, 235 and 295 s.
      for (let now = 100_000; now < 300_000; now += 1000) keeper.look(now)
      await vi.waitFor(() => expect(starts()).toBe(7), 20_000)
      journal.lastBeat = 300_000
      for (let now = 300_000; now < 311_000; now += 1000) keeper.look(now)
      // At 305 and 310 s.
      await vi.waitFor(() => expect(starts()).toBe(9), 20_000)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  it('leaves the first start to others until it is time, unless it must', () => {
    const { keeper, said } = keeperOf({ firstStartAt: 50_000 })
    keeper.look(49_999)
    expect(said).toEqual([])
    keeper.ensure(49_999)
    expect(said).toHaveLength(1)
  })
})
