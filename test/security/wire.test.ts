/**
 * What outsiders and insiders can do on the wire. Outsiders have the network and no secret; insiders have the
 * secret, and so are this job as far as anybody can tell: what they may not do is break the head.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { pack } from 'msgpackr'
import { afterEach, describe, expect, it } from 'vitest'
import { meetingSecretPath } from '../../lib/lock/index.ts'
import { crc32 } from '../../lib/record/crc32.ts'
import type { Endpoint } from '../../lib/record/run-status.ts'
import {
  bindWide, connectDealer, keysOf, readKeys, type Dealer, type Router,
} from '../../lib/transport/index.ts'
import { BatchBuilder, decodeFrame, encodeFrame, type Bodies, type Frame } from '../../lib/wire/index.ts'
import { Place, sleep, until } from '../scenario/harness.ts'

const cleanups: (() => void)[] = []
afterEach(() => { for (const clean of cleanups.splice(0).reverse()) clean() })

const KEYS = keysOf(Buffer.alloc(32, 1))
const MEETING = 'ab'.repeat(16)

async function server(): Promise<{ router: Router; heard: string[] }> {
  const heard: string[] = []
  const router: Router = await bindWide({
    port: 0, keys: KEYS,
    onFrame: (peer, frame) => {
      heard.push(frame.toString())
      router.send(Buffer.from(peer), Buffer.from(frame))
    },
  })
  cleanups.push(() => router.close())
  return { router, heard }
}

function raw(port: number): { socket: Socket; closed: () => boolean; got: Buffer[] } {
  let closed = false
  const got: Buffer[] = []
  const socket = connect(port, '127.0.0.1').on('error', () => {}).on('close', () => { closed = true })
    .on('data', (bytes) => got.push(bytes))
  cleanups.push(() => socket.destroy())
  return { socket, closed: () => closed, got }
}

/** A proxy that keeps what each side sent. */
async function recorder(port: number): Promise<{ port: number; sent: Buffer[] }> {
  const sent: Buffer[] = []
  const proxy = createServer((from) => {
    const to = connect(port, '127.0.0.1')
    from.on('data', (bytes) => sent.push(Buffer.from(bytes))).on('error', () => {})
    to.on('error', () => {})
    from.pipe(to).pipe(from)
  })
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
  cleanups.push(() => proxy.close())
  return { port: (proxy.address() as AddressInfo).port, sent }
}

describe('an outsider', () => {
  it('who replays the bytes of a real connection is refused, and nothing of it can be read', async () => {
    const { router, heard } = await server()
    const { port, sent } = await recorder(router.port)
    const frames: string[] = []
    const agent = connectDealer({
      host: '127.0.0.1', port, keys: KEYS, onFrame: (frame) => frames.push(frame.toString()), onDown() {},
    })
    cleanups.push(() => agent.close())
    agent.send(Buffer.from('loss 0.25 of rank 3'))
    await until('the answer', 60_000, () => frames.length === 1)
    const recorded = Buffer.concat(sent)
    expect(recorded.includes('loss 0.25')).toBe(false)
    expect(recorded.includes(Buffer.from(KEYS.client.bytes))).toBe(false)
    for (const pieces of [[recorded], sent]) {
      const replay = raw(router.port)
      for (const piece of pieces) {
        replay.socket.write(piece)
        await sleep(20)
      }
      await until('the end of the replay', 60_000, replay.closed)
      expect(Buffer.concat(replay.got).includes('loss')).toBe(false)
    }
    expect(heard).toEqual(['loss 0.25 of rank 3'])
    await until('both counted', 60_000, () => router.denied === 2)
  })

  it('who sends a byte a second, half a greeting, or a size of 2^62 is closed within the bound', async () => {
    const { router, heard } = await server()
    const greeting = Buffer.concat([
      Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1]), Buffer.from('CURVE'.padEnd(20, '\0')),
      Buffer.alloc(32),
    ])
    const before = process.memoryUsage().rss
    const slow = raw(router.port)
    let at = 0
    const timer = setInterval(() => slow.socket.write(greeting.subarray(at, ++at)), 1000)
    cleanups.push(() => clearInterval(timer))
    const half = raw(router.port)
    half.socket.write(greeting.subarray(0, 20))
    const whole = raw(router.port)
    whole.socket.write(greeting)
    const huge = raw(router.port)
    const claim = Buffer.from('063fffffffffffffff', 'hex')
    huge.socket.write(Buffer.concat([greeting, claim, Buffer.alloc(70_000)]))
    const plain = raw(router.port)
    plain.socket.write(Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0]))
    plain.socket.write(Buffer.from('NULL'.padEnd(52, '\0')))
    for (const one of [slow, half, whole, huge, plain]) await until('its end', 60_000, one.closed)
    expect(process.memoryUsage().rss - before).toBeLessThan(256 << 20)
    expect(heard).toEqual([])
    await until('all counted', 60_000, () => router.denied === 5)
  })
})

