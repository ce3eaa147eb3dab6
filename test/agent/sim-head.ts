import type { UplinkEffect, UplinkEvent } from '../../lib/agent/core-uplink.ts'
import { UplinkCore } from '../../lib/agent/core-uplink.ts'

/** mulberry32: the whole run follows from one seed. */
export function randomOf(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

interface Announced { instance: string; rank: number; first: number }

type Up =
  | { type: 'hello'; instances: Announced[] }
  | { type: 'unit'; instance: string; first: number; last: number }
  | { type: 'end'; instance: string; last: number }

interface Book {
  rank: number
  taken: number
  durable: number
  seqs: number[]
  ended: boolean
  endTaken: boolean
}

/**
 * A head as core-admit has it: takes whole units, in order, once; what it took is durable only after a
 * commit.
 */
export class SimHead {
  books = new Map<string, Book>()
  readonly conflicts: string[] = []
  readonly ledger: string
  term = 1
  /** Of its next answer to a HELLO, ms. */
  trip = 0
  #after: (() => void)[] = []

  constructor(ledger: string) {
    this.ledger = ledger
  }

  take(frame: Up, answer: (event: UplinkEvent) => void): void {
    if (frame.type === 'hello') return this.#hello(frame.instances, answer)
    const book = this.books.get(frame.instance)
    if (!book) return
    if (frame.type === 'end') {
      if (book.taken < frame.last) return
      book.endTaken = true
      this.#after.push(() => answer({
        type: 'ack', term: this.term, body: { instance: frame.instance, seq: book.durable, ended: true },
      }))
      return
    }
    const ack = (): void =>
      answer({ type: 'ack', term: this.term, body: { instance: frame.instance, seq: book.durable } })
    if (frame.last <= book.taken) return void this.#after.push(ack)
    if (frame.first !== book.taken + 1) return void this.#after.push(ack)
    for (let seq = frame.first; seq <= frame.last; seq++) book.seqs.push(seq)
    book.taken = frame.last
    this.#after.push(ack)
  }

  commit(): void {
    for (const book of this.books.values()) {
      book.durable = book.taken
      book.ended = book.endTaken
    }
    for (const after of this.#after.splice(0)) after()
  }

  /** Killed and started again: what was not committed is forgotten. */
  restart(): void {
    this.term++
    this.#after = []
    for (const book of this.books.values()) {
      book.seqs.length = book.seqs.findLastIndex((seq) => seq <= book.durable) + 1
      book.taken = book.durable
      book.endTaken = book.ended
    }
  }

  #hello(instances: Announced[], answer: (event: UplinkEvent) => void): void {
    for (const { instance, rank, first } of instances) {
      if (this.books.has(instance)) continue
      for (const [other, book] of this.books) {
        if (book.rank === rank && !book.endTaken) this.conflicts.push(`${instance} while ${other}`)
      }
      // A ledger that is new to this instance books what another ledger acknowledged as a hole.
      this.books.set(instance, {
        rank, taken: first - 1, durable: first - 1, seqs: [], ended: false, endTaken: false,
      })
    }
    this.#after.push(() => answer({
      type: 'welcome', term: this.term, trip: this.trip,
      body: {
        run: 'r', ledger: this.ledger, term: this.term, key: null, dir: '/r', sentAt: 0, now: 0, credit: 500,
        instances: instances.map(({ instance }) => ({
          instance, acked: this.books.get(instance)!.durable, accepted: true,
        })),
      },
    }))
  }
}

interface Owner { rank: number; written: number; trimmed: number; alive: boolean; done: boolean }

/** One agent core, one head and the wire between, all driven by one random stream. */
export class Sim {
  readonly core: UplinkCore
  readonly owners = new Map<string, Owner>()
  readonly says: UplinkEffect[] = []
  head = new SimHead('ledger-0')
  now = 0
  connects = 0
  #random: () => number
  /** Frames under way, oldest first; `via` is the connection they belong to. */
  #up: { via: number; frame: Up }[] = []
  #down: { via: number; event: UplinkEvent }[] = []
  #via = 0
  #headAt = 0
  #linked = false

