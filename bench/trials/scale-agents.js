// Stands for many nodes: a connection each, through which it says what an agent with its ranks would, frame
// for frame. One process, as thousands of agents would need a machine of their own.
//
// In: a plan as JSON in argv[2], see scale.js. Out: JSON on stdout. It builds the batches of a few ranks and
// gives the others the same under their own names; times are wall ms.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { context } from 'zeromq'
import { importDist, report } from '../kit.js'

const plan = JSON.parse(process.argv[2])
const { nodes, ranksPerNode, metrics, rate, seconds, stepsPerBatch, sendMs } = plan
const { BatchBuilder, decodeFrame, encodeFrame, PROTOCOL_VERSION } = await importDist('wire/index.js')
const { connectDealer, readKeys } = await importDist('transport/index.js')
const {
  BEAT_INTERVAL_MS, FLIGHT_BYTES_MAX, RECONNECT_MS_MAX, RECONNECT_MS_MIN,
} = await importDist('limits.js')

/** A socket and its monitor for each node. */
context.maxSockets = 4 * nodes + 64
/** So many ranks have values of their own. */
const VARIANTS = 16
const TICK_MS = 5
/** Where batch-format.ts has the instance, and the crc at the end. */
const INSTANCE_AT = 4
const LAYOUT = 1
const batches = Math.ceil(rate * seconds / stepsPerBatch)
const steps = batches * stepsPerBatch
const { crc32 } = await import('node:zlib')
const keys = readKeys(plan.secret)
const world = nodes * ranksPerNode
const values = Float64Array.from({ length: 4096 + metrics }, () => Math.fround(Math.random()))

/** Batch k of a rank with the values of `variant`; the first defines the layout. */
const templates = new Map()
function template(variant, k) {
  const key = k * VARIANTS + variant
  let blob = templates.get(key)
  if (blob) return blob
  const builder = new BatchBuilder('0'.repeat(32))
  let seq = k === 0 ? 1 : k * stepsPerBatch + 2
  builder.reset(seq)
  if (k === 0) {
    const names = Array.from({ length: metrics }, (_, i) => `group_${i % 7}/metric_${i}`)
    builder.payload(seq++, 1, plan.startAt, new TextEncoder().encode(JSON.stringify({ id: LAYOUT, names })))
  }
  for (let i = 0; i < stepsPerBatch; i++) {
    const step = k * stepsPerBatch + i
    const at = (step * 17 + variant * 251) % 4096
    builder.values(seq++, LAYOUT, step, NaN, plan.startAt + step * 1000 / rate, values, at, metrics)
  }
  templates.set(key, blob = builder.finish())
  return blob
}

/** Last seq of batch k. */
const lastOf = (k) => (k + 1) * stepsPerBatch + 1
/** The batch that starts after `seq`. */
const after = (seq) => seq === 0 ? 0 : (seq - 1) / stepsPerBatch

const stats = { welcomedAt: null, backAt: null, frames: 0, bytes: 0, resent: 0, downs: 0 }
/** Per batch: when the last rank's was given to its socket. */
const sentAt = new Float64Array(batches)
let target = { port: plan.port }

class Rank {
  constructor(rank, node) {
    this.rank = rank
    this.id = randomBytes(16)
    this.instance = this.id.toString('hex')
    this.node = node
    this.next = 0
    this.top = 0
    this.acked = 0
    this.ended = false
  }

  get origin() {
    return {
      instance: this.instance, meeting: plan.meeting, run: null, role: 'worker', rank: this.rank,
      worldSize: world, localRank: this.rank % ranksPerNode, node: this.node, bootId: this.node, pidns: 1,
      pid: 1000 + this.rank, procStart: 1, startedAt: plan.startAt, dir: '/', cli: '[]',
    }
  }

  frame(term) {
    const blob = template(this.rank % VARIANTS, this.next).slice()
    blob.set(this.id, INSTANCE_AT)
    const end = blob.length - 4
    new DataView(blob.buffer).setUint32(end, crc32(blob.subarray(0, end)), true)
    return encodeFrame('BATCH', term, blob)
  }
}

class Node {
  constructor(index) {
    this.name = `node-${index}`
    this.agent = randomBytes(16).toString('hex')
    this.ranks = Array.from({ length: ranksPerNode }, (_, i) => new Rank(index * ranksPerNode + i, this.name))
    this.byInstance = new Map(this.ranks.map((rank) => [rank.instance, rank]))
    /** Nodes do not send in step: their agents began at different moments. */
    this.phase = index / nodes * sendMs
    this.late = index === 0 ? plan.stragglerMs : 0
    this.flying = 0
    this.live = false
    this.gone = false
    this.failures = 0
    this.retryAt = 0
    this.beatAt = Math.random() * BEAT_INTERVAL_MS
    this.dealer = null
  }

  connect() {
    const dealer = connectDealer({
      host: '127.0.0.1', port: target.port, keys,
      onUp: () => this.hello(dealer),
      onFrame: (frame) => { if (dealer === this.dealer) this.hear(decodeFrame(frame)) },
      onDown: () => { if (dealer === this.dealer) this.down() },
    })
    this.dealer = dealer
  }

