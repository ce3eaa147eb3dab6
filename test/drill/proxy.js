/**
 * A network that misbehaves: `proxy.js PLACE PORT TARGET`. It prints "ready" and the port.
 *
 * In: connections on PORT (0: any); `proxy.json` in PLACE says what to do to them from now on: delayMs (each
 * way, by chance from half to one and a half of it), perMs (bytes each way, of all connections together),
 * mute (bytes in, none out: `up`, `down`, `both`), flip (a byte in so many is another), reset (a number that
 * grew: all connections are). TARGET is `host:port`, or a directory of runs: then it is the head of the
 * newest, whatever port that has by now.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'

const [place, port, given] = process.argv.slice(2)
const LOOK_MS = 20
/** Bytes held back for one direction: then the sender must wait. */
const HELD_BYTES_MAX = 8 * 1024 * 1024
let faults = {}
let resets = 0
const pairs = new Set()

function target() {
  const [, host, port] = /^([^/]+):(\d+)$/.exec(given) ?? []
  if (port !== undefined) return { host, port: Number(port) }
  try {
    const run = readdirSync(given).filter((name) => /^\d/.test(name)).sort().at(-1)
    const endpoint = JSON.parse(readFileSync(join(given, run, 'endpoint.json'), 'utf8'))
    return { host: '10.77.0.1', port: endpoint.wide.port }
  } catch {
    return null
  }
}

/** Bytes that the line has room for now, by direction: a pause is made up for by two looks at most. */
const room = { up: { bytes: 0, at: 0 }, down: { bytes: 0, at: 0 } }

function taken(way, wanted) {
  if (!faults.perMs) return wanted
  const line = room[way]
  const now = performance.now()
  line.bytes = Math.min(faults.perMs * 2 * LOOK_MS, line.bytes + (now - line.at) * faults.perMs)
  line.at = now
  const bytes = Math.min(wanted, Math.floor(line.bytes))
  line.bytes -= bytes
  return bytes
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
      const { chunk, at } = held[0]
      const part = taken(way, chunk.length)
      if (part === 0) break
      bytes -= part
      to.write(damaged(chunk.subarray(0, part)))
      if (part < chunk.length) held[0] = { chunk: chunk.subarray(part), at }
      else held.shift()
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
  const where = target()
  if (where === null) return near.destroy()
  const far = connect(where.port, where.host)
  const pair = { near, far, push: [pump(near, far, 'up'), pump(far, near, 'down')] }
  pairs.add(pair)
  for (const socket of [near, far]) {
    socket.on('error', () => {}).on('close', () => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    })
  }
}).listen(Number(port), function ready() { console.log(`ready ${this.address().port}`) })

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
