import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { RankzeroError } from '../errors.ts'
import { ownFile } from '../package.ts'

type Env = NodeJS.ProcessEnv

/** Looks for COMMAND as a shell would, before anything is started for it. Returns what is wrong, or null. */
export function whyNotRunnable(file: string, env: Env): RankzeroError | null {
  const dirs = (env['PATH'] ?? '').split(delimiter)
  const places = file.includes('/') ? [file] : dirs.map((dir) => join(dir || '.', file))
  const found = places.filter(isFile)
  if (found.length === 0) {
    const where = file.includes('/') ? '' : ' in PATH'
    return new RankzeroError('NOT_FOUND', `COMMAND ${JSON.stringify(file)} was not found${where}`,
      'check its spelling; everything after -- is the command with its arguments')
  }
  if (found.some(isExecutable)) return null
  return new RankzeroError('NOT_EXECUTABLE', `COMMAND ${found[0]} cannot be executed`,
    `chmod +x ${found[0]}, or name its interpreter: rankzero run -- python ${file}`)
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export interface ChildFacts {
  /** Null: a run that another node or task opens, not known yet. */
  run: string | null
  meeting: string
  /** Host that has the head; null: this one, or not known. */
  head: string | null
  /** Parent of the run directories, absolute. */
  dir: string
  /** Path of the run secret, if there is one. */
  secretFile?: string | null
  cli: readonly string[]
  /** `<pid>:<start time>:<boot id>` of this supervisor. */
  supervisor: string
  passKeys: boolean
  secrets: readonly string[]
  /** Directory of our Python client; null: PYTHONPATH stays as it is. */
  python: string | null
}

/** Variables of ours that hold a secret itself, as RANKZERO_SECRET_FILE does not. */
const OURS = /^RANKZERO_.*(SECRET|TOKEN|PASSWORD|API_KEY)$/

/** What COMMAND sees: its own environment, less the keys of trackers, plus what finds this run. */
export function childEnv(env: Env, facts: ChildFacts): Env {
  const child: Env = { ...env }
  if (!facts.passKeys) {
    const isKey = (name: string): boolean => facts.secrets.includes(name) || OURS.test(name)
    for (const name of Object.keys(child).filter(isKey)) delete child[name]
  }
  delete child['RANKZERO_RUN']
  if (facts.run !== null) child['RANKZERO_RUN'] = facts.run
  child['RANKZERO_MEETING'] = facts.meeting
  if (facts.head !== null) child['RANKZERO_HEAD'] ??= facts.head
  child['RANKZERO_DIR'] = facts.dir
  if (facts.secretFile) child['RANKZERO_SECRET_FILE'] ??= facts.secretFile
  child['RANKZERO_CLI'] = JSON.stringify(facts.cli)
  child['RANKZERO_SUPERVISOR'] = facts.supervisor
  // Last, so that it shadows nothing that is installed.
  if (facts.python !== null) {
    child['PYTHONPATH'] = env['PYTHONPATH'] ? `${env['PYTHONPATH']}${delimiter}${facts.python}` : facts.python
  }
  return child
}

/** Where our Python client is. */
export function pythonDir(): string | null {
  const dir = ownFile('lib/python')
  return existsSync(dir) ? dir : null
}

/** The rank tuple of one of our own workers, in the common names and in ours, which win over leaked ones. */
export function workerEnv(env: Env, rank: number, worldSize: number, masterPort: number): Env {
  const tuple = { RANK: rank, WORLD_SIZE: worldSize, LOCAL_RANK: rank, LOCAL_WORLD_SIZE: worldSize }
  const child: Env = { ...env, MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(masterPort) }
  for (const [name, value] of Object.entries(tuple)) child[name] = child[`RANKZERO_${name}`] = String(value)
  child['RANKZERO_PARENT_PID'] = String(process.pid)
  return child
}

/** For the trainer's own rendezvous; nobody holds it between now and then, as with every launcher. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

/** For the record only: quoted so that it can be pasted into a shell. */
export function commandLine(command: readonly string[]): string {
  const quoted = (word: string): string => `'${word.replaceAll('\'', '\'\\\'\'')}'`
  return command.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : quoted(word)).join(' ')
}
