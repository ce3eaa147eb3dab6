/**
 * A network that misbehaves, between an agent and its head: `proxy.js PLACE PORT RUNS`.
 *
 * In: connections on PORT; `proxy.json` in PLACE says what to do to them from now on: delayMs, mute (bytes
 * in, none out: `up`, `down`, `both`), flip (a byte in so many is another), reset (a number that grew: all
 * connections are). The head is the one of the newest run in RUNS, whatever port it has by now.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'

const [place, port, runs] = process.argv.slice(2)
const LOOK_MS = 20
/** Bytes held back for one direction: then the sender must wait. */
const HELD_BYTES_MAX = 8 * 1024 * 1024
let faults = {}
let resets = 0
const pairs = new Set()

function headPort() {
  try {
    const run = readdirSync(runs).filter((name) => /^\d/.test(name)).sort().at(-1)
    return JSON.parse(readFileSync(join(runs, run, 'endpoint.json'), 'utf8')).wide.port
  } catch {
    return null
  }
}

function damaged(chunk) {
  if (!faults.flip) return chunk
  const copy = Buffer.from(chunk)
  for (let at = 0; at < copy.length; at++) {
    if (Math.random() * faults.flip < 1) copy[at] ^= 1 << Math.floor(Math.random() * 8)
  }
  return copy
}

/** In order, each chunk when its time has come and nobody holds the direction mute. */
function pump(from, to, way) {
  const held = []
  let bytes = 0
  const isMute = () => faults.mute === 'both' || faults.mute === way
  const push = () => {
    while (held.length > 0 && !isMute() && held[0].at <= performance.now() && !to.destroyed) {
      const { chunk } = held.shift()
      bytes -= chunk.length
      to.write(damaged(chunk))
    }
    if (bytes < HELD_BYTES_MAX && from.isPaused()) from.resume()
    if (held.length === 0 && from.readableEnded && !to.writableEnded) to.end()
  }
  from.on('data', (chunk) => {
    held.push({ chunk, at: performance.now() + (faults.delayMs ?? 0) * (0.5 + Math.random()) })
    if ((bytes += chunk.length) >= HELD_BYTES_MAX) from.pause()
    push()
  })
  return push
}

createServer((near) => {
  const target = headPort()
  if (target === null) return near.destroy()
  const far = connect(target, '10.77.0.1')
  const pair = { near, far, push: [pump(near, far, 'up'), pump(far, near, 'down')] }
  pairs.add(pair)
  for (const socket of [near, far]) {
    socket.on('error', () => {}).on('close', () => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    })
  }
}).listen(Number(port), () => console.log('ready'))

setInterval(() => {
  try {
    faults = JSON.parse(readFileSync(join(place, 'proxy.json'), 'utf8'))
  } catch {
    faults = {}
  }
  if ((faults.reset ?? 0) > resets) {
    resets = faults.reset
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.resetAndDestroy()
  }
  for (const { push } of pairs) for (const one of push) one()
}, LOOK_MS)
