import { afterEach, describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { kill, Place, ROUNDS, SEED, TRAINER, until } from './harness.ts'

let place: Place
afterEach(() => place?.dispose())

const env = { T_STEPS: '20', T_RATE: '200' }
const job = (more: string[], leave: string[] = [process.execPath, TRAINER]): string[] => [
  'run',
  '--nproc',
  '1',
  '--key',
  'shared',
  ...more,
  '--',
  ...leave,
]
const directories = (): string[] =>
  ['a', 'b'].map((name) => {
    const dir = join(place.root, name)
    mkdirSync(dir, { recursive: true })
    return dir
  })

/** A COMMAND that holds its key until `place.stop()`, however slow the machine is, and then does this. */
const holding = (then: string): string[] =>
  ['/bin/sh', '-c', `while [ ! -e ${place.root}/stop ]; do sleep 0.1; done; ${then}`]

describe('two jobs with one key at once, from different directories', () => {
  it.each(Array.from({ length: ROUNDS }, (_, round) => SEED + round))(
    'exactly one holds it; the other exits 75 before COMMAND starts and names the holder (seed %i)',
    async () => {
      place = new Place()
      const [a, b] = directories()
      const started = `echo started >> ${place.root}/started; exec "$@"`
      const command = ['/bin/sh', '-c', started, 'sh', ...holding('true')]
      const both = [a!, b!].map((cwd) =>
        place.run(job([], command), { RANKZERO_DIR: join(cwd, 'runs') }, cwd))
      await Promise.race(both)
      place.stop()
      const jobs = await Promise.all(both)
      expect(jobs.map((done) => done.code).sort()).toEqual([0, 75])
      const winner = jobs.find((done) => done.code === 0)!
      const loser = jobs.find((done) => done.code === 75)!
      const run = /rankzero: run (\S+) /.exec(winner.stderr)![1]!
      expect(loser.stderr).toContain(run)
      expect(loser.stderr).toMatch(/'shared'.*host.*pid \d+/s)
      expect(readFileSync(join(place.root, 'started'), 'utf8')).toBe('started\n')
      const losing = jobs[0] === loser ? a! : b!
      const left = existsSync(join(losing, 'runs')) ? readdirSync(join(losing, 'runs')) : []
      expect(left.filter((name) => /^\d{8}-/.test(name))).toEqual([])
    },
  )

  it('wait delays COMMAND until the holder has ended', async () => {
    place = new Place()
    const first = place.start(job([], holding(`echo first >> ${place.root}/order`)))
    await until('the first run', 60_000, () => place.runs().length === 1)
    const waiting = place.start(
      job(['--on-collision', 'wait'], ['/bin/sh', '-c', `echo second >> ${place.root}/order`]),
    )
    await until('the wait', 60_000, () => waiting.stderr().includes('waiting for key shared'))
    place.stop()
    const second = await waiting.ended
    expect((await first.ended).code).toBe(0)
    expect(second.code, second.stderr).toBe(0)
    expect(readFileSync(join(place.root, 'order'), 'utf8')).toBe('first\nsecond\n')
    expect(place.status()).toMatchObject({ key: 'shared', status: 'finished' })
  })

  it('rename appends -2', async () => {
    place = new Place()
    const first = place.start(job([], holding('true')))
    await until('the first run', 60_000, () => place.runs().length === 1)
    const second = await place.run(job(['--on-collision', 'rename']), env)
    expect(second.code, second.stderr).toBe(0)
    expect(place.status()).toMatchObject({ key: 'shared-2', status: 'finished' })
    place.stop()
    expect((await first.ended).code).toBe(0)
  })

  it.each(['wait', 'rename', 'fail'] as const)(
    '%s does what it says when every process of the holder is killed with SIGKILL',
    async (how) => {
      place = new Place()
      const first = place.start(job([]), { ...env, T_STEPS: '100000' })
      await until(
        'the first run',
        60_000,
        () => place.processes('trainer').length === 1 && place.runs().length === 1,
      )
      const killedAt = performance.now()
      for (const pid of place.processes()) kill(pid)
      await first.ended
      const second = await place.run(job(['--on-collision', how]), env)
      const waited = performance.now() - killedAt
      if (how === 'fail') {
        expect(second.code).toBe(75)
      } else {
        expect(second.code, second.stderr).toBe(0)
        expect(place.status()).toMatchObject({
          key: how === 'wait' ? 'shared' : 'shared-2',
          status: 'finished',
        })
        if (how === 'wait') expect(waited, 'a key without an end mark rests for 10 s').toBeGreaterThan(9000)
      }
      const lost = place.runs()[0]!
      const synced = await place.run(['sync', lost])
      expect(synced.code, synced.stderr).toBe(0)
      expect(place.status(lost)).toMatchObject({ state: 'ended' })
      expect(place.audit(lost)).toMatchObject({ balanced: true, complete: true })
    },
  )
})

describe('a key that init() names and another run holds', () => {
  it('refuses the session, not the training: the data stays local, sync --key delivers it', async () => {
    place = new Place()
    const held = { ...env, ...place.endless, T_INIT_KEY: 'mine' }
    const holder = place.start([process.execPath, TRAINER], held)
    await until('the holder', 60_000, () => place.runs().length === 1 && place.picture()?.key === 'mine')
    const [first] = place.runs()
    const second = await place.run([process.execPath, TRAINER], { ...env, T_INIT_KEY: 'mine' })
    expect(second.code, second.stderr).toBe(0)
    const refused = await until('the second run', 60_000, () => place.runs()[1])
    await until('its end', 60_000, () => place.picture(refused)?.state === 'ended')
    expect(place.status(refused)).toMatchObject({ key: refused, reason: expect.stringContaining(first!) })
    expect((await place.run(['status', refused])).stdout).toMatch(/refused .*sync .* --key/)
    expect(place.points(refused).length).toBe(40)
    expect((await place.run(['sync', refused, '--key', 'other'])).code).toBe(0)
    const delivered = { key: 'other', reason: null, state: 'ended', status: 'finished' }
    expect(place.status(refused)).toMatchObject(delivered)
    expect(place.points(refused).length).toBe(40)
    place.stop()
    expect((await holder.ended).code).toBe(0)
  })
})
