/** A run whose ledger is damaged while its aggregator is down goes on with a new one, and says the loss. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { Audit } from '../../lib/aggregator/core-types.ts'
import { kill, Place, until } from '../scenario/harness.ts'
import { valueOf } from '../scenario/value.js'

let place: Place
afterEach(() => place?.dispose())

const WAIT_MS = 60_000

test('a ledger that cannot be read is set aside, and the run goes on with a new one', async () => {
  place = new Place()
  const stop = join(place.root, 'stop')
  const trainer = join(import.meta.dirname, 'trainer.js')
  const argv = ['run', '--nproc', '2', '--key', 'k', '--', process.execPath, trainer]
  const run = place.start(argv, { STOP: stop })
  const served = (term: number): Promise<number> => until(`points under term ${term}`, WAIT_MS, () => {
    if (place.runs().length === 0) return null
    const { term: now, members, processes } = place.status()
    const all = members.length === 2 && members.every(({ admitted }) => admitted > 10)
    return now === term && all && processes.find(({ role }) => role === 'aggregator')?.pid
  })
  kill(await served(1), 'SIGSTOP')
  const dir = join(place.dir, place.runs()[0]!)
  const ledger = join(dir, 'ledger.sqlite')
  const damaged = ['', '-wal'].map((end): [string, Buffer] =>
    [`${ledger}${end}`, readFileSync(`${ledger}${end}`).fill(0xa5, 0, 64)])
  kill(await place.one('aggregator'))
  // Its successor needs longer to come up than this.
  for (const [path, bytes] of damaged) writeFileSync(path, bytes)
  await served(2)
  writeFileSync(stop, '')
  const { code, stderr } = await run.ended
  expect(stderr).not.toContain('to do')
  expect(code).toBe(0)

  const [aside] = readdirSync(dir).filter((name) => /^ledger\.sqlite\.damaged-[\d.-]+$/.test(name))
  expect(aside).toBeDefined()
  const log = readFileSync(join(dir, 'log', 'aggregator.log'), 'utf8')
  expect(log).toMatch(/the ledger could not be read and is now .*damaged-.*a new one begins/)
  expect(place.status().damages).toEqual([expect.stringMatching(/set aside as .*damaged-/)])
  const done = await place.run(['audit', '--json'])
  const audit = JSON.parse(done.stdout) as Audit
  expect([done.code, audit.balanced, audit.status]).toEqual([1, false, 'finished'])
  expect(audit.problems).toEqual([expect.stringContaining(join(dir, aside!))])
  for (const { logged, admitted, lost, pending } of audit.ranks) {
    expect(admitted + lost).toBe(logged)
    expect([lost > 0, pending]).toEqual([true, 0])
  }
  const points = place.points()
  expect(points.length).toBe(audit.ranks.reduce((sum, { admitted }) => sum + admitted, 0))
  for (const { metric, step, rank, value } of points) {
    expect(value).toBe(valueOf(rank, step, Number(metric.slice(1))))
  }
}, 180_000)
