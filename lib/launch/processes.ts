import { constants, readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import type { ProcessStatus } from '../record/run-status.ts'

interface Stat {
  state: string
  group: number
  /** Device number of the controlling terminal, 0 without one. */
  terminal: number
  foregroundGroup: number
  start: number
}

/** /proc/<pid>/stat; null without such a process, or without /proc. The name may hold parentheses. */
function stat(pid: number | 'self'): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const [state = '', , group = 0, , terminal = 0, foregroundGroup = -1] = fields
    return {
      state, group: Number(group), terminal: Number(terminal), foregroundGroup: Number(foregroundGroup),
      start: Number(fields[19] ?? 0),
    }
  } catch {
    return null
  }
}

/** A zombie is dead: it will never do anything more. `start` 0 means unknown. */
export function isAlive(pid: number, start = 0): boolean {
  const facts = stat(pid)
  if (facts !== null) return !'ZX'.includes(facts.state) && (start === 0 || facts.start === start)
  if (stat('self') !== null) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Whether a signal of the terminal reaches COMMAND without us. */
export function terminalFacts(): { terminal: boolean; foreground: boolean } {
  const facts = stat('self')
  if (facts === null) {
    const terminal = process.stdin.isTTY === true || process.stderr.isTTY === true
    return { terminal, foreground: terminal }
  }
  const terminal = facts.terminal !== 0
  return { terminal, foreground: terminal && facts.group === facts.foregroundGroup }
}

/**
 * Whether `nohup` started us. Node has reset the ignored SIGHUP by now; what is left to see is that nohup
 * puts a /dev/null that cannot be read in place of a terminal's stdin.
 */
export function underNohup(): boolean {
  try {
    const flags = /^flags:\s*0?(\d+)/m.exec(readFileSync('/proc/self/fdinfo/0', 'latin1'))
    const access = Number.parseInt(flags?.[1] ?? '0', 8) & (constants.O_WRONLY | constants.O_RDWR)
    return access === constants.O_WRONLY && readlinkSync('/proc/self/fd/0') === '/dev/null'
  } catch {
    return false
  }
}

/** Null: on another host, so it cannot be told from here. */
export function processAlive(one: ProcessStatus): boolean | null {
  return one.host === hostname() ? isAlive(one.pid, one.procStart) : null
}
