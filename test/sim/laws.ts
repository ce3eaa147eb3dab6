/**
 * What must hold after every event, told by what goes over the wire, to the disk and into the ledger.
 *
 * In: every frame, append, trim, removal and lock. Out: a Violation that names the law.
 * Invariants: it keeps its own account and asks nothing of the code under test but how bytes are read.
 */
import { scanEntries } from '../../lib/agent/core-spool.ts'
import type { SealBody } from '../../lib/aggregator/core-types.ts'
import type { Departure, Origin } from '../../lib/record/index.ts'
import type { OutboxNote } from '../../lib/session/core-standing.ts'
import type { SessionNote } from '../../lib/session/index.ts'
import { decodeFrame, FRAME_TYPES, peekBatch, type Hello } from '../../lib/wire/index.ts'
import type { File } from './disk.ts'
import type { Connection } from './net.ts'
import type { Journal } from './seams/journal.ts'
import type { LedgerFile } from './seams/ledger.ts'
import { DeliveryLaw } from './delivery-law.ts'
import { KeyLaw } from './key-law.ts'
import { LivesLaw } from './lives-law.ts'
import { SealLaw } from './seal-law.ts'
import { spoolOf } from './words.ts'
import type { Process, World } from './world.ts'

/** What a ledger holds, by the laws' own account. */
interface Account {
  durable: Map<string, number>
  ended: Set<string>
  /** Whose END says that it holds. */
  final: Set<string>
  term: number
  session: SessionNote | null
  /** Points that its skips say are lost, by instance. */
  skipped: Map<string, number>
}

export class Laws {
  readonly ledgers: LedgerFile[] = []
  readonly journals = new Map<string, Journal>()
  shortReads = false
  readonly seals = new SealLaw(this)
  readonly delivery = new DeliveryLaw(this)
  readonly keys: KeyLaw
  readonly lives = new LivesLaw(this)
  /** How the tracker behind the backend does, as chances per call. */
  tracker = { busy: 0, fails: 0, hangs: 0, stores: 0 }
  /** Directory of the locks, and where the wall clock is no measure: then no key's rest is judged. */
  lockDir = ''
  clocksLie = false
  private readonly world: World
  private readonly accounts = new Map<LedgerFile, Account>()
  /** Who writes which ledger. */
  private readonly writers = new Map<Process, LedgerFile>()
  /** Highest seq sent on a connection, by connection and instance. */
  private readonly sentTo = new WeakMap<Connection, Map<string, number>>()
  private readonly termsOf = new Map<Process, { ledger: string; term: number }>()

  constructor(world: World) {
    this.world = world
    this.keys = new KeyLaw(this, world)
    world.whenShmGoes = (shm) => {
      for (const one of shm.objects.values()) this.gone.set(one as Journal, this.safe(one as Journal))
    }
  }

  broken(law: string, message: string): never {
    return this.world.broken(law, message)
  }

  account(file: LedgerFile): Account {
    let account = this.accounts.get(file)
    if (account === undefined) {
      account = {
        durable: new Map(), ended: new Set(), final: new Set(), term: 0, session: null, skipped: new Map(),
      }
      this.accounts.set(file, account)
    }
    return account
  }

  durable(instance: string): number {
    return Math.max(0, ...this.ledgers.map((file) => this.account(file).durable.get(instance) ?? 0))
  }

  /** Who joined and has no END. */
  unended(): string[] {
    return this.ledgers.flatMap((file) => {
      const { durable, ended } = this.account(file)
      return [...durable.keys()].filter((instance) => !ended.has(instance))
    })
  }

  ended(instance: string): boolean {
    return this.ledgers.some((file) => this.account(file).final.has(instance))
  }

  // --- ledger

  appended(file: LedgerFile, from: number, process: Process): void {
    this.oneWriter(file, process)
    this.writers.set(process, file)
    const account = this.account(file)
    for (const entry of file.entries.slice(from)) {
      if (entry.type === 'batch') {
        const { instance, firstSeq, lastSeq } = entry
        this.next(account, instance, firstSeq, lastSeq)
        this.seals.took(file, instance, firstSeq, lastSeq)
      } else {
        this.noted(file, entry.kind, entry.body as never, process)
        this.seals.noted(file, entry.kind, entry.body as never)
      }
    }
    this.world.mix(file.entries.length)
  }

