// What the kernel says of a process.
import { readdirSync, readFileSync } from 'node:fs'

const NS_PER_S = 1e9
const KIB_PER_MB = 1024

/** Megabytes by kind, from the kernel's own sharing-aware account. */
export function pss(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const of = (field) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)[1]) / KIB_PER_MB
  return { all: of('Pss'), own: of('Pss_Anon') }
}

/** Of the threads that live, to the nanosecond: /proc/<pid>/stat counts in steps of 10 ms. */
export function cpuSeconds(pid) {
  const tasks = `/proc/${pid}/task`
  const ns = readdirSync(tasks).map((id) => parseInt(readFileSync(`${tasks}/${id}/schedstat`, 'utf8')))
  return ns.reduce((sum, each) => sum + each, 0) / NS_PER_S
}
