/** An aggregator that is killed between making its run directory and telling where it is. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { Place, TRAINER, until } from './harness.ts'

let place: Place
afterEach(() => place.dispose())

/** The first process that is about to write `endpoint.json` hangs there for a while, and dies. */
const DIES = `import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
const { renameSync } = fs
fs.renameSync = (from, to) => {
  if (to.endsWith('endpoint.json') && !fs.existsSync(process.env.T_DIED)) {
    const cell = new Int32Array(new SharedArrayBuffer(4))
    Atomics.wait(cell, 0, 0, Number(process.env.T_HANGS))
    fs.writeFileSync(process.env.T_DIED, '')
    process.kill(process.pid, 'SIGKILL')
  }
  renameSync(from, to)
}
syncBuiltinESMExports()
`

it.each([
  ['rankzero run', 0],
  ['init() alone', 0],
  // Worker and agent wait for five seconds; but somebody is at work yet.
  ['init() alone', 11_000],
])('%s, hanging %i ms: the next one goes on with what it made', async (how, hangsMs) => {
  place = new Place()
  const [dies, died] = [join(place.root, 'dies.mjs'), join(place.root, 'died')]
  writeFileSync(dies, DIES)
  const cli = [process.execPath, '--import', dies, place.cli]
  const env: NodeJS.ProcessEnv = {
    RANKZERO_CLI: JSON.stringify(cli), T_DIED: died, T_STEPS: '50', T_HANGS: String(hangsMs),
  }
  if (hangsMs > 0) env.RANKZERO_EXIT_TIMEOUT = '5'
  const job = [process.execPath, TRAINER]
  const done = await place.run(how === 'rankzero run' ? ['run', '--', ...job] : job, env)
  expect(done.code, done.stderr).toBe(0)
  // Where the disk is slow, a worker of init() alone is through before.
  await until('the end', 60_000, () => place.picture()?.state === 'ended')
  expect(existsSync(died)).toBe(true)
  expect(place.runs()).toHaveLength(1)
  expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  expect(place.points()).toHaveLength(100)
})