  private oneWriter(file: LedgerFile, process: Process): void {
    const disk = file.path.startsWith('/shared') ? this.world.shared : process.node.disk
    const fence = disk.locks.get(file.path.replace('ledger.sqlite', 'term.lock'))
    if (fence?.holder === process || (process.leaseLost && fence?.holder === null)) return
    this.broken('one aggregator writes a ledger', `${process.name} writes ${file.path} without its lock`)
  }

  private next(account: Account, instance: string, first: number, last: number): void {
    const durable = account.durable.get(instance)
    if (durable === undefined) {
      return this.broken('seq without gap', `${instance} is in the ledger before it joined`)
    }
    if (first !== durable + 1) {
      this.broken('seq without gap', `${instance}: records ${first}-${last} follow ${durable} in the ledger`)
    }
    account.durable.set(instance, last)
  }

  private noted(file: LedgerFile, kind: string, body: Record<string, unknown>, process: Process): void {
    const account = this.account(file)
    const { instance } = body as { instance: string }
    if (kind === 'joined') {
      const { origin, first } = body as { origin: Origin; first: number }
      this.lives.joined(origin)
      if (!account.durable.has(origin.instance)) account.durable.set(origin.instance, first - 1)
    } else if (kind === 'skip') {
      this.next(account, instance, body['from'] as number, body['to'] as number)
      const points = Object.values(body['points'] as Record<string, number>).reduce((a, b) => a + b, 0)
      account.skipped.set(instance, (account.skipped.get(instance) ?? 0) + points)
    } else if (kind === 'ended') {
      account.ended.add(instance)
      const { cause } = body['departure'] as Departure
      if (cause === 'node-lost' && body['estimated'] !== true) {
        this.broken('books balanced', `${instance} went with its node, and is not said to be estimated`)
      }
      if (body['estimated'] !== true) this.endOf(account, instance, body['seq'] as number)
    } else if (kind === 'term') {
      const term = body['term'] as number
      if (term <= account.term) {
        this.broken('term never falls', `term ${term} after ${account.term} in the ledger`)
      }
      account.term = term
    } else if (kind === 'outbox') {
      this.delivery.noted(file.path, body as unknown as OutboxNote)
    } else if (kind === 'conflict') {
      this.rivals(instance, body['holder'] as string)
    } else if (kind === 'seal') {
      this.seals.check(file, body as unknown as SealBody)
    } else if (kind === 'session') {
      account.session = body as unknown as SessionNote
      if (account.session.state === 'draining') this.overFor(account, process)
      this.world.tell(process.name, `session ${account.session.state} ${account.session.status ?? ''}`)
    }
  }

  /** Only who lived at the same time is a rival; clocks of nodes may differ, but not by as much as lives. */
  private rivals(instance: string, holder: string): void {
    const [one, other] = [this.journals.get(instance), this.journals.get(holder)]
    if (one === undefined || other === undefined || this.clocksLie) return
    const together = one.owner.bornAt < other.owner.diedAt && other.owner.bornAt < one.owner.diedAt
    if (together) return
    const why = `${instance} is rejected, but ${holder} was not there with it`
    this.broken('no heir is taken for a rival', why)
  }

  private overFor({ durable }: Account, process: Process): void {
    for (const instance of durable.keys()) {
      const journal = this.journals.get(instance)
      if (journal === undefined || !journal.owner.alive || journal.closed || this.clocksLie) continue
      this.broken('a run ends after its ranks', `${process.name} drains while the owner of ${instance} lives`)
    }
  }

