import { existsSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { findSetting } from '../config/settings.ts'
import { messageOf } from '../errors.ts'
import { shmDir } from '../journal/index.ts'
import { OPEN_FILES_MIN, RING_BYTES, SHM_FACTOR, SHM_FREE_BYTES_MIN } from '../limits.ts'
import { readFacts } from '../logger/facts.ts'
import { native } from '../native.ts'
import { identify, isAlone, meetingId, NODE_LEVEL, type Claim, type Identity } from '../rank/index.ts'
import { cliOf } from '../spawn.ts'
import { findLeftovers } from './leftovers.ts'
import { ownVersion } from './version.ts'

export interface Finding {
  level: 'error' | 'warning' | 'info'
  what: string
  remedy: string
}

interface Place {
  what: 'journals' | 'runs' | 'locks'
  path: string
  type: string
  free: number
  total: number
  writable: boolean
}

/** `doctor --json` (DESIGN 13). */
export interface Diagnosis {
  rank: number
  worldSize: number
  localRank: number
  localWorldSize: number | null
  nodeRank: number | null
  node: string
  source: string
  variables: Record<string, string>
  conflicts: Claim[]
  rejected: Identity['rejected']
  meeting: string
  meetingFrom: string
  native: 'addon' | 'twin'
  places: Place[]
  openFiles: number
  versions: { rankzero: string; node: string }
  findings: Finding[]
}

/** What it makes to find out, it removes again. It shows no variables but those of the rank. */
export async function diagnose(dir: string, env: NodeJS.ProcessEnv): Promise<Diagnosis> {
  const facts = readFacts()
  const identity = identify(env, facts)
  const meeting = meetingId(env, facts, identity)
  const places = [
    look('journals', shmDir(env)), look('runs', dir),
    look('locks', findSetting('lockDir', { env }).value),
  ]
  const openFiles = openFilesLimit()
  const { rank, worldSize, localRank, localWorldSize, nodeRank, source, conflicts, rejected } = identity
  const findings = [
    ...identityFindings(identity, env, isAlone(meeting, identity)),
    ...placeFindings(places, localWorldSize ?? worldSize),
    ...machineFindings(openFiles, env),
    ...await libraryFindings(places[2]!.path),
    ...waitingFindings(dir, env),
  ]
  const order = ['error', 'warning', 'info']
  return {
    rank, worldSize, localRank, localWorldSize, nodeRank, node: hostname(), source,
    variables: Object.fromEntries(identity.variables.map((name) => [name, env[name] ?? ''])),
    conflicts, rejected, meeting: meeting.meeting, meetingFrom: meeting.from,
    native: native.kind, places, openFiles,
    versions: { rankzero: ownVersion(), node: process.versions.node },
    findings: findings.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level)),
  }
}

function identityFindings(identity: Identity, env: NodeJS.ProcessEnv, alone: boolean): Finding[] {
  const { rank, worldSize, source } = identity
  const explicit = 'if that is wrong, pass rank and worldSize to init()'
  const found: Finding[] = identity.conflicts.map((other) => ({
    level: 'warning', remedy: `${source} decides; ${explicit}`,
    what: `${other.source} (${other.variables.join(', ')}) says rank ${other.rank} of ${other.worldSize}, `
      + `${source} says rank ${rank} of ${worldSize}`,
  }))
  for (const other of identity.rejected) {
    found.push({ level: 'info', what: `${other.source} does not count: ${other.why}`, remedy: explicit })
  }
  const nodeLevel = NODE_LEVEL.filter((name) => env[name] !== undefined)
  if (nodeLevel.length > 0 && source === 'single') {
    const what = `${nodeLevel.join(', ')} number nodes or pods, never processes`
    const remedy = 'a launcher below them, such as torchrun or --nproc, gives the ranks'
    found.push({ level: 'info', what, remedy })
  }
  if (alone) {
    found.push({
      level: 'warning',
      what: `rank ${rank} of ${worldSize}, but nothing ties the ranks together: each is a run of its own`,
      remedy: 'put "rankzero run --" before the command that starts them, or set MASTER_ADDR and MASTER_PORT',
    })
  }
  return found
}