  constructor(seed: number) {
    this.#random = randomOf(seed)
    this.core = new UplinkCore(this.#random)
  }

  pick(n: number): number {
    return Math.floor(this.#random() * n)
  }

  feed(event: UplinkEvent): void {
    for (const effect of this.core.handle(event, this.now)) this.#carry(effect)
  }

  start(instance: string, rank: number): void {
    this.owners.set(instance, { rank, written: 0, trimmed: 0, alive: true, done: false })
    this.feed({ type: 'found', instance, rank, startedAt: this.now++, dead: false })
  }

  die(instance: string): void {
    const owner = this.owners.get(instance)!
    if (!owner.alive) return
    owner.alive = false
    this.feed({ type: 'dead', instance })
    this.feed({ type: 'complete', instance, last: owner.written })
  }

  /** Sends what may be sent, in units of random size. */
  pump(): void {
    for (const instance of this.core.turns()) {
      const owner = this.owners.get(instance)!
      const first = this.core.cursor(instance)
      if (first > owner.written) continue
      const last = Math.min(owner.written, first + this.pick(7))
      const bytes = (last - first + 1) * 20
      if (!this.core.mayFly(bytes)) continue
      if (first <= owner.trimmed) throw new Error(`unit from ${first}, trimmed ${owner.trimmed}`)
      this.#up.push({ via: this.#via, frame: { type: 'unit', instance, first, last } })
      this.feed({ type: 'sent', instance, first, last, bytes })
    }
  }

  /** One frame arrives at the head; `again`: it stays under way and arrives once more later. */
  arriveUp(again = false): void {
    const next = again ? this.#up[0] : this.#up.shift()
    if (!next) return
    const { via, frame } = next
    this.head.take(frame, (event) => this.#down.push({ via, event }))
  }

  arriveDown(): void {
    const next = this.#down.shift()
    if (next && this.#linked && next.via === this.#via) this.feed(next.event)
  }

  /** The connection breaks: a random tail of what is under way is lost, the rest arrives late. */
  cut(): void {
    this.#up.splice(this.pick(this.#up.length + 1))
    this.#linked = false
    this.feed({ type: 'down', why: 'cut' })
  }

  restartHead(fresh: boolean): void {
    this.#up = []
    this.#down = []
    if (fresh) {
      const term = this.head.term
      this.head = new SimHead(`ledger-${this.now}`)
      this.head.term = term
    }
    this.head.restart()
    this.#headAt++
    this.#linked = false
    this.feed({ type: 'down', why: 'head killed' })
  }

  tick(ms: number): void {
    this.now += ms
    this.feed({ type: 'head', at: `head-${this.#headAt}` })
    if (this.core.live) this.feed({ type: 'beat', term: this.head.term })
  }

  /** No more faults: everything must come to rest. */
  settle(): void {
    for (const instance of this.owners.keys()) this.die(instance)
    for (let round = 0; round < 2000; round++) {
      this.tick(60)
      this.pump()
      while (this.#up.length > 0) this.arriveUp()
      this.head.commit()
      while (this.#down.length > 0) this.arriveDown()
      if ([...this.owners.values()].every((owner) => owner.done)) return
    }
    throw new Error('did not come to rest')
  }

  #carry(effect: UplinkEffect): void {
    if (effect.do === 'connect') {
      this.connects++
      this.#via++
      this.#linked = true
      // Up at once; what is far asks for the time first, and again where that took long.
      this.head.trip = this.pick(3) * 90
      this.feed({ type: 'up', far: this.pick(2) === 0 })
    } else if (effect.do === 'hello') {
      const instances = effect.instances.map(({ instance }) => {
        const owner = this.owners.get(instance)!
        return { instance, rank: owner.rank, first: owner.trimmed + 1 }
      })
      this.#up.push({ via: this.#via, frame: { type: 'hello', instances } })
    } else if (effect.do === 'end') {
      const { written } = this.owners.get(effect.instance)!
      this.#up.push({ via: this.#via, frame: { type: 'end', instance: effect.instance, last: written } })
    } else if (effect.do === 'acked') {
      const owner = this.owners.get(effect.instance)!
      owner.trimmed = Math.max(owner.trimmed, effect.seq)
    } else if (effect.do === 'done') {
      this.owners.get(effect.instance)!.done = true
    } else {
      this.says.push(effect)
    }
  }
}
