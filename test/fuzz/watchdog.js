/**
 * A thread that saves the input over which a decoder hangs, and ends the process: nothing else can. Time is
 * that of the processor: a loaded machine stops us for long.
 * Shared: words 0 inputs so far, 1 its size or -1 between inputs; the input from byte 8 on.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'

const { shared, folder, ms } = workerData
const words = new Int32Array(shared, 0, 2)
let last = -1
const spent = () => process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000
let since = spent()

setInterval(() => {
  const now = spent()
  const [count, size] = [Atomics.load(words, 0), Atomics.load(words, 1)]
  if (count !== last || size < 0) since = now
  last = count
  if (now - since < ms) return
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `found-hang-${count}`)
  writeFileSync(file, Buffer.from(new Uint8Array(shared, 8, size)))
  console.error(`no answer within ${ms} ms: ${file}`)
  process.kill(process.pid, 'SIGKILL')
}, 500)