/** Locks and SQLite need a file system that keeps its word about fcntl. */
const REMOTE = new Set(['nfs', 'lustre', 'gpfs', 'cifs', 'smb2', 'fuse'])

function placeFindings(places: readonly Place[], localRanks: number): Finding[] {
  const found: Finding[] = []
  for (const { what, path, type, free, writable } of places) {
    const option = what === 'runs' ? '--dir' : what === 'locks' ? 'RANKZERO_LOCK_DIR' : 'RANKZERO_SHM_DIR'
    if (!writable) {
      const level = what === 'journals' ? 'warning' : 'error'
      const closed = `${path} (${what}) cannot be written`
      found.push({ level, what: closed, remedy: `give another with ${option}` })
    } else if (what !== 'journals' && REMOTE.has(type)) {
      const local = `give a local one with ${option}, unless several nodes must share it`
      const lie = `${path} (${what}) is on ${type}, whose locks may lie`
      found.push({ level: 'warning', what: lie, remedy: local })
    } else if (what === 'runs' && free < SHM_FREE_BYTES_MIN) {
      const full = `${path} (runs) has less than 1 GiB left`
      found.push({ level: 'warning', what: full, remedy: 'make room before it is full' })
    }
    if (what !== 'journals' || !writable) continue
    const roomy = free >= SHM_FREE_BYTES_MIN || free >= SHM_FACTOR * RING_BYTES * localRanks
    if (type === 'tmpfs' && roomy) continue
    const left = `${Math.round(free / 2 ** 20)} MiB`
    const why = type === 'tmpfs' ? `has only ${left} left` : `is ${type}, no shared memory`
    found.push({
      level: 'warning', what: `${path} (journals) ${why}: log() writes to files instead, about 1 µs a call`,
      remedy: 'more shared memory (docker run --shm-size=2g), or another RANKZERO_SHM_DIR',
    })
  }
  return found
}

function machineFindings(openFiles: number, env: NodeJS.ProcessEnv): Finding[] {
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
  if (openFiles < OPEN_FILES_MIN) {
    const what = `only ${openFiles} files may be open; an aggregator of many nodes needs more`
    found.push({ level: 'warning', what, remedy: 'ulimit -n 4096' })
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
async function libraryFindings(lockDir: string): Promise<Finding[]> {
  const found: Finding[] = []
  try {
    const { elect } = await import('../lock/index.ts')
    elect(lockDir, `doctor-${process.pid}`)?.release()
  } catch (error) {
    const what = `no lock can be taken in ${lockDir}: ${messageOf(error)}`
    found.push({ level: 'error', what, remedy: 'npm rebuild better-sqlite3, or another RANKZERO_LOCK_DIR' })
  }
  try {
    await import('../transport/index.ts')
  } catch (error) {
    const what = `zeromq does not load: ${messageOf(error)}`
    found.push({ level: 'error', what, remedy: 'npm rebuild zeromq' })
  }
  return found
}

function waitingFindings(dir: string, env: NodeJS.ProcessEnv): Finding[] {
  const { leftovers, damaged } = findLeftovers(dir, env)
  const found: Finding[] = damaged.map((text) =>
    ({ level: 'warning', what: `damaged: ${text}`, remedy: 'keep it for a report, or remove it' }))
  const dead = leftovers.filter((one) => one.live === 0)
  if (dead.length > 0) {
    const what = `${dead.length} ended run(s) left something undelivered on this node`
    found.push({ level: 'info', what, remedy: `rankzero sync --all --dir ${dir}` })
  }
  return found
}

/** Of the directory, or of the one that it will be made in. */
function look(what: Place['what'], path: string): Place {
  let there = path
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there)
  return { what, path, ...native.statfs(there), writable: canWrite(there) }
}

/** Tried for real: permissions say yes to root on file systems that then refuse. */
function canWrite(directory: string): boolean {
  try {
    rmdirSync(mkdtempSync(join(directory, '.rankzero-doctor-')))
    return true
  } catch {
    return false
  }
}

/** Soft limit of this process; where the system does not say, no limit. */
function openFilesLimit(): number {
  try {
    const match = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
    return Number(match?.[1] ?? Number.MAX_SAFE_INTEGER)
  } catch {
    return Number.MAX_SAFE_INTEGER
  }
}