interface Insider { dealer: Dealer; frames: Frame[]; downs: string[] }

describe('an insider', () => {
  /** A head of its own, and who comes to it with the secret of the meeting. */
  async function head(): Promise<{ at: Place; endpoint: Endpoint; visit: () => Insider }> {
    const at = new Place({ RANKZERO_JOIN_TIMEOUT: '1', RANKZERO_SEAL_AFTER: '1' })
    cleanups.push(() => at.dispose())
    at.start(['aggregator', '--meeting', MEETING, '--dir', at.dir])
    await until('a head', 60_000, () => {
      try {
        return readdirSync(at.locks).includes(`meet-${MEETING}.json`)
      } catch {
        return false
      }
    })
    const endpoint = JSON.parse(readFileSync(join(at.locks, `meet-${MEETING}.json`), 'utf8')) as Endpoint
    const keys = readKeys(meetingSecretPath(at.locks, MEETING))
    const visit = (): Insider => {
      const visitor: Insider = { dealer: null as never, frames: [], downs: [] }
      visitor.dealer = connectDealer({
        host: '127.0.0.1', port: endpoint.port, keys, onDown: (why) => visitor.downs.push(why),
        onFrame: (frame) => visitor.frames.push(decodeFrame(Buffer.from(frame))),
      })
      cleanups.push(() => visitor.dealer.close())
      return visitor
    }
    return { at, endpoint, visit }
  }

  type Hello = Bodies['HELLO']
  type Origin = Hello['instances'][0]['origin']
  const originOf = (over: Partial<Origin>): Origin => ({
    instance: '1'.repeat(32), meeting: MEETING, run: null, role: 'worker', rank: 0, worldSize: 2,
    localRank: 0, node: 'n', bootId: 'b', pidns: 1, pid: 1, procStart: 1, startedAt: Date.now(), dir: '/',
    cli: '[]', ...over,
  })
  const hello = (over: Partial<Hello> = {}, ...origins: Origin[]): Uint8Array => encodeFrame('HELLO', 0, {
    agent: 'ab', host: 'n', pid: 1, run: null, meeting: MEETING, protocol: 1, sentAt: 1,
    instances: origins.map((origin) => ({ origin, first: 1, next: 1, logged: 0, ledger: null })), ...over,
  })
  const batch = (instance: string, first = 1): Uint8Array => {
    const builder = new BatchBuilder(instance)
    builder.reset(first)
    builder.values(first, 0, 1, NaN, 1, Float64Array.of(1), 0, 1)
    return builder.finish()
  }
  const ask = async (visitor: Insider, frame: Uint8Array): Promise<Frame> => {
    const before = visitor.frames.length
    expect(visitor.dealer.send(frame)).toBe(true)
    return until('an answer', 60_000, () => visitor.frames[before])
  }
  /** A frame that no encoder of ours makes. */
  const forged = (type: number, term: number, body: Uint8Array): Uint8Array => {
    const bytes = Buffer.concat([Buffer.from([1, type, 0, 0]), Buffer.alloc(4), body, Buffer.alloc(4)])
    bytes.writeUInt32LE(term, 4)
    bytes.writeUInt32LE(crc32(bytes, 0, 0, bytes.length - 4), bytes.length - 4)
    return bytes
  }

  it('is refused another meeting, run or term, a gap, and records of who was never announced', async () => {
    const { endpoint: { term, pid }, visit } = await head()
    const visitor = visit()
    const refuse = { type: 'REFUSE', body: { code: 'PROTOCOL' } }
    expect(await ask(visitor, hello({ meeting: 'cd'.repeat(16) }))).toMatchObject(refuse)
    const strange = await ask(visitor, hello({}, originOf({ instance: '2'.repeat(32), run: 'another-run' })))
    const why = expect.stringMatching(/another-run/)
    expect(strange).toMatchObject({ body: { instances: [{ accepted: false, why }] } })
    const [mine, foreign] = ['1'.repeat(32), '3'.repeat(32)]
    const welcome = await ask(visitor, hello({}, originOf({})))
    expect(welcome).toMatchObject({ body: { instances: [{ accepted: true }] } })
    for (const wrong of [0, term - 1, term + 1]) {
      expect(await ask(visitor, encodeFrame('BATCH', wrong, batch(mine)))).toMatchObject(refuse)
    }
    const ack = (seq: number): object => ({ type: 'ACK', body: { seq } })
    expect(await ask(visitor, encodeFrame('BATCH', term, batch(mine, 9)))).toMatchObject(ack(0))
    visitor.dealer.send(encodeFrame('BATCH', term, batch(foreign)))
    const skip = { instance: foreign, from: 1, to: 9, points: {}, cause: 'x' }
    visitor.dealer.send(encodeFrame('SKIP', term, skip))
    expect(await ask(visitor, encodeFrame('BATCH', term, batch(mine)))).toMatchObject(ack(1))
    // Recorded above CURVE and sent again: a duplicate, which changes nothing.
    expect(await ask(visitor, encodeFrame('BATCH', term, batch(mine)))).toMatchObject(ack(1))
    expect(visitor.frames.some(({ body }) => 'instance' in body && body.instance === foreign)).toBe(false)
    process.kill(pid, 0)
  })

  it('cannot break the head with msgpack, sizes or types: each such frame is refused', async () => {
    const { at, endpoint: { pid }, visit } = await head()
    const visitor = visit()
    const deep = Buffer.concat([Buffer.alloc(100_000, 0x81), Buffer.from([0xc0])])
    const bodies: Record<string, Uint8Array> = {
      deep, 'an array of 2^32': Buffer.from('ddffffffff', 'hex'),
      'a map of 2^32': Buffer.from('dfffffffff', 'hex'),
      'a text of 2^32': Buffer.from('dbffffffff', 'hex'), 'an extension': Buffer.from('c70172ff', 'hex'),
      'a fixed extension': Buffer.from('d47201', 'hex'), 'nothing': Buffer.alloc(0),
      'a record of msgpackr': Buffer.from('d4724093a161c0', 'hex'),
      'a timestamp': Buffer.from('d6ff00000000', 'hex'), 'two values': Buffer.from('c0c0', 'hex'),
      'a prototype': pack(JSON.parse('{"__proto__":{"instances":[]},"meeting":"x"}')),
    }
    for (const [name, body] of Object.entries(bodies)) {
      const answer = await ask(visitor, forged(1, 0, body))
      expect(answer.type, name).toBe('REFUSE')
    }
    for (const type of [0, 10, 255]) {
      expect((await ask(visitor, forged(type, 0, pack({})))).type).toBe('REFUSE')
    }
    expect((await ask(visitor, Buffer.from('no frame at all'))).type).toBe('REFUSE')
    const oversize = visit()
    await ask(oversize, hello())
    oversize.dealer.send(Buffer.alloc((8 << 20) + 1))
    await until('its end', 60_000, () => oversize.downs.length === 1)
    expect((await ask(visitor, hello({}, originOf({})))).type).toBe('WELCOME')
    const { VmHWM } = /(?<VmHWM>VmHWM:\s+\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!.groups!
    expect(Number(VmHWM!.split(/\s+/)[1]), 'KiB at most').toBeLessThan(256 * 1024)
    expect(at.processes('aggregator')).toEqual([pid])
  })

  it('who claims a rank that lives is a rank conflict: its points are rejected', async () => {
    const { at, endpoint: { term }, visit } = await head()
    const [first, second] = ['1'.repeat(32), '2'.repeat(32)]
    const visitor = visit()
    const beats = (): void => void visitor.dealer.send(encodeFrame('BEAT', term, {
      sentAt: Date.now(), instances: [first, second].map((instance) =>
        ({ instance, alive: true, logged: 1, lost: 0, backlog: 0 })),
    }))
    await ask(visitor, hello({}, originOf({ startedAt: Date.now() - 60_000 })))
    await ask(visitor, encodeFrame('BATCH', term, batch(first)))
    await ask(visitor, hello({}, originOf({ instance: second, pid: 2, startedAt: Date.now() - 50_000 })))
    await ask(visitor, encodeFrame('BATCH', term, batch(second)))
    const timer = setInterval(beats, 300)
    cleanups.push(() => clearInterval(timer))
    const states = (): string[][] => at.status().members.map(({ instance, state }) => [instance, state])
    await until('the verdict', 60_000, () => states().some(([, state]) => state === 'rank-conflict'))
    expect(states()).toEqual([[first, 'live'], [second, 'rank-conflict']])
  })
})
