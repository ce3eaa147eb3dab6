/**
 * What a process knows about itself besides its environment: read once at init(), from /proc where there is
 * one.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readAsideSync } from '../aside.ts'
import { bootId, procStart } from '../journal/index.ts'
import type { Env, Facts, ProcessFact } from '../rank/index.ts'

/** More ancestors than any launcher stacks up; ends a loop that a racing /proc could show. */
const ANCESTORS_MAX = 64

export function readFacts(): Facts {
  return {
    pid: process.pid,
    procStart: procStart(process.pid),
    bootId: bootId(),
    uid: process.getuid?.() ?? 0,
    ancestors: ancestors(),
  }
}

/** Nearest first, up to and without pid 0. Without /proc: the parent alone. */
function ancestors(): ProcessFact[] {
  const found: ProcessFact[] = []
  for (let pid = process.ppid; pid > 0 && found.length < ANCESTORS_MAX;) {
    const stat = statOf(pid)
    found.push({ pid, start: stat?.start ?? 0, name: stat?.name ?? '' })
    pid = stat?.parent ?? 0
  }
  return found
}

function statOf(pid: number): { name: string; parent: number; start: number } | null {
  const text = contentOf(`/proc/${pid}/stat`)
  const close = text.lastIndexOf(')')
  if (close < 0) return null
  // After the name, which may hold anything: state, parent, … and the start time as field 22.
  const fields = text.slice(close + 2).split(' ')
  const name = text.slice(text.indexOf('(') + 1, close)
  return { name, parent: Number(fields[1]), start: Number(fields[19]) }
}

/**
 * Whether the supervisor that RANKZERO_SUPERVISOR names (`<pid>:<start time>:<boot id>`) lives on this node.
 */
export function isSupervised(env: Env): boolean {
  const [pid, start, boot] = (env.RANKZERO_SUPERVISOR ?? '').split(':')
  if (!pid || !start || boot !== bootId()) return false
  return Number(start) > 0 && procStart(Number(pid)) === Number(start)
}

const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
/** What a supervisor tells its children of its run: void together. */
const OF_A_RUN = ['RANKZERO_RUN', 'RANKZERO_MEETING', 'RANKZERO_SUPERVISOR', 'RANKZERO_HEAD'] as const

/** A RANKZERO_RUN that leaked in from a shell or an earlier job must not bring its run back to life. */
export function withoutEndedRun(
  env: NodeJS.ProcessEnv, dir: string, say: (line: string) => void,
): NodeJS.ProcessEnv {
  const run = env.RANKZERO_RUN
  // A run whose supervisor lives has not ended, and its directory need not be asked.
  if (!run || (RUN_ID.test(run) && isSupervised(env))) return env
  const why = !RUN_ID.test(run) ? 'that is no run id'
    : hasEnded(readAsideSync(join(dir, run, 'status.json'))) ? 'that run has ended' : null
  if (why === null) return env
  say(`RANKZERO_RUN is '${run.slice(0, 128)}', but ${why}: it is ignored and a new run begins. `
    + 'Unset RANKZERO_RUN.')
  const rest = { ...env }
  for (const name of OF_A_RUN) delete rest[name]
  return rest
}

/** By the text of a status.json; false when that cannot be told. */
function hasEnded(status: string | null): boolean {
  try {
    return (JSON.parse(status ?? '') as { state?: unknown }).state === 'ended'
  } catch {
    return false
  }
}

/** '' when it cannot be read. */
export function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
