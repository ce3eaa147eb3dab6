/**
 * The network: connections with delay, loss, repetition, reordering and cuts, in place of zeromq.
 *
 * In: connects, binds and frames of processes. Out: their callbacks, each an event of the process it is for.
 * Invariants: without knobs a connection keeps order and loses nothing but with itself; a cut holds frames
 * back as TCP does, and ends the connection when it lasts longer than the heartbeats; a stopped process
 * shakes no hands.
 */
import { HEARTBEAT_TIMEOUT_MS } from '../../lib/limits.ts'
import type { Dealer, DealerOptions } from '../../lib/transport/dealer.ts'
import type { Router, RouterOptions } from '../../lib/transport/router.ts'
import { decodeFrame, encodeFrame, FRAME_TYPES } from '../../lib/wire/index.ts'
import { forgetful, type NetKnobs } from './knobs.ts'
import type { Laws } from './laws.ts'
import type { Random } from './random.ts'
import { inWords } from './words.ts'
import type { Node, Process, World } from './world.ts'

interface Listener {
  process: Process
  options: RouterOptions
  port: number
  connections: Set<Connection>
}

/** 0: to the router, 1: to the dealer. */
type Way = 0 | 1

export interface Connection {
  id: number
  dealer: Process
  dealerOptions: DealerOptions
  listener: Listener | null
  up: boolean
  /** Closed or broken, by end. */
  over: [boolean, boolean]
  last: [number, number]
  waiting: [number, number]
  held: [Uint8Array[], Uint8Array[]]
}

/** A frame that was sent once. */
interface Past { bytes: Uint8Array; job: string }

const jobOf = ({ name }: Process): string => name.slice(0, name.indexOf(':') + 1)

const PORTS = 40_000
/** Frames on their way before a dealer calls itself full. */
const PIPE = 72

export class Net {
  readonly connections = new Set<Connection>()
  knobs: NetKnobs = forgetful()
  /** Frames that were sent once, by way, for ghosts. */
  private readonly past: [Past[], Past[]] = [[], []]
  private readonly world: World
  private readonly random: Random
  private readonly laws: Laws
  private readonly listeners = new Map<string, Listener>()
  /** `a>b`: nothing gets from a to b. */
  private readonly cuts = new Map<string, number>()
  private ports = PORTS
  private ids = 0

  constructor(world: World, random: Random, laws: Laws) {
    this.world = world
    this.random = random
    this.laws = laws
  }

  bind(process: Process, options: RouterOptions): Router {
    const port = options.port === 0 ? ++this.ports : options.port
    const place = `${process.node.name}:${port}`
    if (this.listeners.has(place)) throw Object.assign(new Error('EADDRINUSE'), { code: 'EADDRINUSE' })
    const listener: Listener = { process, options, port, connections: new Set() }
    this.listeners.set(place, listener)
    const close = (): void => {
      if (this.listeners.get(place) === listener) this.listeners.delete(place)
      for (const connection of listener.connections) this.end(connection, 1, 'disconnect')
    }
    process.cleanups.add(close)
    return {
      port, dropped: 0, denied: 0, close,
      send: (peer, frame) => {
        this.world.step()
        const connection = [...listener.connections].find(({ id }) => id === peer.readUInt32LE(0))
        if (connection !== undefined) this.send(connection, 1, frame)
        return true
      },
    }
  }

  connect(process: Process, options: DealerOptions): Dealer {
    const connection: Connection = {
      id: ++this.ids, dealer: process, dealerOptions: options, listener: null, up: false,
      over: [false, false], last: [0, 0], waiting: [0, 0], held: [[], []],
    }
    const target = this.nodeAt(process, options.host)
    this.connections.add(connection)
    const close = (): void => this.end(connection, 0, '')
    process.cleanups.add(close)
    if (target === null) this.world.after(1, process, () => this.down(connection, 'no such host'))
    else this.shake(connection, target)
    return {
      send: (frame) => {
        this.world.step()
        if (connection.over[0]) return false
        this.send(connection, 0, frame)
        return true
      },
      get full() { return connection.waiting[0] >= PIPE },
      close: () => {
        process.cleanups.delete(close)
        close()
      },
    }
  }

