import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ledgerPath, readEndpoint } from '../../lib/backend/local.ts'
import { openSqlite } from '../../lib/ledger/sqlite.ts'
import type { RunStatus } from '../../lib/record/run-status.ts'
import { CLI, kill, Place, sleep, TRAINER, until } from './harness.ts'
import { TwoHosts, type Job } from './two-hosts.ts'
import { nameOf } from './value.js'

/** However long the machine takes for what happens meanwhile, ranks log until they are told to stop. */
const SHARED: Job = { shared: true, metrics: 2, steps: 0, rate: 100, endless: true }

const seen = (place: Place): Partial<RunStatus> => place.picture() ?? {}

/** The agent of the other node has seen that the lock of the run directory reaches it. */
async function proved(two: TwoHosts): Promise<void> {
  const log = join(two.place.dir, two.place.runs()[0]!, 'log', 'agent.log')
  await until('a lock that is seen from the other node', 60_000, () =>
    existsSync(log) && readFileSync(log, 'utf8').includes('sees the lock of run'))
}

/** A server that frees the lock of the run frees the ledger's too; here a stopped commit would keep it. */
async function stopBetweenCommits(pid: number, ledger: string): Promise<void> {
  await until('a stop between two commits', 60_000, () => {
    kill(pid, 'SIGSTOP')
    if (!/\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) return false
    const db = openSqlite(ledger, { readonly: false, busyMs: 0 })
    try {
      db.exec('BEGIN IMMEDIATE; ROLLBACK')
      return true
    } catch {
      kill(pid, 'SIGCONT')
      return false
    } finally {
      db.close()
    }
  })
}

async function begun(job: Job, count = 2): Promise<TwoHosts> {
  const two = await TwoHosts.make(job, count)
  const ranks = job.ranks ?? 4
  for (let i = 0; 2 * i < ranks; i++) two.start(i, 2 * i)
  await until('all ranks', 60_000, () => seen(two.place).members?.length === ranks)
  return two
}

/** Real hosts in namespaces, all at once: what they do most is wait. */
describe.concurrent('rank 0\'s node, the run directory is shared', () => {
  it('is gone for good: the other node takes the run over, and closes it', async () => {
    const two = await begun(SHARED)
    try {
      await proved(two)
      const { term, key } = seen(two.place)
      two.net.lose(0)
      const lost = two.ranks.splice(0, 2)
      await Promise.all(lost.map(({ ended }) => ended))
      await until('a new head', 90_000, () => seen(two.place).host === 'h1')
      // Its own node starts it again when it dies, also when who took the run over dies with it.
      for (const kind of [' agent ', ' aggregator ']) two.net.pids(1, kind).forEach((pid) => kill(pid))
      await until('a head again', 90_000, () => seen(two.place).term === term! + 2)
      two.place.stop()
      await two.finished()
      await until('the end', 120_000, () => seen(two.place).state === 'ended')
      const status = two.place.status()
      expect(status).toMatchObject({ host: 'h1', status: 'partial', key, term: term! + 2, ranks: 4 })
      expect(two.place.runs()).toHaveLength(1)
      expect(status.failed.map(({ rank, host, cause }) => [rank, host, cause]).sort())
        .toEqual([[0, 'h0', 'node-lost'], [1, 'h0', 'node-lost']])
      const states = status.members.map(({ rank, state }) => [rank, state]).sort()
      expect(states).toEqual([[0, 'lost'], [1, 'lost'], [2, 'ended'], [3, 'ended']])
      two.expectPoints([2, 3])
      expect(two.place.audit()).toMatchObject({ balanced: true, complete: true })
    } finally {
      two.dispose()
    }
  })

  it('is stopped for longer than the bound: it keeps the run, and nothing is lost', async () => {
    const two = await begun(SHARED)
    try {
      await proved(two)
      const { term } = seen(two.place)
      const stopped = two.net.pids(0)
      for (const pid of stopped) kill(pid, 'SIGSTOP')
      await sleep(24_000)
      expect(two.net.pids(1, ' aggregator ')).toEqual([])
      stopped.forEach((pid) => kill(pid, 'SIGCONT'))
      two.place.stop()
      await two.finished()
      await two.expectWhole()
      expect(seen(two.place)).toMatchObject({ host: 'h0', term })
    } finally {
      two.dispose()
    }
  })
})

describe.concurrent('a run whose nodes are gone', () => {
  it('is closed by sync on another one, also when nothing is left to deliver', async () => {
    const two = await begun(SHARED, 3)
    try {
      two.net.lose(0)
      two.net.lose(1)
      const done = await two.net.start(2, [process.execPath, CLI, 'sync', '--all'], two.envOf(2)).ended
      expect(done.code, done.stdout + done.stderr).toBe(0)
      expect(done.stdout).toContain('ended, lost')
      const status = two.place.status()
      expect(status.members.map(({ state }) => state)).toEqual(['lost', 'lost', 'lost', 'lost'])
      const audit = two.place.audit()
      expect(audit).toMatchObject({ balanced: true, complete: true, status: 'lost' })
      expect(audit.ranks.every(({ estimated }) => estimated)).toBe(true)
    } finally {
      two.dispose()
    }
  })
})

