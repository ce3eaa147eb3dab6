/**
 * A receiver for backend webhook (lib/backend/WEBHOOK.md): checks who sent, takes each event once, prints it.
 *
 *   RANKZERO_WEBHOOK_SECRET=… node receive.js [PORT [FILE]]
 *
 * FILE keeps what was taken, a line of JSON each, so that a restart knows it. It prints `listening PORT`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'

const [port = '8080', file = 'events.jsonl'] = process.argv.slice(2)
const secret = process.env.RANKZERO_WEBHOOK_SECRET
/** What is older may be a repeat by somebody who listened (seconds). */
const AGE_MAX = 300
const BODY_BYTES_MAX = 1024 * 1024

if (!secret) {
  console.error('RANKZERO_WEBHOOK_SECRET is not set')
  process.exit(2)
}

const linesOf = (text) => text.split('\n').slice(0, -1).map((line) => JSON.parse(line))
const taken = new Set(existsSync(file) ? linesOf(readFileSync(file, 'utf8')).map(({ id }) => id) : [])
const kept = openSync(file, 'a')

/** Whether it comes from who has the secret, and is of now. */
function isGenuine(headers, body) {
  const timestamp = headers['rankzero-timestamp'] ?? ''
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= AGE_MAX)) return false
  const wanted = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest()
  const given = Buffer.from(/^v1=([0-9a-f]{64})$/.exec(headers['rankzero-signature'] ?? '')?.[1] ?? '', 'hex')
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

/** On disk before it is answered: what is answered never comes again. */
function take(body) {
  const event = JSON.parse(body.toString())
  if (taken.has(event.id)) return
  writeSync(kept, `${JSON.stringify(event)}\n`)
  fsyncSync(kept)
  taken.add(event.id)
  const { n, event: what, run, status, failure } = event
  console.log(`${n} ${what} ${run}${status ? ` ${status}` : ''}${failure ? ` rank ${failure.rank}` : ''}`)
}

const server = createServer((request, response) => {
  const parts = []
  let bytes = 0
  request.on('data', (part) => {
    bytes += part.length
    if (bytes <= BODY_BYTES_MAX) parts.push(part)
  })
  request.on('end', () => {
    const body = Buffer.concat(parts)
    const status = request.method !== 'POST' ? 405 : bytes > BODY_BYTES_MAX ? 413
      : isGenuine(request.headers, body) ? 204 : 401
    if (status === 204) take(body)
    response.writeHead(status).end()
  })
})
server.listen(Number(port), '127.0.0.1', () => console.log(`listening ${server.address().port}`))
process.on('SIGTERM', () => {
  server.close(() => closeSync(kept))
  server.closeAllConnections()
})