  private nodeAt(from: Process, host: string): Node | null {
    if (host.startsWith('127.')) return from.node
    return this.world.nodes.find(({ address, name }) => address === host || name === host) ?? null
  }

  /** TCP and ZMTP: there, back, and there again. */
  private shake(connection: Connection, target: Node): void {
    const { dealer, dealerOptions: { port } } = connection
    const there = this.delay(dealer.node, target)
    this.world.after(there, null, () => {
      if (connection.over[0] || this.isCut(dealer.node, target) || this.isCut(target, dealer.node)) return
      const listener = target.up ? this.listeners.get(`${target.name}:${port}`) : undefined
      if (listener === undefined) {
        this.world.after(there, dealer, () => this.down(connection, 'refused'))
        return
      }
      // An event of the other process: a stopped one answers when it goes on.
      this.world.after(there, listener.process, () => {
        if (connection.over[0]) return
        connection.listener = listener
        connection.up = true
        listener.connections.add(connection)
        this.world.after(there, dealer, () => {
          if (!connection.over[0]) connection.dealerOptions.onUp?.()
        })
      })
    })
  }

  private delay(from: Node, to: Node): number {
    const base = from === to ? 0.2 : 2
    const { delay, delayMs } = this.knobs
    return base * (1 + this.random.next()) + (this.random.chance(delay) ? this.random.next() * delayMs : 0)
  }

  private send(connection: Connection, way: Way, frame: Uint8Array): void {
    const bytes = Uint8Array.from(frame)
    const from = way === 0 ? connection.dealer : connection.listener?.process
    if (from === undefined || connection.over[way]) return
    this.laws.sent(connection, way, bytes)
    this.tell(connection, way, bytes)
    if (this.past[way].length < 300) this.past[way].push({ bytes, job: jobOf(from) })
    if (this.random.chance(this.knobs.loss)) return
    this.carry(connection, way, bytes)
    if (this.random.chance(this.knobs.duplicate)) this.carry(connection, way, bytes)
  }

  private carry(connection: Connection, way: Way, bytes: Uint8Array): void {
    const { dealer, listener } = connection
    const here = listener!.process.node
    const [from, to] = way === 0 ? [dealer.node, here] : [here, dealer.node]
    if (this.isCut(from, to)) {
      connection.held[way].push(bytes)
      return
    }
    let at = this.world.now + this.delay(from, to) + (this.world.current?.spent ?? 0)
    if (!this.random.chance(this.knobs.reorder)) at = Math.max(at, connection.last[way])
    connection.last[way] = Math.max(at, connection.last[way])
    connection.waiting[way]++
    const receiver = way === 0 ? listener!.process : dealer
    this.world.at(at, receiver, () => {
      connection.waiting[way]--
      this.arrive(connection, way, bytes)
    })
  }

  private arrive(connection: Connection, way: Way, bytes: Uint8Array): void {
    const other = way === 0 ? 1 : 0
    if (connection.over[other]) return
    if (way === 1) connection.dealerOptions.onFrame(Buffer.from(bytes))
    else {
      this.laws.expectRefusal(connection, bytes)
      connection.listener!.options.onFrame(idOf(connection), Buffer.from(bytes))
    }
  }

  /** One end is gone or closes: the other learns of it, unless a cut keeps the news. */
  private end(connection: Connection, by: Way, why: string): void {
    if (connection.over[by]) return
    connection.over[by] = true
    const { dealer, listener } = connection
    const other = by === 0 ? 1 : 0
    if (by === 1) this.world.after(1, dealer, () => this.down(connection, why))
    else if (listener !== null) listener.connections.delete(connection)
    if (by === 0 || connection.over[other]) this.connections.delete(connection)
  }

