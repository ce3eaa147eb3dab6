// Works on a ledger for ledger.test.ts: `append` until killed, `full` until the disk is, `read` as a reader.
import { rmSync, writeFileSync, writeSync } from 'node:fs'

const [dist, task, path] = process.argv.slice(2)
const { openLedger } = await import(`${dist}/ledger/ledger.js`)
const say = (data) => writeSync(1, `${JSON.stringify(data)}\n`)
const INSTANCE = 'ab'.repeat(16)

/** Eight blobs and a note, each filled with its own position, so that a reader can tell a torn one. */
function group(ledger, from, size) {
  const entries = []
  for (let i = 0; i < 8; i++) {
    const data = new Uint8Array(size).fill((from + i) % 251)
    entries.push({ type: 'batch', at: 1, instance: INSTANCE, firstSeq: from + i, lastSeq: from + i, data })
  }
  entries.push({ type: 'note', at: 1, kind: 'group', body: { from } })
  return ledger.append(entries)
}

const tasks = {
  append: () => {
    const ledger = openLedger(path)
    for (let pos = 0; ;) {
      pos = group(ledger, pos + 1, 20_000)
      say({ pos })
    }
  },
  full: () => {
    const ballast = `${path}.ballast`
    writeFileSync(ballast, new Uint8Array(1 << 20))
    const ledger = openLedger(path)
    let pos = 0
    const fill = () => {
      for (;;) {
        try {
          pos = group(ledger, pos + 1, 30_000)
        } catch (error) {
          return { pos, code: error.code, message: error.message, remedy: error.remedy, detail: error.detail }
        }
      }
    }
    const first = fill()
    const again = fill()
    rmSync(ballast)
    const after = group(ledger, pos + 1, 30_000)
    ledger.close()
    const reader = openLedger(path, { readonly: true })
    say({ first, again, after, seen: [...reader.entries()].length })
  },
  read: () => {
    try {
      const ledger = openLedger(path, { readonly: true })
      let last = 0
      for (const entry of ledger.entries()) last = entry.pos
      ledger.close()
      say({ last })
    } catch (error) {
      say({ code: error.code, message: error.message, remedy: error.remedy })
    }
  },
}
tasks[task]()
