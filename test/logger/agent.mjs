// A stand-in for the agent: drains the journals of one meeting into <dir>/drained.jsonl and acknowledges
// them. Leaves when their owners are gone and all is read.
import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { listJournals, openReader, pendingDirs, shmDir } from '../../dist/journal/index.js'

const option = (name) => process.argv[process.argv.indexOf(`--${name}`) + 1]
const meeting = option('meeting')
const dir = option('dir')
writeFileSync(join(dir, `agent-${process.pid}`), process.argv.slice(2).join(' '))
if (process.env.TEST_AGENT === 'dead') process.exit(0)

const names = new Map()
const readers = new Map()
const text = new TextDecoder()

function sinkOf(origin) {
  const path = join(dir, 'drained.jsonl')
  const put = (line) => appendFileSync(path, `${JSON.stringify({ rank: origin.rank, ...line })}\n`)
  return {
    values(seq, layout, step, weight, time, values, at, count) {
      if (process.env.TEST_AGENT === 'quiet') return
      const of = names.get(`${origin.instance} ${layout}`)
      const mine = values.subarray(at, at + count)
      const shown = Array.from(mine, (value) => Object.is(value, -0) ? '-0' : `${value}`)
      const pairs = shown.map((value, i) => [of[i], value])
      put({ seq, step, weight: `${weight}`, values: Object.fromEntries(pairs) })
    },
    payload(seq, kind, time, bytes) {
      const body = JSON.parse(text.decode(bytes))
      if (kind === 1) names.set(`${origin.instance} ${body.id}`, body.names)
      else put({ seq, kind, body })
    },
  }
}

function find() {
  for (const directory of [shmDir(process.env), ...pendingDirs(dir)]) {
    if (!existsSync(directory)) continue
    for (const path of listJournals(directory)) {
      if (readers.has(path)) continue
      const reader = openReader(path)
      if (reader.origin.meeting === meeting) readers.set(path, reader)
      else reader.close()
    }
  }
}

function drain() {
  find()
  for (const [path, reader] of readers) {
    const alive = reader.ownerAlive()
    // As the real one: a WELCOME names the run before anything can be acknowledged.
    reader.setRun('the-run')
    while (reader.read(sinkOf(reader.origin), 1 << 20) > 0) {
      reader.ack(reader.next - 1)
      reader.trim(reader.next - 1)
    }
    reader.beat(Date.now())
    if (!alive) {
      reader.remove()
      reader.close()
      readers.delete(path)
    }
  }
}

let idle = 0
const timer = setInterval(() => {
  drain()
  idle = readers.size === 0 ? idle + 1 : 0
  if (idle > 50) clearInterval(timer)
}, 5)