  private down(connection: Connection, why: string): void {
    if (connection.over[0]) return
    connection.over[0] = true
    connection.listener?.connections.delete(connection)
    this.connections.delete(connection)
    connection.dealerOptions.onDown(why)
  }

  // --- faults

  isCut(from: Node, to: Node): boolean {
    return from !== to && (this.cuts.get(`${from.name}>${to.name}`) ?? 0) > 0
  }

  /** Frames wait in the sender's kernel; heartbeats end the connection when it lasts. */
  cut(from: Node, to: Node, ms: number): void {
    const way = `${from.name}>${to.name}`
    this.cuts.set(way, (this.cuts.get(way) ?? 0) + 1)
    this.world.tell('network', `${way} is cut`)
    const concerned = [...this.connections].filter((one) => this.passes(one, from, to))
    this.world.after(HEARTBEAT_TIMEOUT_MS, null, () => {
      if (!this.isCut(from, to)) return
      for (const one of concerned) this.reset(one)
    })
    this.world.after(ms, null, () => {
      if (!this.isCut(from, to)) return
      this.cuts.set(way, this.cuts.get(way)! - 1)
      this.world.tell('network', `${way} is whole`)
      for (const one of this.connections) this.release(one)
    })
  }

  /** Every cut is over. */
  heal(): void {
    this.cuts.clear()
    for (const one of this.connections) this.release(one)
  }

  private passes({ dealer, listener }: Connection, from: Node, to: Node): boolean {
    const other = listener?.process.node
    return (dealer.node === from && other === to) || (dealer.node === to && other === from)
  }

  private release(connection: Connection): void {
    if (connection.listener === null) return
    for (const way of [0, 1] as const) {
      for (const bytes of connection.held[way].splice(0)) this.carry(connection, way, bytes)
    }
  }

  /** What is on its way is lost with the connection, as far as it was not read yet. */
  reset(connection: Connection): void {
    if (connection.over[0]) return
    this.end(connection, 1, 'reset')
  }

  resetAll(): void {
    this.world.tell('network', 'resets all connections')
    for (const connection of [...this.connections]) this.reset(connection)
  }

  /** What an earlier holder said, or was told, arrives now. It may claim more than anybody knows of. */
  ghost(): void {
    const living = [...this.connections].filter(({ up, over }) => up && !over[0] && !over[1])
    const way = this.random.chance(0.7) ? 1 : 0
    if (living.length === 0) return
    const connection = this.random.pick(living)
    // Another job has another secret.
    const past = this.past[way].filter(({ job }) => job === jobOf(connection.dealer))
    if (past.length === 0) return
    const bytes = aged(this.random.pick(past).bytes, this.random)
    this.world.tell('network', `an old frame appears: ${inWords(bytes)}`)
    const receiver = way === 1 ? connection.dealer : connection.listener!.process
    this.world.after(1, receiver, () => this.arrive(connection, way, bytes))
  }

  private tell(connection: Connection, way: Way, bytes: Uint8Array): void {
    const { world } = this
    world.mix(bytes.length * 31 + (bytes.at(-1) ?? 0))
    if (!world.keepTranscript || bytes[1] === FRAME_TYPES.BEAT) return
    const { dealer, listener } = connection
    const [from, to] = way === 0 ? [dealer, listener!.process] : [listener!.process, dealer]
    world.tell(from.name, `→ ${to.name} ${inWords(bytes)}`)
  }
}

/** The same frame of a term before; the holder of that term may have had more than its successor has. */
function aged(bytes: Uint8Array, random: Random): Uint8Array {
  const { type, term, body } = decodeFrame(bytes)
  const before = Math.max(0, term - 1)
  if (type === 'ACK') return encodeFrame(type, before, { ...body, seq: body.seq + random.below(6) })
  return encodeFrame(type, before, body as never)
}

function idOf({ id }: Connection): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(id)
  return bytes
}

