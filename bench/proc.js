// What the kernel says of a process.
import { readFileSync } from 'node:fs'

const TICKS_PER_SECOND = 100
const KIB_PER_MB = 1024

/** Megabytes by kind, from the kernel's own sharing-aware account. */
export function pss(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const of = (field) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)[1]) / KIB_PER_MB
  return { all: of('Pss'), own: of('Pss_Anon') }
}

export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}
