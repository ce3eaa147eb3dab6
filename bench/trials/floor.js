// What a Node process costs that has an agent's rhythm and does none of its work: the floor below `node`.
// One only wakes; another sends 8 frames as large as those of 8 ranks, encrypted, and hears 8 answers.
import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { daemonEnv, importDist, remove, report } from '../kit.js'
import { cpuSeconds } from '../proc.js'

const { DRAIN_INTERVAL_MS } = await importDist('limits.js')
const { bindRouter, connectDealer, ensureKeys } = await importDist('transport/index.js')

const RANKS = 8
/** 50 metrics of 4 bytes, 2.4 steps a round, and what a frame has besides. */
const FRAME_BYTES = 560
const ANSWER_BYTES = 40
const SETTLE_MS = 10_000
const WATCH_MS = 20_000
const HOST = '127.0.0.1'

const ROLES = {
  wakes() {
    setInterval(() => {}, DRAIN_INTERVAL_MS)
  },
  sends(secret, port) {
    const peer = connectDealer({
      host: HOST, port: Number(port), keys: ensureKeys(secret),
      onFrame() {}, onDown(why) { throw new Error(why) },
    })
    setInterval(() => {
      for (let rank = 0; rank < RANKS; rank++) peer.send(Buffer.alloc(FRAME_BYTES))
    }, DRAIN_INTERVAL_MS)
  },
}

const ownEnv = await daemonEnv()
const start = (...args) =>
  spawn(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    env: { ...process.env, ...ownEnv }, stdio: 'inherit',
  })

async function measure() {
  const scratch = mkdtempSync(join(tmpdir(), 'rankzero-bench-'))
  const secret = join(scratch, 'secret')
  let heard = 0
  const router = await bindRouter({
    host: HOST, port: 0, keys: ensureKeys(secret),
    onFrame(peer) {
      heard++
      router.send(peer, Buffer.alloc(ANSWER_BYTES))
    },
  })
  const children = [start('wakes'), start('sends', secret, router.port)]
  try {
    await sleep(SETTLE_MS)
    const before = children.map(({ pid }) => cpuSeconds(pid))
    await sleep(WATCH_MS)
    const [wakes, sends] = children.map(
      ({ pid }, i) => 100 * (cpuSeconds(pid) - before[i]) / (WATCH_MS / 1000))
    if (heard === 0) throw new Error('nothing came')
    report({ 'wakes only': wakes, 'wakes and sends': sends })
  } finally {
    for (const child of children) child.kill()
    router.close()
    remove(scratch)
  }
}

const [role, ...rest] = process.argv.slice(2)
if (role === undefined) {
  await measure()
  // A closed socket of zeromq still keeps its process.
  process.exit()
}
ROLES[role](...rest)
