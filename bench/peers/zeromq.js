// A ZeroMQ push of each step's values as JSON to a process that appends them to a file: the road of rankzero
// without journal, acknowledgement or merge. The queue has no limit: with ZeroMQ's default of 1,000 steps
// some would be dropped.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Push } from 'zeromq'
import { benchPath } from '../kit.js'

export { count } from './jsonl.js'

const LINGER_MS = 10_000

export async function begin(dir, rank) {
  const sink = spawn(process.execPath, [benchPath('peers/zeromq-sink.js'), join(dir, `rank-${rank}.jsonl`)])
  const [said] = await once(sink.stdout, 'data')
  const socket = new Push({ linger: LINGER_MS, sendHighWaterMark: 0 })
  socket.connect(String(said).trim())
  // One send at a time, as zeromq.js has it; what comes meanwhile waits here.
  let waiting = []
  let pump = null
  async function send() {
    while (waiting.length > 0) {
      const messages = waiting
      waiting = []
      for (const message of messages) await socket.send(message)
    }
    pump = null
  }
  return {
    log(values, step) {
      waiting.push(JSON.stringify({ step, ...values }))
      pump ??= send()
    },
    async close() {
      await pump
      await socket.send('')
      await once(sink, 'exit')
      socket.close()
    },
  }
}
