/** The machine: Node, the addon, libraries that are compiled for it, limits of the kernel. */
import { existsSync } from 'node:fs'
import { messageOf } from '../../errors.ts'
import { OPEN_FILES_MIN, PROCESSES_MIN } from '../../limits-console.ts'
import { LISTEN_BACKLOG } from '../../limits.ts'
import { contentOf } from '../../logger/facts.ts'
import { native } from '../../native.ts'
import { cliOf } from '../../spawn.ts'
import type { Finding } from '../../backend/index.ts'

export function machineFindings(env: NodeJS.ProcessEnv): Finding[] {
  const found: Finding[] = []
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    const what = `node ${process.versions.node} is older than 20.19`
    found.push({ level: 'error', what, remedy: 'install Node 20.19, 22 or 24' })
  }
  if (native.kind === 'twin') {
    const off = env['RANKZERO_NATIVE'] === '0'
    found.push({
      level: off ? 'info' : 'warning',
      what: (off ? 'RANKZERO_NATIVE=0' : 'the native addon does not load')
        + ': journals are files, life is told by pids',
      remedy: off ? 'unset it to use the addon' : 'install a C compiler, then: npm rebuild rankzero',
    })
  }
  try {
    if (cliOf(env) === null) throw new Error('the program rankzero is not found')
  } catch (error) {
    const what = `loggers cannot start an agent: ${messageOf(error)}`
    found.push({ level: 'error', what, remedy: 'set RANKZERO_CLI to the path of rankzero' })
  }
  return found
}

/** Compiled parts of others that may not fit this machine, each tried for real. */
export async function libraryFindings(lockDir: string): Promise<Finding[]> {
  const found: Finding[] = []
  try {
    const { elect } = await import('../../lock/index.ts')
    elect(lockDir, `doctor-${process.pid}`)?.release()
  } catch (error) {
    const what = `no lock can be taken in ${lockDir}: ${messageOf(error)}`
    found.push({ level: 'error', what, remedy: 'npm rebuild better-sqlite3, or another RANKZERO_LOCK_DIR' })
  }
  try {
    await import('../../transport/index.ts')
  } catch (error) {
    const what = `zeromq does not load: ${messageOf(error)}`
    found.push({ level: 'error', what, remedy: 'npm rebuild zeromq' })
  }
  return found
}

/** Soft limits of this process and its user; null: none, or the system does not say. */
export interface Limits {
  openFiles: number | null
  /** Processes and threads of this user. */
  processes: number | null
  /** Memory that may be locked, bytes. */
  memlock: number | null
  /** Connections that may wait at a socket, of the whole machine. */
  somaxconn: number | null
}

export function readLimits(): Limits {
  const limits = contentOf('/proc/self/limits')
  const of = (name: string): number | null => {
    const match = new RegExp(`^Max ${name}\\s+(\\d+)`, 'm').exec(limits)
    return match === null ? null : Number(match[1])
  }
  const somaxconn = Number.parseInt(contentOf('/proc/sys/net/core/somaxconn'))
  return {
    openFiles: of('open files'), processes: of('processes'), memlock: of('locked memory'),
    somaxconn: Number.isNaN(somaxconn) ? null : somaxconn,
  }
}

/** `several`: the job may span several nodes. */
export function limitFindings(limits: Limits, several: boolean): Finding[] {
  const { openFiles, processes, memlock, somaxconn } = limits
  const found: Finding[] = []
  const warn = (what: string, remedy: string): void => void found.push({ level: 'warning', what, remedy })
  if (openFiles !== null && openFiles < OPEN_FILES_MIN) {
    warn(`only ${openFiles} files may be open; an aggregator of many nodes needs more`, 'ulimit -n 4096')
  }
  if (processes !== null && processes < PROCESSES_MIN) {
    warn(`only ${processes} processes and threads are allowed; trainers with data loaders need more`,
      `ulimit -u ${4 * PROCESSES_MIN}`)
  }
  if (memlock !== null && existsSync('/sys/class/infiniband')) {
    warn(`only ${memlock} bytes may be locked, and this machine has InfiniBand, which locks its buffers`,
      'ulimit -l unlimited (limits.conf, or docker run --ulimit memlock=-1)')
  }
  if (several && somaxconn !== null && somaxconn < LISTEN_BACKLOG) {
    warn(`only ${somaxconn} connections may wait at the head; agents that start together have to try again`,
      `sysctl net.core.somaxconn=${LISTEN_BACKLOG}`)
  }
  return found
}
