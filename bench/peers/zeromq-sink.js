// The other end of zeromq.js: appends what comes to a file; an empty message, or the loss of its parent, ends
// it.
import { closeSync, openSync, writeSync } from 'node:fs'
import { Pull } from 'zeromq'

const PARENT_POLL_MS = 500

const socket = new Pull()
await socket.bind('tcp://127.0.0.1:*')
console.log(socket.lastEndpoint)
const file = openSync(process.argv[2], 'a')
const parent = process.ppid
const poll = setInterval(() => { if (process.ppid !== parent) socket.close() }, PARENT_POLL_MS)
for await (const [message] of socket) {
  if (message.length === 0) break
  writeSync(file, `${message}\n`)
}
clearInterval(poll)
closeSync(file)
socket.close()
