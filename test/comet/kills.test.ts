/**
 * SIGKILL of the aggregator in the middle of each of its calls, before and after the server has stored it,
 * and at any time after the first. RANKZERO_TEST_KILLS=20 has them all; a seed says which ones and when.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { kill, random, SEED, sleep, type Place } from '../scenario/harness.ts'
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
type Stage = { match: string; holds?: string; after: boolean } | null

/** The end comes twice: from the first who tells it, and from the one after. */
const END: Stage[] = [false, true].map((after) =>
  ({ match: 'POST /clientlib/status-report/', holds: '"is_alive":false', after }))
const MIDDLE: Stage[] = CALLS.flatMap((match) => [false, true].map((after) => ({ match, after })))

/** In an order that the seed says; those at the end of the run come after them. */
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

const arm = (stage: Stage): Promise<void> =>
  server.desk.set({ faults: stage === null ? [] : [{ ...stage, kind: 'hang', times: 1 }] })

/** Waits for the call that is never answered. */
async function struck(stage: Stage, next: () => number): Promise<void> {
  if (stage === null) {
    await place.one('aggregator')
    // Who finds no experiment makes one, and does not ask whose it is.
    while ((await server.desk.experiments()).length === 0) await sleep(20)
    return sleep(next() * 2500)
  }
  const end = performance.now() + 100_000
  const hung = async (): Promise<boolean> => (await server.desk.log({ match: stage.match }))
    .some(({ fault, n }) => n > seen && fault?.startsWith('hang'))
  for (; !await hung(); await sleep(20)) {
    if (performance.now() > end) throw new Error(`no call to be struck: ${JSON.stringify(stage)}`)
  }
  seen = (await server.desk.log()).at(-1)!.n
}

/** Calls up to this one are of those who were killed. */
let seen = 0

it(`one experiment, whole and ended, after ${KILLS} kills (seed ${SEED})`, async () => {
  server = await spawnStandIn({ knobs: { beatMs: 60_000 } })
  place = cometPlace(server.url, { RANKZERO_TAGS: 'a,b' })
  const next = random(SEED)
  const stop = join(place.root, 'stop')
  const job = place.start(script(2, '--exit-timeout', '280'), { T_CODE: CODE, T_STOP: stop })
  const all = [...stages(next), ...END]
  await arm(all[0]!)
  for (const [i, stage] of all.entries()) {
    if (stage === END[0]) writeFileSync(stop, '')
    await struck(stage, next)
    // The next life must not be faster than we are, and the next fault not be for this one.
    const victim = await place.one('aggregator')
    kill(victim, 'SIGSTOP')
    await arm(all[i + 1] ?? null)
    kill(victim)
  }
  const done = await job.ended
  expect(done.code, done.stderr).toBe(0)
  const synced = await place.run(['sync', 'latest'])
  expect(synced.code, synced.stderr + synced.stdout).toBe(0)
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
  console.log(JSON.stringify({ delivered, resent, twice, seed: SEED }))
}, 300_000 + 20_000 * KILLS)
