/** What the commands say of a run directory with damaged files: exit status, file and remedy, per case. */
import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSqlite } from '../../lib/ledger/sqlite.ts'
import { Place, TRAINER, until, type Ended } from '../scenario/harness.ts'

let place: Place
/** A run directory as it was, and another run's. */
let dir: string
let other: string
beforeAll(async () => {
  place = new Place()
  const env = { T_STEPS: '20', T_METRICS: '1' }
  const argv = ['run', '--nproc', '1', '--exit-timeout', '60', '--', process.execPath, TRAINER]
  for (let i = 0; i < 2; i++) await place.run(argv, env)
  await until('the end of their processes', 60_000, () => place.processes().length === 0)
  ;[dir, other] = place.runs().map((run) => join(place.dir, run)) as [string, string]
  cpSync(dir, join(place.root, 'whole'), { recursive: true })
}, 300_000)
afterAll(() => place?.dispose())

const at = (name: string): string => join(dir, name)
const sql = (text: string): void => {
  const db = openSqlite(at('ledger.sqlite'), { readonly: false, busyMs: 0 })
  db.exec(text)
  db.close()
}

/** Exit status, and what stdout and stderr say together. */
type Told = [command: string, status: number, says: RegExp]
const FINE: Told[] = [
  ['audit', 0, /balanced, nothing pending/], ['export', 0, /^\{"metric":"m00","step":0,[^]*"step":19,/],
  ['status', 0, /ended, finished/], ['sync', 0, /ended, finished: 0 points delivered, 0 pending, 0 lost/],
]
const LEDGER = 'runs/[^/]+/ledger\\.sqlite'
const kept = (...changed: Told[]): Told[] =>
  FINE.map((one) => changed.find(([command]) => command === one[0]) ?? one)

const CASES: [what: string, damage: () => void, told: Told[]][] = [
  ['nothing', () => {}, FINE],
  ['a ledger without its first bytes', () => {
    writeFileSync(at('ledger.sqlite'), readFileSync(at('ledger.sqlite')).fill(0, 0, 64))
  }, kept(['audit', 1, new RegExp(`${LEDGER}: file is not a database.*to do: .*move it away`, 's')],
    ['export', 1, new RegExp(`${LEDGER}: file is not a database.*to do: .*move it away`, 's')])],
  ['half a ledger', () => truncateSync(at('ledger.sqlite'), 8192),
    kept(['audit', 1, new RegExp(`${LEDGER}: database disk image is malformed.*to do: .*\\.recover`, 's')],
      ['export', 1, new RegExp(`${LEDGER}: database disk image is malformed.*to do: .*\\.recover`, 's')])],
  ['an empty ledger', () => truncateSync(at('ledger.sqlite'), 0),
    kept(['audit', 1, new RegExp(`${LEDGER} is empty.*to do: .*sync`, 's')],
      ['export', 1, new RegExp(`${LEDGER} is empty.*to do: .*sync`, 's')])],
  ['no ledger', () => rmSync(at('ledger.sqlite')),
    kept(['audit', 1, new RegExp(`no ledger at .*${LEDGER}`)],
      ['export', 1, new RegExp(`no ledger at .*${LEDGER}`)])],
  ['the ledger of another run', () => cpSync(join(other, 'ledger.sqlite'), at('ledger.sqlite')),
    kept(['audit', 1, new RegExp(`${LEDGER} is of run .*to do: put the files`, 's')],
      ['export', 1, new RegExp(`${LEDGER} is of run .*to do: put the files`, 's')])],
  ['a damaged note', () => sql(`UPDATE notes SET at = at + 1 WHERE kind = 'seal'`),
    kept(['audit', 1, new RegExp(`NOT balanced.*does not pass its check.*keep a copy of .*${LEDGER}`, 's')],
      ['export', 0, new RegExp(`damaged: entry \\d+ does not pass its check.*${LEDGER}`, 's')])],
  ['a lost end', () => sql('DELETE FROM batches; DELETE FROM notes WHERE pos > 4'),
    kept(['audit', 1, /status\.json has shown \d+ points as admitted, and the ledger has 0/],
      ['export', 0, /^/])],
  ['a damaged picture', () => writeFileSync(at('status.json'), '{"run":'),
    kept(['status', 0, /interrupted.*to do +rankzero sync/s], ['sync', 0, /ended, finished: \d+ points/])],
  ['no endpoint', () => truncateSync(at('endpoint.json'), 0), FINE],
  ['a damaged lock, and no picture', () => {
    writeFileSync(at('term.lock'), 'x'.repeat(8192))
    rmSync(at('status.json'))
  }, kept(['status', 0, /interrupted/], ['sync', 0, /ended, finished: \d+ points/])],
]

test.each(CASES)('with %s', async (_, damage, told) => {
  rmSync(dir, { recursive: true })
  cpSync(join(place.root, 'whole'), dir, { recursive: true })
  damage()
  const run = ([command]: Told): Promise<Ended> => place.run([command, dir])
  const looks = told.filter(([command]) => command !== 'sync')
  const answers = await Promise.all(looks.map(run))
  // Last, since it mends.
  answers.push(await run(['sync', 0, /^/]))
  for (const [i, [command, status, says]] of [...looks, ...told.filter(([c]) => c === 'sync')].entries()) {
    const { code, stdout, stderr } = answers[i]!
    const text = stdout + stderr
    expect(text, command).toMatch(says)
    expect(text, command).not.toMatch(/INTERNAL|\n +at /)
    expect(code, `${command}: ${text}`).toBe(status)
  }
})
