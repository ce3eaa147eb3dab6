// A JSON line per step and a file per rank, written at once: what is written survives a kill.
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export function begin(dir, rank) {
  const file = openSync(join(dir, `rank-${rank}.jsonl`), 'a')
  return {
    log: (values, step) => { writeSync(file, `${JSON.stringify({ step, ...values })}\n`) },
    close: () => { closeSync(file) },
  }
}

/** Values of every line of a folder's files, for all peers here that write lines. */
export function count(dir) {
  const lines = readdirSync(dir).flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n'))
  return lines.reduce((sum, line) => sum + pointsIn(line), 0)
}

function pointsIn(line) {
  try {
    return Object.keys(JSON.parse(line)).filter((key) => key.startsWith('group_')).length
  } catch {
    return 0 // torn, or the empty end
  }
}
