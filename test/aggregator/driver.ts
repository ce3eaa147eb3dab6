/**
 * A whole job in one process, on a clock of its own: N senders, a network that drops, repeats, delays and
 * reorders, an aggregator that crashes and replays, ranks that die and come back. Everything random comes
 * from one seed.
 *
 * The aggregator's part is the real admit and the real State; its ledger is in memory. What the run must have
 * come to is asked of oracle.ts and of the law keeper below, which know nothing of the code under test.
 */
import { admit } from '../../lib/aggregator/core-admit.ts'
import type { NoteDraft, SealBody } from '../../lib/aggregator/core-types.ts'
import type { EntryDraft } from '../../lib/ledger/index.ts'
import { Kind } from '../../lib/record/index.ts'
import { Desk } from './desk.ts'
import { Sender, originOf } from './sender.ts'

export interface Knobs {
  seed: number
  ranks: number
  /** Ticks of logging; one tick is TICK ms. */
  ticks: number
  /** Chances per message. */
  drop: number
  repeat: number
  /** Longest delay of a message, ms; differing delays reorder. */
  delay: number
  /** Chance per tick that the aggregator dies and is started again. */
  restart: number
  /** Chance per tick and rank that a rank dies; its successor starts some steps back. */
  crash: number
  /** Chance per tick that a second process takes the rank of a live one. */
  rival: number
  /** Chance per tick and rank that a sender cannot be heard for some seconds. */
  silence: number
  /** Memory for open rows, bytes. */
  bytesMax: number
}

export const CALM: Knobs = {
  seed: 1, ranks: 4, ticks: 120, drop: 0, repeat: 0, delay: 0, restart: 0, crash: 0, rival: 0, silence: 0,
  bytesMax: 2 ** 30,
}

const TICK = 100

/** RANKZERO_TEST_SEED repeats one failure; RANKZERO_TEST_ROUNDS widens the search. */
const { RANKZERO_TEST_SEED: REPEATED, RANKZERO_TEST_ROUNDS: ROUNDS } = process.env

/** @throws what `check` throws, with the seed that repeats it. */
export function everySeed(from: number, check: (seed: number) => void): void {
  const seeds = Array.from({ length: Number(ROUNDS ?? 5) }, (_, i) => from + i)
  for (const seed of REPEATED === undefined ? seeds : [Number(REPEATED)]) {
    try {
      check(seed)
    } catch (error) {
      throw new Error(`RANKZERO_TEST_SEED=${seed}: ${String(error)}`, { cause: error })
    }
  }
}

const WINDOW = 12

/** mulberry32: small, seeded, good enough to choose. */
export function randomOf(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), a | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A sender with its part of an agent: go-back-N, resend on silence, END when all is acknowledged. */
interface Life {
  sender: Sender
  step: number
  alive: boolean
  joined: boolean
  acked: number
  sent: number
  progressAt: number
  endAcked: boolean
  deadAt: number
  mutedUntil: number
  /** Took a rank that was held. */
  rival: boolean
}

interface Message {
  at: number
  deliver: () => void
}

export class Driver {
  readonly knobs: Knobs
  readonly desk: Desk
  readonly lives: Life[] = []
  readonly keeper: LawKeeper
  private readonly random: () => number
  private wire: Message[] = []
  private queue: { draft: EntryDraft; done: () => void }[] = []
  private readonly cursors = new Map<string, number>()
  private readonly ending = new Set<string>()
  private ids = 0

  constructor(knobs: Partial<Knobs>, desk?: Desk) {
    this.knobs = { ...CALM, ...knobs }
    this.desk = desk ?? new Desk(undefined, this.knobs.bytesMax)
    this.random = randomOf(this.knobs.seed)
    this.keeper = new LawKeeper()
    for (let rank = 0; rank < this.knobs.ranks; rank++) this.start(rank, 0, false)
  }

  get senders(): Sender[] {
    return this.lives.map(({ sender }) => sender)
  }

  /** Runs the job to its end: all delivered, all ended, drained. */
  run(): this {
    for (let tick = 0; tick < this.knobs.ticks; tick++) {
      for (const life of [...this.lives]) if (life.alive) this.train(life)
      this.disturb()
      this.tick()
    }
    for (const life of this.lives) if (life.alive) this.leave(life)
    for (let tick = 0; this.lives.some(({ endAcked }) => !endAcked); tick++) {
      if (tick > 20_000) throw new Error('the job does not come to its end')
      this.tick()
    }
    const { list } = this.desk.ledger
    const before = list.length
    this.desk.drain()
    for (const entry of list.slice(before)) this.keeper.saw(entry, this.lives)
    return this
  }

  private tick(): void {
    const { desk } = this
    desk.now += TICK
    for (const life of this.lives) this.uplink(life)
    const due = this.wire.filter(({ at }) => at <= desk.now).sort((a, b) => a.at - b.at)
    this.wire = this.wire.filter(({ at }) => at > desk.now)
    for (const { deliver } of due) deliver()
    this.commit()
    this.decide()
  }

