import { afterEach, describe, expect, it } from 'vitest'
import { Place, sleep, TRAINER, until } from './harness.ts'

let place: Place
afterEach(() => place?.dispose())

const node = [process.execPath, TRAINER]
const env = { T_METRICS: '2', T_STEPS: '50', T_RATE: '500' }

async function expectNothingLeft(): Promise<void> {
  await until('all processes gone', 60_000, () => place.processes().length === 0)
  expect(place.shmFiles()).toEqual([])
}

describe.each([
  ['supervised', true],
  ['alone', false],
] as const)('ways to leave, %s', (_, supervised) => {
  const start = (more: NodeJS.ProcessEnv): ReturnType<Place['start']> =>
    place.start(supervised ? ['run', '--nproc', '1', '--', ...node] : node, { ...env, ...more })

  it.each([
    ['end', 0, 'finished'],
    ['none', 0, 'finished'],
    ['exit3', 3, 'failed'],
    ['throw', 1, 'failed'],
  ])('%s: exit status %i, status %s, every point there', async (leave, code, status) => {
    place = new Place()
    const done = await start({ T_LEAVE: leave }).ended
    expect(done.code, done.stderr).toBe(code)
    await until(
      'the end of the session',
      60_000,
      () => place.runs().length === 1 && place.picture()?.state === 'ended',
    )
    expect(place.status().status).toBe(status)
    expect(place.points().length).toBe(100)
    expect(place.audit()).toMatchObject({ balanced: true, complete: true })
    if (leave === 'throw') {
      expect(place.status().failed[0]).toMatchObject({
        error: { type: 'TypeError', message: 'the trainer broke' },
      })
    }
    await expectNothingLeft()
  })
})

describe('signals', () => {
  it('SIGTERM to the supervisor stops the workers: killed, with the last points there', async () => {
    place = new Place()
    const started = place.start(['run', '--nproc', '2', '--', ...node], { ...env, T_LEAVE: 'linger' })
    await until('both trainers', 60_000, () => place.processes('trainer').length === 2)
    await until('all points', 60_000, () => place.picture()?.books.logged === 200)
    started.child.kill('SIGTERM')
    const done = await started.ended
    expect(done.code).toBe(143)
    expect(place.status()).toMatchObject({ state: 'ended', status: 'killed' })
    expect(place.points().length).toBe(200)
    await expectNothingLeft()
  })

  it('Ctrl-C on a terminal reaches the trainer once and ends the session as killed', async () => {
    place = new Place()
    // `script` gives the command a terminal of its own; the character 0x03 is what Ctrl-C sends.
    const line = ['exec', process.execPath, place.cli, 'run', '--nproc', '2', '--', ...node].join(' ')
    const terminal = place.start(
      ['/usr/bin/script', '-qfec', line, '/dev/null'],
      { ...env, T_LEAVE: 'linger' },
      undefined,
      'pipe',
    )
    await until('both trainers', 60_000, () => place.processes('trainer').length === 2)
    await until('all points', 60_000, () => place.picture()?.books.logged === 200)
    terminal.child.stdin!.write('\x03')
    const done = await terminal.ended
    expect(done.code).toBe(130)
    await until('the end of the session', 60_000, () => place.picture()?.state === 'ended')
    expect(place.status().status).toBe('killed')
    expect(place.points().length).toBe(200)
    await sleep(100)
    await expectNothingLeft()
  })
})

describe('without rankzero run', () => {
  it('two jobs side by side in one directory, started from one shell, are two runs', async () => {
    place = new Place()
    const line = `"${node[0]}" "${node[1]}" & "${node[0]}" "${node[1]}" & wait`
    const done = await place.run(['/bin/sh', '-c', line], env)
    expect(done.code, done.stderr).toBe(0)
    await until(
      'two ended runs',
      60_000,
      () => place.runs().length === 2 && place.runs().every((run) => place.picture(run)?.state === 'ended'),
    )
    for (const run of place.runs()) {
      expect(place.points(run).length).toBe(100)
      expect(place.status(run)).toMatchObject({ status: 'finished', ranks: 1 })
    }
    await expectNothingLeft()
  })
})