describe.concurrent('rank 0\'s node is gone for good, nothing is shared', () => {
  it('sync on each of the others keeps its part, and --join makes them one', async () => {
    const env = { RANKZERO_EXIT_TIMEOUT: '2' }
    const three = await begun({ ...SHARED, shared: false, ranks: 6, env }, 3)
    const sync = async (i: number, ...args: string[]): Promise<string> => {
      const argv = [process.execPath, CLI, 'sync', ...args]
      const done = await three.net.start(i, argv, three.envOf(i)).ended
      expect(done.code, done.stdout + done.stderr).toBe(0)
      return done.stdout
    }
    try {
      // Of each rank the head has something that it takes with it, what names the metrics above all.
      await until('something of all ranks', 60_000, () =>
        seen(three.place).members!.every(({ admitted }) => admitted > 0))
      three.net.lose(0)
      const lost = three.ranks.splice(0, 2)
      await Promise.all(lost.map(({ ended }) => ended))
      three.place.stop()
      // Bounded: nobody waits for a head that is gone.
      await three.finished()
      for (const i of [1, 2]) for (const pid of three.net.pids(i, ' agent ')) kill(pid, 'SIGTERM')
      await until('both agents gone', 60_000, () =>
        [1, 2].every((i) => three.net.pids(i, ' agent ').length === 0))
      const [run] = three.place.runs() as [string]
      const [old, one, other] = [0, 1, 2].map((i) => join(three.dirOf(i), run)) as [string, string, string]

      // Records go by name in each part, though what named them is with the lost head.
      const said = await Promise.all([sync(1), sync(2)])
      for (const text of said) expect(text).toMatch(/ended, partial: .* of 2 ranks are in ledger/)
      const part = three.place.points(one)
      expect(new Set(part.map(({ metric }) => metric))).toEqual(new Set([nameOf(0), nameOf(1)]))
      expect(new Set(part.map(({ rank }) => rank))).toEqual(new Set([2, 3]))

      await sync(1, one, '--join', other)
      expect(new Set(three.place.points(one).map(({ rank }) => rank))).toEqual(new Set([2, 3, 4, 5]))
      // The disk of the lost node turns up.
      const wrong = three.net.start(1, [process.execPath, CLI, 'sync', one, '--join', old], three.envOf(1))
      expect(await wrong.ended)
        .toMatchObject({ code: 2, stderr: expect.stringContaining('the other way round') })
      await sync(1, old, '--join', one)
      await sync(1, old, '--join', one)
      three.expectPoints([2, 3, 4, 5])
      const status = three.place.status(old)
      expect(status).toMatchObject({ status: 'partial', ranks: 6, books: { pending: 0, lost: 0 } })
      expect(status.members.flatMap(({ before }) => before ?? [])).toEqual([])
      expect(three.place.audit(old)).toMatchObject({ balanced: true, complete: true })
    } finally {
      three.dispose()
    }
  })
})

describe.concurrent('an aggregator that lost its lock while it was stopped', () => {
  it('finds a higher term in the ledger, writes and acknowledges nothing more, and goes', async () => {
    const place = new Place()
    try {
      const env = { T_METRICS: '2', T_RATE: '60', ...place.endless }
      const job = place.start(['run', '--nproc', '2', '--', process.execPath, TRAINER], env)
      const zombie = await until('an aggregator', 60_000, () => place.processes('aggregator')[0])
      await until('points', 60_000, () => (seen(place).books?.admitted ?? 0) > 100)
      const [run] = place.runs() as [string]
      const dir = join(place.dir, run)
      await stopBetweenCommits(zombie, ledgerPath(dir))
      // What a lock server does that has not heard of it for long.
      rmSync(join(dir, 'term.lock'))
      const { meeting } = readEndpoint(dir)!
      rmSync(join(place.locks, `aggregator-${meeting}.lock`), { force: true })
      const heir = place.start(['aggregator', '--meeting', meeting, '--resume', run])
      await until('the heir', 60_000, () => readEndpoint(dir)!.pid !== zombie)
      kill(zombie, 'SIGCONT')
      await until('the end of the zombie', 60_000, () => !place.processes('aggregator').includes(zombie))
      place.stop()
      const done = await job.ended
      expect(done.code, done.stderr).toBe(0)
      expect((await heir.ended).code).toBe(0)
      expect(readFileSync(join(dir, 'log', 'aggregator.log'), 'utf8')).toContain(`[${zombie}] leaves the run`)
      expect(place.status()).toMatchObject({ state: 'ended', status: 'finished', term: 2 })
      expect(place.points()).toHaveLength(2 * (place.steps(0) + place.steps(1)))
      expect(place.audit()).toMatchObject({ balanced: true, complete: true })
    } finally {
      place.dispose()
    }
  })
})
