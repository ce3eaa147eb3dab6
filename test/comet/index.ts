/**
 * A stand-in for a Comet server, from research/comet-wire.md and comet.md: strict, counting, and unwell on
 * demand; see README.md.
 *
 * In: HTTP of Comet's clients, on loopback. Out: what the sheets say the server answers; for tests, a desk
 * that tells what is held and what arrived. Invariants: each request is in the log, with a fault or an
 * answer; what the sheets say is refused is refused; what is refused is not stored; no key is in the log.
 * It does not survive its process, and says nothing about the hosted service.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { readAll } from './body.ts'
import { deskOf, type Desk } from './desk.ts'
import { dispatch, kindOf } from './dispatch.ts'
import { Budgets, defaults, Faults, type Knobs, type Rule } from './knobs.ts'
import { RequestLog, type Entry } from './log.ts'
import { World } from './model.ts'
import { Refusal } from './refusals.ts'

export interface Options {
  /** Of faults and of the ids that the server gives (1). */
  seed?: number
  /** 127.0.0.1, and any free port. */
  host?: string
  port?: number
  knobs?: Partial<Knobs>
}

interface Answer { status: number; headers: Record<string, string>; body: string | Buffer }

export class StandIn {
  readonly log = new RequestLog()
  readonly world: World
  readonly desk: Desk
  knobs: Knobs
  readonly #faults: Faults
  readonly budgets = new Budgets()
  readonly #sockets = new Set<Socket>()
  readonly #waits = new Set<NodeJS.Timeout>()
  readonly #host: string
  #port: number
  #server: Server | null = null

  constructor({ seed = 1, host = '127.0.0.1', port = 0, knobs = {} }: Options) {
    this.knobs = { ...defaults(), ...knobs }
    this.world = new World(seed, () => this.knobs)
    this.#faults = new Faults(seed)
    this.#faults.use(this.knobs.faults)
    this.#host = host
    this.#port = port
    this.desk = deskOf(this)
  }

  /** Without a path; what goes into COMET_URL_OVERRIDE is `url + '/clientlib/'`. */
  get url(): string {
    return `http://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.#port}`
  }

  async listen(): Promise<void> {
    const server = createServer((request, response) => { void this.#handle(request, response) })
    // A connection that this end closes while a request is on its way is a fault that nobody asked for.
    server.keepAliveTimeout = KEPT_MS
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    await new Promise<void>((done, fail) => {
      server.once('error', fail)
      server.listen(this.#port, this.#host, done)
    })
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
  }

  /** Connections are cut; new ones are refused. */
  async close(): Promise<void> {
    const server = this.#server
    if (!server) return
    this.#server = null
    for (const wait of this.#waits) clearTimeout(wait)
    const closed = new Promise<void>((done) => { server.close(() => { done() }) })
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async set(patch: Partial<Knobs>): Promise<void> {
    const unknown = Object.keys(patch).find((name) => !Object.hasOwn(this.knobs, name))
    if (unknown !== undefined) throw new Error(`no knob ${unknown}`)
    this.knobs = { ...this.knobs, ...patch }
    if (patch.faults) this.#faults.use(patch.faults)
    if (this.knobs.down) await this.close()
    else if (!this.#server) await this.listen()
  }

  clear(): void {
    this.world.clear()
    this.log.clear()
    this.budgets.clear()
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://stand-in')
    // Bases are joined by hand in many clients: an empty segment is no other path.
    url.pathname = url.pathname.replace(/\/{2,}/g, '/')
    const entry = this.log.begin(request.method ?? '?', url.pathname)
    entry.kind = kindOf(entry.method, entry.path.slice(1))
    const wire = await readAll(request)
    if (!wire) return this.#finish(entry, 'cut')
    entry.bytes = wire.length
    const rule = this.#faults.strike(entry, wire)
    if (rule) entry.fault = `${rule.kind}${rule.after === true ? ' after' : ''}`
    if (rule?.kind === 'slow') await this.#wait(rule.ms ?? 0)
    const early = rule !== null && rule.kind !== 'slow' && rule.after !== true
    const answer = early ? null : this.#answer({ request, url, wire }, entry)
    if (rule !== null && rule.kind !== 'slow') await this.#fault(rule, request, response, entry)
    else this.#send(response, entry, answer!)
  }

  #answer(arrived: Parameters<typeof dispatch>[0], entry: Entry): Answer {
    try {
      const { world, knobs } = this
      const answer = dispatch(arrived, entry, { world, knobs, budgets: this.budgets })
      if (Buffer.isBuffer(answer)) return { status: 200, headers: BYTES_TYPE, body: answer }
      return { status: 200, headers: JSON_TYPE, body: answer === null ? '' : JSON.stringify(answer) }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { status, code, message, headers } = error
      entry.code = code ?? null
      entry.msg = message
      return { status, headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(error.answer) }
    }
  }

  async #fault(rule: Rule, request: IncomingMessage, response: ServerResponse, entry: Entry): Promise<void> {
    if (rule.kind === 'answer') {
      const status = rule.status ?? 500
      const body = rule.body ?? JSON.stringify({ msg: `a fault of ${status}`, code: status })
      return this.#send(response, entry, { status, headers: { ...JSON_TYPE, ...rule.headers }, body })
    }
    if (rule.kind === 'hang') {
      if (rule.ms === undefined) return
      await this.#wait(rule.ms)
    }
    this.#finish(entry)
    request.socket.resetAndDestroy()
  }

  #send(response: ServerResponse, entry: Entry, { status, headers, body }: Answer): void {
    if (response.destroyed) return this.#finish(entry, 'cut')
    entry.status = status
    response.sendDate = false
    const date = new Date(Date.now() + this.knobs.dateSkewMs).toUTCString()
    response.writeHead(status, { ...headers, 'Date': date, 'Content-Length': Buffer.byteLength(body) })
    response.end(body)
    this.#finish(entry)
  }

  #finish(entry: Entry, fault = entry.fault): void {
    entry.fault = fault
    entry.ms = Date.now() - entry.at
  }

  #wait(ms: number): Promise<void> {
    return new Promise((done) => {
      const wait = setTimeout(() => {
        this.#waits.delete(wait)
        done()
      }, ms)
      this.#waits.add(wait)
    })
  }
}

const KEPT_MS = 600_000
const JSON_TYPE = { 'Content-Type': 'application/json' }
const BYTES_TYPE = { 'Content-Type': 'application/octet-stream' }

/** In this process; `close()` it. */
export async function startStandIn(options: Options = {}): Promise<StandIn> {
  const standIn = new StandIn(options)
  if (!standIn.knobs.down) await standIn.listen()
  return standIn
}