  private train(life: Life): void {
    const { sender } = life
    const { rank } = sender.origin
    const time = this.desk.now
    const chance = this.random()
    if (chance < 0.02) sender.say(Kind.resume, { step: life.step = Math.max(0, life.step - 5) }, time)
    const acc = this.random() < 0.5 ? 1 : this.number()
    const values: Record<string, number> = { loss: this.number(), acc }
    if (rank === 0) values['lr'] = 0.1
    if (life.step % 5 === 0 && rank % 2 === 0) values['val'] = this.number()
    const weight = this.random() < 0.5 ? Math.floor(this.random() * 5) : undefined
    sender.log(values, life.step, { weight, time })
    if (chance > 0.9) sender.log({ acc: this.number() }, life.step, { time })
    if (chance > 0.95) sender.log({ epoch: rank }, Math.floor(life.step / 10), { time })
    if (chance > 0.02) life.step += this.random() < 0.1 ? 3 : 1
  }

  private number(): number {
    const kind = this.random()
    if (kind < 0.02) return NaN
    if (kind < 0.03) return Infinity
    if (kind < 0.04) return -0
    return (this.random() - 0.5) * 10 ** Math.floor(this.random() * 6)
  }

  private disturb(): void {
    const { restart, crash, rival, silence } = this.knobs
    if (this.random() < restart) this.restart()
    for (const life of [...this.lives]) {
      if (life.alive && this.random() < silence) life.mutedUntil = this.desk.now + this.random() * 15_000
      if (!life.alive || life.rival || this.random() >= crash) continue
      life.alive = false
      life.deadAt = this.desk.now
      this.start(life.sender.origin.rank, Math.max(0, life.step - Math.floor(this.random() * 20)), false)
    }
    const victim = this.lives[Math.floor(this.random() * this.lives.length)]!
    if (this.random() < rival && victim.alive) this.start(victim.sender.origin.rank, victim.step, true)
  }

  private start(rank: number, step: number, rival: boolean): void {
    const instance = (++this.ids).toString(16).padStart(4, '0') + '0'.repeat(24)
      + Math.floor(this.random() * 65536).toString(16).padStart(4, '0')
    const startedAt = this.desk.now + this.ids / 1000
    const sender = new Sender(originOf(instance, rank, { startedAt, worldSize: this.knobs.ranks }))
    sender.say(Kind.open, { source: 'test', config: { seed: this.knobs.seed, rank } }, startedAt)
    this.lives.push({
      sender, step, alive: true, joined: false, acked: 0, sent: 0, progressAt: this.desk.now, endAcked: false,
      deadAt: Infinity, mutedUntil: 0, rival,
    })
  }

  private leave(life: Life): void {
    life.alive = false
    life.deadAt = this.desk.now
    life.sender.say(Kind.end, { exit: 0, logged: life.sender.logged, refused: 0 }, this.desk.now)
  }

  /** What the agent of this sender does in a tick. */
  private uplink(life: Life): void {
    const { desk } = this
    const { sender } = life
    if (life.endAcked || desk.now < life.mutedUntil) return
    if (!life.joined) return this.send(life, () => this.hello(life))
    if (this.random() < 0.2) {
      const alive = life.alive
      this.send(life, () => desk.beat(sender, alive, sender.seq - life.acked))
    }
    if (desk.now - life.progressAt > 2000) {
      life.sent = life.acked
      life.progressAt = desk.now
      life.joined = this.random() < 0.7
    }
    const first = life.sent + 1
    const cut = life.sent + 1 + Math.floor(this.random() * WINDOW)
    const last = Math.min(sender.seq, cut, life.acked + 3 * WINDOW)
    if (first <= last) {
      life.sent = last
      const data = sender.blob(first, last)
      this.send(life, () => this.receive(life, first, last, data))
    } else if (!life.alive && life.acked === sender.seq) {
      this.send(life, () => this.end(life))
    }
  }

  private send(life: Life, deliver: () => void): void {
    const { drop, repeat, delay } = this.knobs
    if (this.desk.now < life.mutedUntil || this.random() < drop) return
    this.wire.push({ at: this.desk.now + this.random() * delay, deliver })
    if (this.random() < repeat) this.wire.push({ at: this.desk.now + this.random() * 3 * delay, deliver })
  }

  private hello(life: Life): void {
    const { origin } = life.sender
    const done = (): void => this.send(life, () => {
      life.joined = true
      life.acked = Math.max(life.acked, this.desk.state.acked(origin.instance))
      life.sent = life.acked
    })
    const notes = this.desk.state.join(origin, 1, this.desk.now)
    if (notes.length === 0) done()
    else notes.forEach((draft) => this.queue.push({ draft, done }))
  }

