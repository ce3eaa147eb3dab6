// A daemon for tests: says where it lives on descriptor 3, appends to its log, stays until it is told to
// stop.
import { readFileSync, writeSync } from 'node:fs'

const stat = readFileSync('/proc/self/stat', 'utf8')
const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
const [ppid, , sid] = fields.slice(1, 4).map(Number)
console.log('to the log')
writeSync(3, `${JSON.stringify({ waiting: 'holder' })}\n`)
writeSync(3, `${JSON.stringify({ ready: { pid: process.pid, ppid, sid, args: process.argv.slice(2),
  owner: process.env.RANKZERO_OWNER ?? null, dir: process.env.RANKZERO_DIR ?? null,
  cwd: process.cwd() } })}\n`)
if (process.argv.includes('--fail')) process.exit(1)
setInterval(() => {}, 1000)
