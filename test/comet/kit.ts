/** A run against the stand-in: its environment, and the judge of what arrived. */
import { expect } from 'vitest'
import type { Row } from '../../lib/aggregator/core-types.ts'
import { Place, sleep, TRAINER, until } from '../scenario/harness.ts'
import type { View } from './desk.ts'
import type { Write } from './model.ts'
import type { RemoteDesk } from './process.ts'

export const API_KEY = 'standInKey000000000000001'

/**
 * Rows wait for all ranks: one that closes without a rank comes again, which is right, but not asked here.
 * Nor are budgets and samples of the node, unless a test says so.
 */
const PATIENT = {
  RANKZERO_SYSTEM_METRICS: 'no', RANKZERO_SEAL_AFTER: '600', RANKZERO_JOIN_TIMEOUT: '600',
  RANKZERO_COMET_METRICS: '10000000/60', RANKZERO_COMET_CALLS: '1000000/60', RANKZERO_COMET_POINTS: '65536',
}

export const cometPlace = (url: string, more: NodeJS.ProcessEnv = {}): Place => new Place({
  ...PATIENT, COMET_API_KEY: API_KEY, COMET_URL_OVERRIDE: `${url}/clientlib/`, COMET_WORKSPACE: 'ws', ...more,
})

export const train = (ranks: number, ...flags: string[]): string[] => [
  'run', '--backend', 'comet', '--nproc', `${ranks}`, ...flags, '--', process.execPath, TRAINER,
]

export const script = (ranks: number, ...flags: string[]): string[] =>
  [...train(ranks, ...flags).slice(0, -1), new URL('../scenario/script.js', import.meta.url).pathname]

/** `metric@step` to the one value that its row wants there. */
export function wantedOf(rows: readonly Row[]): Map<string, number | string> {
  const wanted = new Map<string, number | string>()
  for (const row of rows) {
    const { metric, step, value, count, expected, min, max, std, nan, inf } = row
    const add = (name: string, each: number | string | null): void => {
      if (each !== null) wanted.set(`${name}@${step}`, each)
    }
    add(metric, value)
    const here = count + nan + inf
    const differ = here > 1 && (min !== max || (count > 0 && nan + inf > 0))
    if (differ) for (const [name, each] of Object.entries({ min, max, std })) add(`${metric}/${name}`, each)
    if (differ || here < expected) add(`${metric}/coverage`, here / expected)
  }
  return wanted
}

/** Where each metric has its first, last, lowest and highest point. */
export function extremesOf(rows: readonly Row[]): string[] {
  const names: string[] = []
  for (const metric of new Set(rows.map((row) => row.metric))) {
    const own = rows.filter((row) => row.metric === metric)
    const [first] = own as [Row]
    const best = (sign: number): Row => own.reduce((best, row) =>
      sign * Number(row.value) > sign * Number(best.value) ? row : best, first)
    for (const { step } of [first, own.at(-1)!, best(1), best(-1)]) names.push(`${metric}@${step}`)
  }
  return names
}

/** One (metric, step) never has two contents; those that came twice. */
export function contentsOf(series: Record<string, Write[]>): {
  values: Map<string, number | string>; twice: number
} {
  const values = new Map<string, number | string>()
  const told = new Map<string, string>()
  let twice = 0
  for (const [name, writes] of Object.entries(series)) {
    for (const { value, step, epoch, context, timestamp } of writes) {
      const place = `${name}@${step}`
      const content = JSON.stringify([value, epoch, context, timestamp])
      if (told.has(place)) {
        twice++
        expect(content, place).toBe(told.get(place))
      }
      told.set(place, content)
      values.set(place, value as number | string)
    }
  }
  return { values, twice }
}

/** Until some points are there. */
export async function arrived(desk: RemoteDesk): Promise<void> {
  for (let there = 0; there === 0; await sleep(100)) {
    there = Object.keys((await desk.experiments())[0]?.metrics ?? {}).length
  }
}

/** Exactly the rows of the ledger, in the one experiment that there is. */
export async function expectWhole(desk: RemoteDesk, place: Place): Promise<{ view: View; twice: number }> {
  const experiments = await desk.experiments()
  expect(experiments.map(({ key }) => key)).toHaveLength(1)
  const [view] = experiments as [View]
  const { values, twice } = contentsOf(await desk.series(view.key))
  const wanted = wantedOf(place.rows())
  const missing = [...wanted].filter(([name]) => !values.has(name)).map(([name]) => name)
  const other = [...values].filter(([name, value]) => !Object.is(wanted.get(name), value))
  expect({ missing: missing.slice(0, 3), other: other.slice(0, 3), count: values.size })
    .toEqual({ missing: [], other: [], count: wanted.size })
  return { view, twice }
}

/** No proxy of the machine's own. */
export const NO_PROXIES = {
  HTTP_PROXY: '', HTTPS_PROXY: '', NO_PROXY: '', http_proxy: '', https_proxy: '', no_proxy: '',
}
const JOB = { T_STEPS: '30', T_RATE: '50' }

export async function expectOnline(desk: RemoteDesk, place: Place): Promise<void> {
  const done = await place.run(train(1, '--exit-timeout', '120'), JOB)
  expect(done.code, done.stderr).toBe(0)
  await expectWhole(desk, place)
}

/** Training is well; what was not sent waits in an archive, and why is said. */
export async function expectOffline(desk: RemoteDesk, place: Place, why: RegExp): Promise<void> {
  const job = place.start(train(1, '--exit-timeout', '4'), { ...place.endless, T_RATE: '50' })
  await until('the reason', 90_000, () => why.test(place.picture()?.backends[1]?.fault ?? ''))
  place.stop()
  const done = await job.ended
  expect(done.code, done.stderr).toBe(0)
  await until('the end', 60_000, () => place.picture()?.state === 'ended')
  expect(place.status().backends[1]!.fault).toMatch(why)
  expect(place.status().backends[1]).toHaveProperty('archive')
  expect(await desk.experiments()).toEqual([])
  expect(place.audit()).toMatchObject({ balanced: true, complete: false })
}
