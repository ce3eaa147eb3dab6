/**
 * SIGKILL of the aggregator in the middle of each of its calls, before and after the server has stored it,
 * and at any time between. RANKZERO_TEST_KILLS=20 has them all; a seed says which ones and when.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { kill, random, SEED, sleep, until, type Place } from '../scenario/harness.ts'
import { cometPlace, expectWhole, script } from './kit.ts'
import { spawnStandIn } from './process.ts'

const KILLS = Number(process.env['RANKZERO_TEST_KILLS'] ?? 5)

/** Of a life that goes on from another: each of them comes again. */
const CALLS = [
  'POST /clientlib/logger/', 'GET /api/rest/v2/experiment/log-other', 'POST /clientlib/status-report/',
  'POST /api/rest/v2/write/experiment/log-other', 'POST /clientlib/tags/', 'experiment/parameter',
  'experiment/metric', 'experiment/output',
]
/** Null: at any time. */
type Stage = { match: string; after: boolean } | null

const END: Stage[] = [false, true].map((after) => ({ match: 'POST /clientlib/status-report/', after }))
const MIDDLE: Stage[] = CALLS.flatMap((match) => [false, true].map((after) => ({ match, after })))

/** In an order that the seed says; the last one is at the end of the run. */
function stages(next: () => number): Stage[] {
  const shuffled = MIDDLE.map((stage) => ({ stage, by: next() })).sort((a, b) => a.by - b.by)
  const instants = Array.from({ length: Math.max(1, KILLS - MIDDLE.length - END.length) }, () => null)
  return [...instants, ...shuffled.map(({ stage }) => stage)].slice(0, Math.max(1, KILLS - END.length))
}

const CODE = `const { existsSync } = process.getBuiltinModule('node:fs')
  run.params({ lr: 0.1, opt: { name: 'adam' } })
  for (let step = 0; !existsSync(process.env.T_STOP); step++) {
    run.log({ a: step + run.rank, same: step }, { step })
    if (step % 50 === 0) run.text('at ' + step)
    await sleep(20)
  }`

let place: Place
let server: Awaited<ReturnType<typeof spawnStandIn>>
afterEach(async () => {
  place.dispose()
  await server.close()
})

const someone = (over: () => boolean): Promise<number> =>
  until('an aggregator', 60_000, () => over() ? -1 : place.processes('aggregator')[0])

/** Waits for the call that is never answered, and kills who made it. False: the run was over before. */
async function strike(stage: Stage, next: () => number, over: () => boolean): Promise<boolean> {
  if (stage === null) {
    const victim = await someone(over)
    await sleep(next() * 2500)
    if (victim > 0) kill(victim)
    return victim > 0
  }
  const before = (await server.desk.log()).length
  await server.desk.set({ faults: [{ ...stage, kind: 'hang', times: 1 }] })
  for (;;) {
    const struck = (await server.desk.log()).slice(before).some(({ fault }) => fault?.startsWith('hang'))
    if (struck || over()) break
    await sleep(20)
  }
  await server.desk.set({ faults: [] })
  if (over()) return false
  kill(await someone(over))
  return true
}

it(`one experiment, whole and ended, after ${KILLS} kills (seed ${SEED})`, async () => {
  server = await spawnStandIn({ knobs: { beatMs: 60_000 } })
  place = cometPlace(server.url, { RANKZERO_TAGS: 'a,b' })
  const next = random(SEED)
  const stop = join(place.root, 'stop')
  const job = place.start(script(2, '--exit-timeout', '60'), { T_CODE: CODE, T_STOP: stop })
  let over = false
  void job.ended.then(() => {
    over = true
  })
  let kills = 0
  for (const stage of stages(next)) kills += Number(await strike(stage, next, () => over))
  expect(over, 'nobody ends before it is told to').toBe(false)
  writeFileSync(stop, '')
  const areEnded = (): boolean => place.status().members.every(({ state }) => state === 'ended')
  await until('the end of trainers', 60_000, areEnded)
  for (const stage of END) kills += Number(await strike(stage, next, () => over))
  const done = await job.ended
  expect(done.code, done.stderr).toBe(0)
  const synced = await place.run(['sync', 'latest'])
  expect(synced.code, synced.stderr + synced.stdout).toBe(0)
  expect(kills).toBeGreaterThanOrEqual(Math.min(KILLS, stages(random(SEED)).length))
  const { view, twice } = await expectWhole(server.desk, place)
  expect(view).toMatchObject({
    state: 'ended', errors: [], tags: ['a', 'b'], parameters: { 'lr': 0.1, 'opt/name': 'adam' },
    others: { 'rankzero status': 'finished', 'rankzero run': place.status().run },
  })
  // Texts come again only as they were.
  const texts = new Map(view.output.map(({ offset, output }) => [offset, output]))
  expect([...texts.keys()].sort((a, b) => a! - b!)).toEqual(Array.from(texts, (_, i) => i + 1))
  for (const { offset, output } of view.output) expect(output).toBe(texts.get(offset))
  const { backends, ...books } = place.audit()
  expect(books).toMatchObject({ balanced: true, complete: true, problems: [] })
  const { delivered, resent, ...rest } = backends[1]!
  expect(rest).toMatchObject({ name: 'comet', pending: 0, rejected: 0, thinned: 0 })
  expect(delivered).toBe(place.points().length)
  if (twice > 0) expect(resent).toBeGreaterThan(0)
  console.log(JSON.stringify({ kills, delivered, resent, twice, seed: SEED }))
}, 300_000 + 20_000 * KILLS)