  private endOf(account: Account, instance: string, seq: number): void {
    const durable = account.durable.get(instance) ?? 0
    const law = 'END follows the last record'
    if (seq > durable) this.broken(law, `${instance} ended at ${seq}, durable ${durable}`)
    const journal = this.journals.get(instance)
    const owner = journal?.owner
    if (owner !== undefined && owner.alive && !journal!.closed) {
      this.broken(law, `${instance} has its END while its owner lives`)
    }
    if (journal !== undefined && !this.gone.has(journal) && seq < journal.sender.seq) {
      this.broken(law, `${instance} ended at ${seq}, but wrote ${journal.sender.seq}`)
    }
    account.final.add(instance)
  }

  // --- wire

  sent(connection: Connection, way: 0 | 1, bytes: Uint8Array): void {
    const type = bytes[1]
    if (way === 1) return this.answered(connection, type!, bytes)
    const { dealer } = connection
    if (type === FRAME_TYPES.BATCH) {
      const { instance, firstSeq, lastSeq } = peekBatch(bytes.subarray(8, bytes.length - 4))
      this.inRow(connection, instance, firstSeq, lastSeq)
    } else if (type === FRAME_TYPES.SKIP) {
      const { body } = decodeFrame(bytes) as { body: { instance: string; from: number; to: number } }
      this.inRow(connection, body.instance, body.from, body.to)
    }
    if (type === FRAME_TYPES.HELLO) {
      this.lives.announced(connection, decodeFrame(bytes).body as Hello, this.world.now)
    }
    if (type === FRAME_TYPES.END) {
      const { instance, seq } = decodeFrame(bytes).body as { instance: string; seq: number }
      const sent = this.sentTo.get(connection)?.get(instance) ?? 0
      if (seq > Math.max(sent, this.durable(instance))) {
        this.broken('no gap on the wire', `${instance}: END ${seq} after ${sent} on one connection`)
      }
    }
    if (type === FRAME_TYPES.BEAT) {
      const { term } = decodeFrame(bytes)
      const known = this.termsOf.get(dealer)
      const file = this.writers.get(connection.listener!.process)
      if (known !== undefined && file?.id === known.ledger && term < known.term) {
        this.broken('term never falls', `${dealer.name} speaks of term ${term} after ${known.term}`)
      }
      if (file !== undefined) this.termsOf.set(dealer, { ledger: file.id, term })
    }
  }

  /** What is sent after a WELCOME has no gap: it may go back, but never leap ahead. */
  private inRow(connection: Connection, instance: string, first: number, last: number): void {
    const sent = this.sentTo.get(connection) ?? new Map<string, number>()
    this.sentTo.set(connection, sent)
    const before = sent.get(instance)
    if (before !== undefined && first > Math.max(before, this.durable(instance)) + 1) {
      this.broken('no gap on the wire', `${instance}: ${first}-${last} follow ${before} on one connection`)
    }
    sent.set(instance, Math.max(before ?? 0, last))
  }

  /** Whoever is welcomed goes on after what is durable. */
  private begin(connection: Connection, instances: readonly { instance: string; acked: number }[]): void {
    const sent = this.sentTo.get(connection) ?? new Map<string, number>()
    this.sentTo.set(connection, sent)
    for (const { instance, acked } of instances) if (!sent.has(instance)) sent.set(instance, acked)
  }

  /** A frame of another term is on its way to a head: it must be refused in the same event. */
  expectRefusal(connection: Connection, bytes: Uint8Array): void {
    const { process } = connection.listener!
    const file = this.writers.get(process)
    // Who has hung up hears no refusal; who lost its lease knows of the other term from a transaction.
    const isLate = process.leaseLost || connection.over[0]
    if (file === undefined || bytes[1] === FRAME_TYPES.HELLO || isLate) return
    if (decodeFrame(bytes).term !== this.account(file).term) this.refusalDue = connection
  }

  private refusalDue: Connection | null = null

