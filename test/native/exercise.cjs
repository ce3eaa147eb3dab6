/**
 * Every call of the addon with good and bad arguments, from plain Node: `node exercise.cjs <addon> <tmpfs
 * directory>`.
 * Run as it is and under AddressSanitizer and UBSan; prints `ok`, or throws at the first wrong answer.
 */
const assert = require('node:assert/strict')
const { spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const { join } = require('node:path')
const { Worker, isMainThread, workerData } = require('node:worker_threads')

const [addonPath, dir] = isMainThread ? process.argv.slice(2) : workerData
const addon = require(addonPath)

function maps() {
  const path = join(dir, 'map')
  const map = addon.mapCreate(path, 1 << 16)
  assert.equal(map.byteLength, 1 << 16)
  const f64 = new Float64Array(map)
  f64[8191] = Math.PI
  assert.equal(fs.readFileSync(path).readDoubleLE(8191 * 8), Math.PI)
  fs.writeSync(fs.openSync(path, 'r+'), Uint8Array.of(7), 0, 1, 0)
  assert.equal(new Uint8Array(map)[0], 7)
  assert.equal(fs.statSync(path).blocks * 512, 1 << 16)
  assert.equal(fs.statSync(path).mode & 0o777, 0o600)
  assert.equal(addon.mapCreate(path, 4096), null)
  addon.unmap(map)
  addon.unmap(map)
  assert.equal(f64.length, 0)
  addon.unmap(new ArrayBuffer(8))
  fs.unlinkSync(path)
  assert.equal(addon.mapCreate(join(dir, 'no', 'such'), 4096), null)
  assert.equal(addon.mapCreate(join(dir, 'x'), 0), null)
  assert.equal(addon.mapCreate(join(dir, 'x'), -1), null)
  assert.equal(addon.mapCreate(join(dir, 'huge'), 2 ** 52), null)
  assert.equal(fs.existsSync(join(dir, 'huge')), false)
}

/** Freed by the collector, in any order with the explicit ones, and at exit. */
function abandonedMaps() {
  for (let i = 0; i < 50; i++) {
    const map = addon.mapCreate(join(dir, `left-${process.pid}-${isMainThread}-${i}`), 8192)
    if (i % 3 === 0) addon.unmap(map)
    else new Uint8Array(map)[0] = 1
    fs.unlinkSync(join(dir, `left-${process.pid}-${isMainThread}-${i}`))
    if (i % 10 === 0) globalThis.gc?.()
  }
  globalThis.kept = addon.mapCreate(join(dir, `kept-${isMainThread}`), 4096)
  fs.unlinkSync(join(dir, `kept-${isMainThread}`))
}

function locks() {
  const path = join(dir, 'lock')
  const fd = addon.lockFile(path)
  assert.ok(fd >= 0)
  const load = `const a = require(${JSON.stringify(addonPath)});`
  const other = (code) => spawnSync(process.execPath, ['-p', load + code], { encoding: 'utf8' }).stdout.trim()
  const name = JSON.stringify(path)
  assert.equal(other(`a.lockHolder(${name})`), String(process.pid))
  assert.equal(other(`a.lockFile(${name})`), 'null')
  fs.closeSync(fd)
  assert.equal(other(`a.lockHolder(${name})`), '0')
  assert.equal(addon.lockHolder(join(dir, 'missing')), -1)
  assert.equal(addon.lockFile(join(dir, 'no', 'such')), null)
}

async function processes() {
  const exits = spawn('sh', ['-c', 'read line; exit 7'], { stdio: ['pipe', 'ignore', 'ignore'] })
  const killed = spawn('sleep', ['60'])
  const fds = [addon.pidfdOpen(exits.pid), addon.pidfdOpen(killed.pid)]
  assert.ok(fds.every((fd) => fd >= 0))
  assert.deepEqual(addon.pidfdExit(fds[0]), { exited: false, exit: null, signal: null })
  exits.stdin.end()
  killed.kill('SIGKILL')
  await Promise.all([once(exits, 'exit'), once(killed, 'exit')])
  const facts = fds.map((fd) => addon.pidfdExit(fd))
  assert.ok(facts.every((fact) => fact.exited))
  // Linux before 6.15 does not tell how.
  if (facts[0].exit !== null) assert.deepEqual([facts[0].exit, facts[1].signal], [7, 'SIGKILL'])
  for (const fd of fds) fs.closeSync(fd)
  assert.equal(addon.pidfdOpen(2 ** 22 + 5), -1)
  assert.equal(addon.pidfdOpen(-1), -1)
  assert.equal(addon.pidfdExit(999999).exited, false)
}

function checksums() {
  const text = Buffer.from('123456789')
  assert.equal(addon.crc32(text), 0xcbf43926)
  assert.equal(addon.crc32(text.subarray(4), addon.crc32(text.subarray(0, 4))), 0xcbf43926)
  assert.equal(addon.crc32(new Uint8Array(0), 5), 5)
  const bytes = new Uint8Array(1000).map((_, i) => i * 31)
  for (let from = 0; from < 17; from++) addon.crc32(bytes.subarray(from, 1000 - from))
}

function badArguments() {
  const long = 'x'.repeat(10_000)
  for (const call of ['mapCreate', 'unmap', 'lockFile', 'lockHolder', 'pidfdOpen', 'pidfdExit', 'crc32']) {
    const wrong = [[], [undefined], [null, {}], [{}, 'x'], [Symbol('s')], [long, 'x'], [new Float64Array(2)]]
    for (const args of wrong) {
      assert.throws(() => addon[call](...args), TypeError, `${call}(${args.map(String)})`)
    }
  }
}

async function main() {
  maps()
  abandonedMaps()
  checksums()
  badArguments()
  if (!isMainThread) return
  locks()
  await processes()
  const worker = new Worker(__filename, { workerData: [addonPath, dir] })
  assert.deepEqual(await once(worker, 'exit'), [0])
  console.log('ok')
}

main()
