/**
 * A small run of real processes with all their changes of files recorded: two ranks, a key, an aggregator
 * that is killed, and an agent that is told to go while the aggregator stands still, so that it spools.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Audit } from '../../lib/aggregator/core-types.ts'
import { kill, Place, sleep, until } from '../scenario/harness.ts'
import { readTrace, type Op } from './trace.ts'

export interface Recorded {
  /** What was below this path lies in `ops` only. */
  root: string
  shm: string
  /** Parent of the run directories, and lock directory, below the root. */
  dir: string
  locks: string
  env: NodeJS.ProcessEnv
  audit: Audit
  ops: Op[]
  dispose(): void
}

export const RANKS = 2
/** Only a hang reaches it. */
const WAIT_MS = 60_000

export async function record(): Promise<Recorded> {
  const lab = mkdtempSync(join(tmpdir(), 'rz-power-lab-'))
  const place = new Place()
  mkdirSync(place.shm, { recursive: true })
  try {
    const log = join(lab, 'log')
    writeFileSync(log, '')
    const env = {
      ...place.env, LD_PRELOAD: build(lab), RZ_RECORD_LOG: log, RZ_RECORD_ROOTS: `${place.root}:${place.shm}`,
      UV_USE_IO_URING: '0', STOP: join(lab, 'stop'),
    }
    await drive(place, env)
    const ops = readTrace(log)
    const audit = place.audit()
    rmSync(place.root, { recursive: true })
    const { root, shm, dir, locks, env: { RZ_TEST_TAG: _, ...plain } } = place
    const dispose = (): void => {
      place.dispose()
      rmSync(lab, { recursive: true, force: true })
    }
    return { root, shm, dir, locks, env: { ...plain, RZ_TEST_TAG: root }, audit, ops, dispose }
  } catch (error) {
    place.dispose()
    rmSync(lab, { recursive: true, force: true })
    throw error
  }
}

async function drive(place: Place, env: NodeJS.ProcessEnv & { STOP: string }): Promise<void> {
  const trainer = join(import.meta.dirname, 'trainer.js')
  const options = ['--nproc', String(RANKS), '--key', 'k', '--exit-timeout', '2']
  const run = place.start(['run', ...options, '--', process.execPath, trainer], env)
  const head = (term: number): Promise<number> => until(`points under term ${term}`, WAIT_MS, () => {
    if (place.runs().length === 0) return null
    const { term: now, books, processes } = place.status()
    const served = now === term && processes.some(({ role }) => role === 'agent') && books.admitted > 0
    return served && processes.find(({ role }) => role === 'aggregator')?.pid
  })
  kill(await head(1))
  const stopped = await head(2)
  kill(stopped, 'SIGSTOP')
  await sleep(300)
  kill(await place.one('agent'), 'SIGTERM')
  await until('a spool', WAIT_MS, () => spooled(place))
  await until('the agent to go', WAIT_MS, () => place.processes('agent').length === 0)
  kill(stopped, 'SIGCONT')
  await until('the spool to be delivered', WAIT_MS, () => !spooled(place))
  writeFileSync(env.STOP, '')
  const { code, stderr } = await run.ended
  if (code !== 0) throw new Error(`the run ended with ${code}: ${stderr}`)
  await until('all processes to go', WAIT_MS, () => place.processes().length === 0)
}

function build(lab: string): string {
  const library = join(lab, 'recorder.so')
  const source = join(import.meta.dirname, 'recorder.c')
  const built = spawnSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, source, '-ldl'])
  if (built.status !== 0) throw new Error(`cc: ${built.error ?? built.stderr}`)
  return library
}

function spooled(place: Place): boolean {
  const pending = join(place.dir, '.pending')
  return existsSync(pending) && readdirSync(pending, { recursive: true, encoding: 'utf8' })
    .some((name) => name.endsWith('.spool'))
}
