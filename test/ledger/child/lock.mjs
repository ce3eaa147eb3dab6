// Holds, tries and releases a lock on command: one word per line on stdin, one JSON line per answer.
import { createInterface } from 'node:readline'
import { mkdirSync, rmdirSync } from 'node:fs'

const [dist, path] = process.argv.slice(2)
const { tryLock } = await import(`${dist}/ledger/lockdb.js`)
let lock = null

/** Takes and releases for `ms`; nobody else may be inside at the same time. */
function contend(ms) {
  let held = 0
  let overlaps = 0
  for (const end = Date.now() + ms; Date.now() < end;) {
    const got = tryLock(path)
    if (got === null) continue
    held++
    try {
      mkdirSync(`${path}.inside`)
      // Long enough that a second holder, should there be one, comes inside too.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * 4)
      rmdirSync(`${path}.inside`)
    } catch {
      overlaps++
    }
    got.release({ unlink: true })
  }
  return { held, overlaps }
}

const commands = {
  try: () => {
    lock ??= tryLock(path)
    return { held: lock !== null, term: lock?.term ?? null, state: lock?.state() ?? null }
  },
  advance: () => ({ term: lock.advance({ pid: String(process.pid) }) }),
  spin: () => {
    for (;;) process.stdout.write(`${JSON.stringify({ term: lock.advance({ pid: String(process.pid) }) })}\n`)
  },
  release: () => {
    lock?.release()
    lock = null
    return {}
  },
  unlink: () => {
    lock?.release({ unlink: true })
    lock = null
    return {}
  },
  contend: () => contend(1500),
}
process.stdout.write('{"ready":true}\n')
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(commands[line]())}\n`)
}
