/** Many points, small budgets, an ill server: at the end all is told for, nothing is there in two ways. */
import { afterEach, expect, it } from 'vitest'
import type { Place } from '../scenario/harness.ts'
import type { View } from './desk.ts'
import { cometPlace, contentsOf, extremesOf, train, wantedOf } from './kit.ts'
import { spawnStandIn, type Spawned } from './process.ts'

/** A tenth of what the vendor allows, in windows of a minute. */
const WINDOW_MS = 60_000
const MAX = { calls: 1500 / 60, metric: 1200, parameter: 1000, output: 1200, other: 800 }
const FAULTS = [
  { match: 'batch/', kind: 'answer', status: 429, headers: { 'Retry-After-Custom': '1' }, rate: 0.1 },
  { match: 'batch/', kind: 'answer', status: 429, headers: { 'Retry-After-Custom': '8' }, times: 1 },
  { kind: 'answer', status: 503, rate: 0.05 }, { kind: 'reset', rate: 0.03 },
  { kind: 'reset', rate: 0.03, after: true },
  { match: 'batch/', kind: 'hang', times: 1, ms: 5000 },
] as const
const [RANKS, METRICS, STEPS] = [8, 20, 5000]

let place: Place
let server: Spawned
afterEach(async () => {
  place.dispose()
  await server.close()
})

it('8 ranks × 20 metrics × 5,000 steps within a tenth of the budgets', async () => {
  const budgets = Object.fromEntries(Object.entries(MAX)
    .map(([kind, max]) => [kind, { max, windowMs: WINDOW_MS }]))
  server = await spawnStandIn({ knobs: { faults: [...FAULTS], budgets } })
  const of = (kind: keyof typeof MAX): string => `${MAX[kind]}/${WINDOW_MS / 1000}`
  place = cometPlace(server.url, {
    RANKZERO_COMET_CALLS: of('calls'), RANKZERO_COMET_METRICS: of('metric'),
    RANKZERO_COMET_OTHER: of('other'), RANKZERO_COMET_PARAMETERS: of('parameter'),
    RANKZERO_COMET_OUTPUT: of('output'),
  })
  const done = await place.run(train(RANKS, '--exit-timeout', '480'),
    { T_METRICS: `${METRICS}`, T_STEPS: `${STEPS}`, T_RATE: '80' })
  expect(done.code, done.stderr).toBe(0)
  const [view] = await server.desk.experiments() as [View]
  const { values, twice } = contentsOf(await server.desk.series(view.key))
  const rows = place.rows()
  const wanted = wantedOf(rows)
  expect([...values].filter(([name, value]) => wanted.get(name) !== value)).toEqual([])
  expect(extremesOf(rows).filter((name) => !values.has(name))).toEqual([])
  expect(view).toMatchObject({ state: 'ended', others: { 'rankzero status': 'finished' } })
  const { backends, ...books } = place.audit()
  expect(books).toMatchObject({ balanced: true, complete: true, problems: [] })
  const { delivered, thinned, resent, rejected } = backends[1]!
  expect(delivered + thinned).toBe(RANKS * METRICS * STEPS)
  expect(rejected).toBe(0)
  if (twice > 0) expect(resent).toBeGreaterThan(0)
  const calls = await server.desk.calls(WINDOW_MS)
  const items = await server.desk.calls(WINDOW_MS, { kind: 'metric' })
  const { ms } = done
  console.log(JSON.stringify({ delivered, thinned, resent, twice, values: values.size, calls, items, ms }))
  expect(calls.worst).toBeLessThanOrEqual(MAX.calls)
  expect(items.worstItems).toBeLessThanOrEqual(MAX.metric)
}, 600_000)