  private answered(connection: Connection, type: number, bytes: Uint8Array): void {
    if (type === FRAME_TYPES.REFUSE && this.refusalDue === connection) this.refusalDue = null
    if (type !== FRAME_TYPES.ACK && type !== FRAME_TYPES.WELCOME) return
    const { process } = connection.listener!
    const file = this.writers.get(process)
    const law = 'ack ≤ durable'
    if (file === undefined) return this.broken(law, `${process.name} answers without a ledger`)
    const account = this.account(file)
    const frame = decodeFrame(bytes)
    if (frame.type === 'WELCOME') {
      this.begin(connection, frame.body.instances)
      this.lives.welcomed(connection, frame.body.instances)
    }
    // Who lost its lease may say what is durable, under its own term, until a transaction fails.
    if (frame.term !== account.term && process.role === 'aggregator' && !process.leaseLost) {
      const terms = `${frame.term}, its ledger has ${account.term}`
      this.broken('term never falls', `${process.name} speaks under term ${terms}`)
    }
    const claim = (instance: string, seq: number): void => {
      const durable = account.durable.get(instance) ?? 0
      if (seq > durable) {
        this.broken(law, `${process.name} acknowledges ${instance} to ${seq}, durable ${durable}`)
      }
    }
    if (frame.type === 'ACK') {
      const { instance, seq, ended } = frame.body
      claim(instance, seq)
      if (ended === true && !account.ended.has(instance)) {
        this.broken(law, `END of ${instance} is not durable`)
      }
    } else if (frame.type === 'WELCOME') {
      for (const one of frame.body.instances) if (one.accepted) claim(one.instance, one.acked)
    }
  }

  // --- journal

  /** Journals that went with the power of their node, and the last seq that was safe by then. */
  readonly gone = new Map<Journal, number>()

  /** Only what a ledger or a synced spool has may go. */
  trimmed(journal: Journal, seq: number): void {
    const { instance } = journal.sender
    const safe = this.safe(journal)
    if (seq > safe) {
      this.broken('trim ≤ acked or synced', `${instance} is trimmed to ${seq}, safe is ${safe}`)
    }
  }

  removed(journal: Journal): void {
    const { instance, seq } = journal.sender
    if (journal.owner.alive && !journal.closed) {
      this.broken('a journal goes last', `the journal of ${instance} goes, its owner lives`)
    }
    if (this.ended(instance)) return
    if (this.safe(journal) < seq) {
      this.broken('a journal goes last', `the journal of ${instance} goes at ${seq}`)
    }
  }

  private safe(journal: Journal): number {
    const { instance, seq } = journal.sender
    let safe = Math.max(this.durable(instance), journal.trimmed)
    if (safe >= seq) return safe
    const spooled = [journal.owner.node.disk, this.world.shared].flatMap((disk) => spoolOf(disk, instance))
    for (const [first, last] of spooled.sort((a, b) => a[0] - b[0])) {
      if (first <= safe + 1) safe = Math.max(safe, last)
    }
    return safe
  }

  // --- after every event

  check(): void {
    if (this.refusalDue !== null) {
      const { process } = this.refusalDue.listener!
      this.refusalDue = null
      const what = `${process.name} takes a frame of another term`
      if (process.alive) this.broken('other terms are refused', what)
    }
    for (const [process, file] of this.writers) {
      if (process.alive) this.keys.check(process, file)
      else this.writers.delete(process)
    }
    if (this.spooled.size > 0) this.wholeSpool()
  }

  /** Spool files that the present event wrote to, by whom. */
  readonly spooled = new Map<string, { file: File; process: Process }>()

  /** Whoever lives to see a write fail takes back what is half there. */
  private wholeSpool(): void {
    for (const [path, { file, process }] of this.spooled) {
      const instance = path.split('/').at(-1)!.slice(0, 32)
      const bytes = file.bytes.subarray(0, file.size)
      if (!process.alive || scanEntries(instance, bytes).damaged === 0) continue
      this.broken('no torn write stays', `${process.name} left half an entry in ${path}`)
    }
    this.spooled.clear()
  }

  delivered(path: string, text: string): void {
    const dir = path.slice(0, path.lastIndexOf('/'))
    const ledger = this.ledgers.find((file) => file.path.startsWith(`${dir}/`))
    this.delivery.take(dir, text, ledger, this.world.current?.leaseLost === true)
  }
}
