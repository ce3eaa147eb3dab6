/** Each launcher, each event: one session, the launcher's own exit status, no point lost, the cause named. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { kill, type Place } from '../scenario/harness.ts'
import { PROVIDED_MS_MAX, provided } from '../setup/provided.ts'
import { Job, launcherPlace, LAUNCHERS } from './kit.ts'
import { slurm, type Slurm } from './slurm.ts'

/** Ended by what happens to it, never by itself. */
const ENDLESS = '1000000'

let cluster: Slurm
let place: Place
beforeAll(() => provided('complete'), PROVIDED_MS_MAX)
beforeAll(async () => {
  cluster = await slurm()
})
afterAll(() => cluster?.dispose())
afterEach(() => place?.dispose())

const start = (launcher: keyof typeof LAUNCHERS, env: NodeJS.ProcessEnv = {}): Job => {
  place = launcherPlace(cluster.env)
  return new Job(place, LAUNCHERS[launcher]!, { T_STEPS: '200', ...env })
}
const every = Object.entries(LAUNCHERS)

describe.each(every)('%s', (name, { exit }) => {
  it('ends clean', async () => {
    const job = start(name)
    const { code, screen } = await job.ended
    expect(code, screen).toBe(exit.clean)
    job.expectWhole()
    expect(place.status()).toMatchObject({ status: 'finished', failed: [] })
  })

  it('has an exception in rank 2', async () => {
    const job = start(name, { T_RAISE: '2:30' })
    const { code, screen } = await job.ended
    expect(code, screen).toBe(exit.raise)
    job.expectWhole()
    expect(place.status().status).toBe('failed')
    const error = { type: 'RuntimeError', message: 'the batch is empty' }
    job.expectFailureOf2({ exit: 1, signal: null, error }, screen)
  })

  it('loses rank 2 by SIGKILL', async () => {
    // srun lets the others go on to their end.
    const job = start(name, { T_STEPS: '1500' })
    await job.reached(30)
    await job.seen()
    kill(job.pid(2))
    const { code, screen } = await job.ended
    expect(code, screen).toBe(exit.kill)
    job.expectWhole()
    expect(place.status().status).toBe('failed')
    job.expectFailureOf2({ exit: null, signal: 'SIGKILL' }, screen)
  })

  it('gets Ctrl-C', async () => {
    const job = start(name, { T_STEPS: ENDLESS })
    await job.reached(30)
    await job.seen()
    await job.ctrlC(name.startsWith('srun') ? 2 : 1)
    const { code, screen } = await job.ended
    expect(exit.interrupt, screen).toContain(code)
    job.expectWhole()
    expect(place.status()).toMatchObject({ status: 'killed' })
  })
})

describe.each(every.filter(([name]) => name.startsWith('srun')))('%s', (name) => {
  it('is cancelled', async () => {
    const job = start(name, { T_STEPS: ENDLESS })
    await job.reached(30)
    await job.seen()
    cluster.ask('scancel', '--user=root')
    const { code, screen } = await job.ended
    expect(code, screen).toBe(143)
    job.expectWhole()
    expect(place.status()).toMatchObject({ status: 'killed' })
  })
})
