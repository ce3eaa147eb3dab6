/** An aggregator that is killed between making its run directory and telling where it is. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { Place, TRAINER, until } from './harness.ts'

let place: Place
afterEach(() => place.dispose())

/** The first process that is about to write `endpoint.json` dies there. */
const DIES = `import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
const { renameSync } = fs
fs.renameSync = (from, to) => {
  if (to.endsWith('endpoint.json') && !fs.existsSync(process.env.T_DIED)) {
    fs.writeFileSync(process.env.T_DIED, '')
    process.kill(process.pid, 'SIGKILL')
  }
  renameSync(from, to)
}
syncBuiltinESMExports()
`

it.each(['rankzero run', 'init() alone'])('%s: the next one goes on with what it made', async (how) => {
  place = new Place()
  const [dies, died] = [join(place.root, 'dies.mjs'), join(place.root, 'died')]
  writeFileSync(dies, DIES)
  const cli = [process.execPath, '--import', dies, place.cli]
  const env = { RANKZERO_CLI: JSON.stringify(cli), T_DIED: died, T_STEPS: '50' }
  const job = [process.execPath, TRAINER]
  const done = await place.run(how === 'rankzero run' ? ['run', '--', ...job] : job, env)
  expect(done.code, done.stderr).toBe(0)
  expect(existsSync(died)).toBe(true)
  await until('the end', 60_000, () => place.picture()?.state === 'ended')
  expect(place.runs()).toHaveLength(1)
  expect(place.audit()).toMatchObject({ balanced: true, complete: true })
  expect(place.points()).toHaveLength(100)
})