  private receive(life: Life, firstSeq: number, lastSeq: number, data: Uint8Array): void {
    const { instance } = life.sender
    const { state } = this.desk
    if (state.member(instance) === null) return
    const acked = Math.max(this.cursors.get(instance) ?? 0, state.acked(instance))
    const ack = (): void => {
      const seq = this.desk.state.acked(instance)
      this.send(life, () => {
        if (seq <= life.acked) return
        life.acked = seq
        life.sent = Math.max(life.sent, seq)
        life.progressAt = this.desk.now
      })
    }
    if (admit(acked, firstSeq, lastSeq) !== 'take') return ack()
    this.cursors.set(instance, lastSeq)
    const draft = { type: 'batch' as const, at: this.desk.now, instance, firstSeq, lastSeq, data }
    this.queue.push({ draft, done: ack })
  }

  private end(life: Life): void {
    const { instance, seq, logged } = life.sender
    const done = (): void => this.send(life, () => { life.endAcked = true })
    const view = this.desk.state.member(instance)
    if (view === null || view.acked < seq) return
    if (view.ended !== null) return done()
    if (this.ending.has(instance)) return
    this.ending.add(instance)
    const departure = { exit: 0, signal: null, cause: 'pidfd' as const }
    const body = { instance, seq, logged, lost: 0, refused: 0, departure, at: life.deadAt }
    this.queue.push({ draft: { type: 'note', at: this.desk.now, kind: 'ended', body }, done })
  }

  private commit(): void {
    const group = this.queue
    this.queue = []
    this.desk.commit(group.map(({ draft }) => draft))
    for (const { draft } of group) this.keeper.saw(draft, this.lives)
    for (const { done } of group) done()
  }

  private decide(): void {
    const notes = this.desk.decide((note) => this.keeper.check(note, this.desk))
    for (const note of notes) this.keeper.saw(note, this.lives)
  }

  /** What was queued is gone; of what was committed some acknowledgements are. */
  private restart(): void {
    if (this.random() < 0.5) {
      this.desk.commit(this.queue.map(({ draft }) => draft))
      for (const { draft } of this.queue) this.keeper.saw(draft, this.lives)
    }
    this.queue = []
    this.cursors.clear()
    this.ending.clear()
    this.desk.restart()
  }
}

/** Knows from the ledger alone who logged what, and judges every seal by progress. */
export class LawKeeper {
  readonly rejected = new Set<string>()
  private readonly senders = new Map<string, Sender>()
  private readonly upTo = new Map<string, number>()
  private readonly names: string[] = []
  seals = { progress: 0, deadline: 0, memory: 0, drain: 0 }

  saw(draft: EntryDraft, lives: readonly Life[]): void {
    if (draft.type === 'batch') {
      const { sender } = lives.find((life) => life.sender.instance === draft.instance)!
      for (const record of sender.records.slice(draft.firstSeq - 1, draft.lastSeq)) {
        if (record.kind !== Kind.layout) continue
        for (const name of (record.body as { names: string[] }).names) {
          if (!this.names.includes(name)) this.names.push(name)
        }
      }
      this.upTo.set(draft.instance, draft.lastSeq)
      this.senders.set(draft.instance, sender)
    } else if (draft.kind === 'conflict') {
      this.rejected.add((draft.body as { instance: string }).instance)
    }
  }

  check(note: NoteDraft, desk: Desk): void {
    if (note.kind !== 'seal') return
    const body = note.body as SealBody
    this.seals[body.by]++
    if (body.by !== 'progress') return
    for (const { metrics, steps } of body.groups) {
      const top = Math.max(...steps.map(([start, stride, count]) => start + stride * (count - 1)))
      for (const [from, to] of metrics) {
        for (let id = from; id <= to; id++) this.checkRow(this.names[id]!, top, desk)
      }
    }
  }

  /** Every live accepted life of a rank that ever logged the metric is at or past the step. */
  private checkRow(metric: string, step: number, desk: Desk): void {
    const members = desk.state.members().filter(({ state }) => state === 'live' || state === 'ended')
    for (const member of members) {
      const newest = members.filter(({ rank, state }) => rank === member.rank && state === 'live')
        .sort((a, b) => a.attempt - b.attempt).at(-1)
      if (newest === undefined || this.reached(member.instance, metric) === null) continue
      const reached = this.reached(newest.instance, metric) ?? -1
      if (reached >= step) continue
      throw new Error(`${metric} step ${step} sealed by progress, but rank ${member.rank} is at ${reached}`)
    }
  }

  private reached(instance: string, metric: string): number | null {
    const sender = this.senders.get(instance)
    if (sender === undefined) return null
    let reached: number | null = null
    for (const record of sender.records.slice(0, this.upTo.get(instance))) {
      if (record.kind === Kind.resume) {
        const { step } = record.body as { step: number }
        if (reached !== null) reached = Math.min(reached, step - 1)
      } else if (record.kind === Kind.values && sender.layouts[record.layout]!.includes(metric)) {
        reached = Math.max(reached ?? -1, record.step)
      }
    }
    return reached
  }
}