  down() {
    stats.downs++
    this.dealer.close()
    this.dealer = null
    this.live = false
    this.flying = 0
    const ceiling = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** ++this.failures)
    this.retryAt = Date.now() + RECONNECT_MS_MIN + Math.random() * (ceiling - RECONNECT_MS_MIN)
  }

  hello(dealer) {
    dealer.send(encodeFrame('HELLO', 0, {
      agent: this.agent, host: this.name, pid: 1, run: null, meeting: plan.meeting,
      protocol: PROTOCOL_VERSION, sentAt: Date.now(), offset: 0, blur: 1,
      instances: this.ranks.map(({ origin, top, next }) => (
        { origin, first: 1, next: lastOf(Math.max(top, next)) + 1, logged: 0, ledger: this.ledger ?? null })),
    }))
  }

  hear({ type, term, body }) {
    if (type === 'WELCOME') this.welcome(term, body)
    else if (type === 'ACK') this.ack(body)
    else if (type === 'REFUSE') throw new Error(`${this.name} is refused: ${body.message}`)
  }

  welcome(term, { ledger, instances, credit }) {
    this.term = term
    this.ledger = ledger
    this.credit = Math.min(credit, FLIGHT_BYTES_MAX)
    for (const { instance, acked, accepted, why } of instances) {
      if (!accepted) throw new Error(`${instance} is refused: ${why}`)
      const rank = this.byInstance.get(instance)
      rank.acked = acked
      rank.next = after(acked)
    }
    this.live = true
    this.failures = 0
    this.flying = 0
    if (!all.every(({ live, gone }) => live || gone)) return
    if (stats.welcomedAt === null) stats.welcomedAt = Date.now()
    else if (stats.downs > 0) stats.backAt = Date.now()
  }

  ack({ instance, seq, ended }) {
    const rank = this.byInstance.get(instance)
    rank.ended ||= ended === true
    if (seq <= rank.acked) return
    for (let k = after(rank.acked); k < after(seq); k++) {
      this.flying -= template(rank.rank % VARIANTS, k).length
    }
    rank.acked = seq
  }

  /** What is due and fits. */
  pump(now, begun) {
    if (this.gone) return
    if (this.dealer === null) {
      if (now >= this.retryAt) this.connect()
      return
    }
    if (!this.live) return
    if (now - this.beatAt >= Math.max(BEAT_INTERVAL_MS, sendMs)) this.beat(now)
    if (begun === null) return
    const due = Math.min(batches, Math.floor((now - begun - this.phase - this.late) / sendMs))
    for (const rank of this.ranks) {
      while (rank.next < due && !this.dealer.full && this.flying < this.credit) this.send(rank)
      if (rank.next === batches && rank.acked === lastOf(batches - 1) && !rank.ending) this.end(rank, now)
    }
  }

  send(rank) {
    const frame = rank.frame(this.term)
    if (!this.dealer.send(frame)) return
    stats.frames++
    stats.bytes += frame.length
    this.flying += frame.length - 12
    if (rank.next < rank.top) stats.resent++
    else sentAt[rank.next] = Date.now()
    rank.top = Math.max(rank.top, ++rank.next)
  }

  beat(now) {
    this.beatAt = now
    const instances = this.ranks.map(({ instance, acked, top }) => {
      const seq = top === 0 ? 0 : lastOf(top - 1)
      return { instance, alive: true, logged: top * stepsPerBatch * metrics, lost: 0, backlog: seq - acked }
    })
    this.dealer.send(encodeFrame('BEAT', this.term, { sentAt: now, instances }))
  }

  end(rank, at) {
    rank.ending = this.dealer.send(encodeFrame('END', this.term, {
      instance: rank.instance, seq: lastOf(batches - 1), logged: steps * metrics, lost: 0, refused: 0, at,
      departure: { exit: 0, signal: null, cause: 'end-record' },
    }))
  }

  leave() {
    this.gone = true
    this.dealer?.close()
  }
}

const all = Array.from({ length: nodes }, (_, i) => new Node(i))

/** The head writes where it is; after its restart, anew. */
function look() {
  try {
    target = JSON.parse(readFileSync(plan.endpoint, 'utf8'))
  } catch {
    // Between two heads.
  }
}

const sumOf = (numbers) => numbers.reduce((sum, number) => sum + number, 0)

async function work() {
  const from = Date.now()
  let begun = null
  for (let lookAt = 0; ;) {
    const now = Date.now()
    if (now - lookAt >= 200) {
      look()
      lookAt = now
    }
    if (begun === null && stats.welcomedAt !== null) begun = now
    for (const node of all) node.pump(now, begun)
    if (begun !== null && plan.goneNodes > 0 && now - begun > seconds * 500) {
      for (const node of all.slice(-plan.goneNodes)) if (!node.gone) node.leave()
    }
    const left = all.filter(({ gone }) => !gone)
    if (left.every(({ ranks }) => ranks.every(({ ended }) => ended))) break
    if (now - from > plan.limitS * 1000) {
      const open = left.flatMap(({ ranks }) => ranks).filter(({ ended }) => !ended)
      const acked = sumOf(open.map((rank) => rank.acked)) / open.length
      throw new Error(`${open.length} ranks are not through after ${plan.limitS} s, at seq ${acked} of ` +
        `${lastOf(batches - 1)}`)
    }
    await sleep(TICK_MS)
  }
  const cpu = process.cpuUsage()
  for (const { dealer } of all) dealer?.close()
  report({
    ...stats, from, begun, through: Date.now(), points: world * steps * metrics, stepsPerBatch,
    acked: metrics * sumOf(all.flatMap(({ ranks }) => ranks.map(({ acked }) => Math.max(0, acked - 1)))),
    sentAt: [...sentAt], cpu: (cpu.user + cpu.system) / 1e6,
  })
}

await work()
process.exit(0)
