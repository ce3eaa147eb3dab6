/**
 * Plays agent and aggregator for tests of the supervisor alone. FAKE (JSON) says how:
 * { error }      the aggregator refuses
 * { silent }     it exits without a word
 * { waiting }    it says so first, and goes on when <dir>/go exists
 * { key }        the key that it got
 * { never }      the session never ends; otherwise it ends when <dir>/done exists
 * Every start is one line of <dir>/calls.
 */
import { appendFileSync, existsSync, mkdirSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'

const [role, ...args] = process.argv.slice(2)
const after = (flag) => args[args.indexOf(flag) + 1]
const dir = after('--dir')
const plan = JSON.parse(process.env.FAKE ?? '{}')
if (!plan.error && !plan.silent) mkdirSync(dir, { recursive: true })
if (existsSync(dir)) appendFileSync(join(dir, 'calls'), `${role} ${process.pid} ${args.join(' ')}\n`)
const until = async (name) => {
  while (!existsSync(join(dir, name))) await new Promise((resolve) => setTimeout(resolve, 5))
}
const tell = (line) => {
  if (args.includes('--new')) writeSync(3, `${JSON.stringify(line)}\n`)
}

if (role === 'aggregator') {
  if (plan.silent) process.exit(1)
  if (plan.error) {
    tell({ error: plan.error })
    process.exit(75)
  }
  if (plan.waiting) {
    tell({ waiting: plan.waiting })
    await until('go')
  }
  const isAgain = args.includes('--resume') && !args.includes('--new')
  const run = isAgain ? after('--resume') : '20260101-000000-abcdef'
  const runDir = join(dir, run)
  mkdirSync(runDir, { recursive: true })
  const paint = (state) => {
    const status = {
      run, key: plan.key ?? run, project: 'p', name: 'n', dir: runDir, host: hostname(), state,
      status: state === 'ended' ? 'finished' : null, ranks: 1, startedAt: 1, endedAt: null,
      failed: plan.failed ?? [],
      processes: [{ role: 'aggregator', host: hostname(), pid: process.pid }],
      members: plan.members ?? [], metrics: [],
      books: { logged: 7, admitted: 5, merged: 5, lost: plan.lost ?? 0, pending: plan.never ? 2 : 0 },
      backends: [],
    }
    writeFileSync(join(runDir, 'tmp'), JSON.stringify(status))
    renameSync(join(runDir, 'tmp'), join(runDir, 'status.json'))
  }
  paint('live')
  const { pid } = process
  tell({ ready: { run, dir: runDir, key: plan.key ?? run, meeting: 'f'.repeat(32), pid, term: 1 } })
  const limit = setTimeout(() => process.exit(0), 20_000)
  await until(plan.never ? 'stop' : 'done')
  paint('ended')
  clearTimeout(limit)
}
