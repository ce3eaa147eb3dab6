/**
 * A daemon's own log: one line per fact, each text once in a row. Never throws: a diary that cannot be
 * written (full disk, read-only directory) must not stop what it tells about; its lines then go to stderr.
 */
import { appendFileSync, existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { wallMs } from './clock.ts'

export type Diary = (line: string) => void

export function openDiary(role: string, path: string | null): Diary {
  let last = ''
  return (line) => {
    if (line === last) return
    last = line
    const text = `${new Date(wallMs()).toISOString()} ${role}[${process.pid}] ${line}\n`
    try {
      if (path === null) throw new Error('no file')
      // Not recursive: a run directory that its user removed stays removed.
      if (!existsSync(dirname(path))) mkdirSync(dirname(path))
      appendFileSync(path, text)
    } catch {
      process.stderr.write(`rankzero: ${text}`)
    }
  }
}
