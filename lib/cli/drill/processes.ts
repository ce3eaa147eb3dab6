/** The processes of one drill: ours have its directory in their command line. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

export type Kind = 'worker' | 'agent' | 'aggregator' | 'supervisor'

const COMMANDS: Readonly<Record<string, Kind>> = {
  agent: 'agent', aggregator: 'aggregator', run: 'supervisor',
}

export interface Found { pid: number; kind: Kind }

/** Live processes that work for the drill in `root`. */
export function processesOf(root: string): Found[] {
  return readdirSync('/proc').flatMap((name) => {
    const argv = /^\d+$/.test(name) ? argvOf(name) : []
    const kind = argv.some((word) => word.includes(root)) ? kindOf(argv) : null
    return kind === null ? [] : [{ pid: Number(name), kind }]
  })
}

/** Pid of the life of a rank that has logged, if it was not replaced yet. */
export function lifeOf(root: string, rank: number): number | null {
  try {
    return Number(readFileSync(join(root, `life.${rank}`), 'utf8')) || null
  } catch {
    return null
  }
}

function argvOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [] // Gone between two looks.
  }
}

/** The program, then the script, without options of Node between them. */
function kindOf(argv: readonly string[]): Kind | null {
  const [script = '', command = ''] = argv.slice(1).filter((word) => !word.startsWith('-'))
  if (/^trainer\.(js|py)$/.test(basename(script))) return 'worker'
  return basename(script) === 'main.js' ? COMMANDS[command] ?? null : null
}
