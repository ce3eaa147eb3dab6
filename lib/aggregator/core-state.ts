/**
 * Room aggregator, its core: all that the aggregator knows, derived from ledger entries in order. Pure.
 *
 * In: entries (`apply`), and the time as an argument of what asks for decisions. Out: notes to append, views.
 * Invariants: `apply` is the only way in, live and on replay, so both agree bit for bit; asking changes
 * nothing. Beats are soft state: they bear on a decision, and the decision is a note.
 * It talks to nobody (index.ts does), and keeps no values of sealed rows (replay.ts reads them).
 */
import { messageOf, RankzeroError } from '../errors.ts'
import { DAMAGES_MAX, SEAL_STEPS_MAX, WORLD_SIZE_MAX } from '../limits.ts'
import { AMEND_AFTER_MS, AMEND_ROWS_MAX } from '../limits-outbox.ts'
import { Kind, REDUCES, type Origin, type Reduce } from '../record/index.ts'
import type { HealthStatus, MetricStatus, NodeStatus, ParamStatus } from '../record/run-status.ts'
import { applyNote, newStanding, type Standing } from '../session/core-standing.ts'
import { Beside } from './core-beside.ts'
import { booksOf } from './core-books.ts'
import { Health } from './core-health.ts'
import { Members, renewCurrent, revive } from './core-members.ts'
import { Merge, pointsFrom } from './core-merge.ts'
import { Metrics } from './core-metrics.ts'
import { isOver, type Family, type Member } from './core-model.ts'
import { Params } from './core-params.ts'
import { jsonOf, sumOf } from './core-payload.ts'
import { Systems } from './core-systems.ts'
import { familiesOf, sealsAll, sealsDue } from './core-seal.ts'
import { RowStream, type TakeRows } from './core-stream.ts'
import { Told } from './core-told.ts'
import type {
  Batch, BeatFacts, EndedBody, Entry, EventView, InstanceBooks, MemberView, NoteDraft, Notes,
  SealBody, StateOptions,
} from './core-types.ts'
import { memberView, metricView, newestOf } from './core-views.ts'

export class State {
  /** Position of the last entry applied. */
  pos = 0
  /** Of the last `term` note. */
  term = 0
  /** Hosts that have had the head. */
  readonly heads = new Set<string>()
  /** The `session` notes, merged field by field. */
  session: Readonly<Record<string, unknown>> = {}
  readonly events: EventView[] = []
  readonly told = new Told()
  /** How each backend that rows are sent to stands. */
  readonly standings = new Map<string, Standing>()
  /** Ledgers of this run that could not be read and were set aside, in order. */
  readonly aside: Notes['aside'][] = []
  /** What of the ledger is damaged, as far as DAMAGES_MAX; the rest is counted. */
  readonly damages: string[] = []
  damageCount = 0
  readonly beside = new Beside()
  readonly roster = new Members()
  private readonly options: StateOptions
  private readonly catalogue = new Metrics()
  private readonly merge = new Merge(this.roster)
  private readonly collapsed = new Params()
  private readonly wellbeing = new Health()
  private readonly systems = new Systems()
  private readonly stream: RowStream | null
  /** When this aggregator first listened: no wait counts the time that it was not there. */
  private woke: number | null = null

  /** `rows` takes the rows as they close; without it none are looked at. */
  constructor(options: StateOptions, rows?: TakeRows) {
    this.options = options
    this.stream = rows === undefined ? null : new RowStream(this.merge, rows)
  }

  /** In order of pos, once durable. `decoded` spares the work when the caller has read the blob anyway. */
  apply(entry: Entry, decoded?: Batch): void {
    this.pos = entry.pos
    if (entry.type === 'batch') return this.batch(entry, decoded)
    try {
      this.note(entry)
    } catch (cause) {
      // Of a ledger that the disk has changed: what it decided cannot be known any more.
      throw new RankzeroError('DAMAGED', `entry ${entry.pos} of the ledger, ${entry.kind}, cannot be read: `
        + messageOf(cause), 'check the disk; what comes before that entry is whole', { cause })
    }
  }

  private note(entry: Extract<Entry, { type: 'note' }>): void {
    const body = entry.body as never
    switch (entry.kind as keyof Notes) {
      case 'joined': return this.joined(body, entry.at)
      case 'conflict': return this.conflict(body)
      case 'heir': return this.heir(body, entry.at)
      case 'skip': return this.skip(body)
      case 'ended': return this.ended(body)
      case 'seal': return this.seal(body, entry.at)
      case 'amend': return this.amend(entry.at)
      case 'outbox': return applyNote(this.standing((body as Notes['outbox']).backend), body)
      case 'event': return this.told.event(body)
      case 'session':
        this.session = { ...this.session, ...this.told.session(body as Notes['session']) }
        return
      case 'aside': this.aside.push(body); return
      case 'damaged': return this.damaged((body as Notes['damaged']).what)
      case 'term': {
        const { term, host } = body as Notes['term']
        this.term = term
        if (host !== undefined) this.roster.servedBy(host)
        if (host !== undefined) this.heads.add(host)
      }
    }
  }

  /** What to append for an instance of a HELLO; nothing if it is known. Apply it before the first batch. */
  join(
    origin: Origin, first: number, now: number,
    known: Partial<Pick<Notes['joined'], 'ledgerBefore' | 'offset' | 'blur' | 'layouts'>> = {},
  ): NoteDraft[] {
    this.woke ??= now
    if (this.roster.get(origin.instance) !== undefined) return []
    const { ledgerBefore = null, offset = 0, ...more } = known
    const body = { origin, first, ledgerBefore, offset, ...more }
    return [{ type: 'note', at: now, kind: 'joined', body }]
  }

  /** `sentAt`: by the agent's clock, in which a beat may be old when it comes. */
  heard(beats: readonly BeatFacts[], now: number, sentAt = Infinity): void {
    for (const beat of beats) this.roster.heard(beat, now, sentAt)
  }

  /**
   * What is due now: verdicts on rivals, seals. Append, then apply; asked again before that it says the same.
   */
  decide(now: number): NoteDraft[] {
    this.woke ??= now
    const { options, woke, roster: members, catalogue: metrics } = this
    const openBytes = this.openRowsBytes()
    const verdicts = members.verdicts(now, woke, false)
    const seals = sealsDue({ members, metrics, options, openBytes, now, woke })
    const { amended, amendedAt } = this.merge
    const due = amended >= AMEND_ROWS_MAX || now - Math.max(amendedAt, woke) >= AMEND_AFTER_MS
    return [...verdicts, ...seals, ...due ? this.amends(now) : []]
  }

  /**
   * The last decisions. Append, apply, and ask again until it returns none: an heir's points open rows of
   * their own.
   */
  drain(now: number): NoteDraft[] {
    const verdicts = this.roster.verdicts(now, now, true)
    return verdicts.length > 0 ? verdicts : [...sealsAll(this.catalogue, now), ...this.amends(now)]
  }

  /** How a backend stands; it counts from here on. */
  standing(backend: string): Standing {
    const standing = this.standings.get(backend) ?? newStanding()
    this.standings.set(backend, standing)
    return standing
  }

  acked(instance: string): number {
    return this.roster.get(instance)?.acked ?? 0
  }

  worldSize(): number {
    return this.roster.worldSize()
  }

  members(): MemberView[] {
    return this.roster.list.map(memberView)
  }

  member(instance: string): MemberView | null {
    const member = this.roster.get(instance)
    return member === undefined ? null : memberView(member)
  }

  metricCount(): number {
    return this.catalogue.list.length
  }

  /** The newest row of each metric, in order of first appearance. */
  metrics(limit: number): MetricStatus[] {
    return this.catalogue.list.slice(0, limit).map((metric) => metricView(metric, this.merge, this.catalogue))
      .filter((view) => view !== null)
  }

  books(): InstanceBooks[] {
    const open = this.merge.openPoints(this.catalogue.shapes)
    const asides = this.aside.length > 0
    return this.roster.list.filter(({ rank }) => rank !== null)
      .map((member) => booksOf(member, open.get(member.index) ?? 0, asides))
  }

  params(): ParamStatus[] {
    return this.collapsed.view()
  }

  health(now: number): HealthStatus {
    const { roster: members, woke, options: { joinTimeoutMs } } = this
    const over = ['draining', 'ended'].includes(String(this.session['state']))
    return this.wellbeing.view({ members, now, woke: woke ?? -Infinity, joinTimeoutMs, over })
  }

  openRowsBytes(): number {
    return this.merge.blocks.bytes
  }

  nodes(): NodeStatus[] {
    return this.systems.view()
  }

  /** Of an agent's own instance, which nothing waits for. */
  isOfAgent(entry: Entry): boolean {
    const body = entry.type === 'note' ? entry.body as Partial<Notes['joined'] & EndedBody> | null : null
    const instance = entry.type === 'batch' ? entry.instance : body?.origin?.instance ?? body?.instance ?? ''
    return this.roster.get(instance)?.origin.role === 'agent'
  }

  /** For replay.ts, in this room: what points and rows are named and ordered by. */
  inside(): { members: Members; metrics: Metrics; systems: Metrics; stream: RowStream | null } {
    const { roster: members, catalogue: metrics, systems, stream } = this
    return { members, metrics, systems: systems.metrics, stream }
  }

  private joined(body: Notes['joined'], at: number): void {
    if (!(body.origin.worldSize <= WORLD_SIZE_MAX)) throw new Error('its world is too large')
    this.told.joined(body.origin.role, at)
    const member = this.roster.join(body, at)
    if (member !== null) for (const layout of body.layouts ?? []) this.layout(member, 0, { ...layout })
  }

  private conflict({ instance, holder }: Notes['conflict']): void {
    const member = this.roster.get(instance)
    if (member === undefined || member.state !== 'suspect') return
    member.state = 'rank-conflict'
    member.holder = holder
    for (const { points } of member.held) member.rejected += points
    member.held = []
  }

  private heir({ instance }: Notes['heir'], at: number): void {
    const member = this.roster.get(instance)
    if (member === undefined || member.state !== 'suspect') return
    member.state = member.ended === null ? 'live' : 'ended'
    renewCurrent(member.rank!)
    const { held } = member
    member.held = []
    for (const { data, from } of held) this.take(member, this.options.decode(data), from, at)
  }

  private batch(entry: Extract<Entry, { type: 'batch' }>, decoded?: Batch): void {
    const member = this.roster.get(entry.instance)
    if (member === undefined) return
    if (member.ended?.estimated === true) revive(member)
    const from = member.acked + 1
    const batch = decoded ?? this.read(entry)
    if (entry.firstSeq > from) member.holes.push([from, entry.firstSeq - 1])
    member.acked = Math.max(member.acked, entry.lastSeq)
    if (batch === null) {
      member.holes.push([Math.max(from, entry.firstSeq), entry.lastSeq])
      return
    }
    let points = 0
    for (const group of batch.groups) points += pointsFrom(group, from)
    member.duplicates += batch.points - points
    member.admitted += points
    this.payloads(member, batch, from)
    noteLast(member, batch)
    if (member.origin.role === 'agent') this.systems.take(member, batch)
    else if (member.state === 'suspect') member.held.push({ data: entry.data, from, points })
    else if (member.state === 'rank-conflict' || member.rank === null) member.rejected += points
    else this.take(member, batch, from, entry.at)
  }

  /** Of an accepted member. */
  private take(member: Member, batch: Batch, from: number, at: number): void {
    this.merge.take(member, batch, from, at)
    this.wellbeing.take(member, batch, from)
  }

  /**
   * null: the blob is damaged. The rest of the ledger is still worth reading; the books tell what is missing.
   */
  private read(entry: Extract<Entry, { type: 'batch' }>): Batch | null {
    try {
      return this.options.decode(entry.data)
    } catch {
      this.damaged(`the batch of entry ${entry.pos} does not pass its check`)
      return null
    }
  }

  private damaged(what: string): void {
    if (++this.damageCount <= DAMAGES_MAX) this.damages.push(what)
  }

  private payloads(member: Member, batch: Batch, from: number): void {
    for (const { seq, kind, time, body: bytes } of batch.payloads) {
      if (seq < from) continue
      // Text stays in the ledger: it is counted, never parsed.
      if (kind === Kind.text) {
        member.textLines++
        continue
      }
      const body = jsonOf(bytes)
      if (kind === Kind.params) this.collapsed.set(member, body.params)
      else if (kind === Kind.lost) member.lostInBand += sumOf(body.points)
      else if (kind === Kind.refused) member.refused += sumOf(body.values)
      else if (kind === Kind.event) this.events.push({ instance: member.instance, seq, time, event: body })
      else if (kind === Kind.end) member.end = body
      else this.declared(member, seq, kind, body)
    }
  }

  private declared(member: Member, seq: number, kind: number, body: Record<string, unknown>): void {
    if (kind === Kind.layout) this.layout(member, seq, body)
    else if (kind === Kind.define) this.define(member, seq, body)
    else if (kind === Kind.open) {
      member.open = body
      this.collapsed.set(member, body['config'])
    } else this.beside.take(member, kind, body)
  }

  private layout(member: Member, seq: number, { id, names }: Record<string, unknown>): void {
    if (typeof id !== 'number' || !Array.isArray(names) || member.layouts.has(id)) return
    const catalogue = member.origin.role === 'agent' ? this.systems.metrics : this.catalogue
    member.layouts.set(id, { shape: catalogue.shape(names.map(String)), from: seq })
  }

  private define(member: Member, seq: number, { metric, reduce }: Record<string, unknown>): void {
    if (typeof metric !== 'string' || !REDUCES.includes(reduce as Reduce)) return
    this.catalogue.declare(member, seq, metric, reduce as Reduce)
  }

  private skip({ instance, from, to, points }: Notes['skip']): void {
    const member = this.roster.get(instance)
    if (member === undefined || to <= member.acked) return
    if (from > member.acked + 1) member.holes.push([member.acked + 1, from - 1])
    member.acked = to
    member.skips++
    member.lostSkipped += sumOf(points)
  }

  private ended(body: EndedBody): void {
    const member = this.roster.get(body.instance)
    // The last known counters of a vanished instance give way to what its agent says later.
    if (member === undefined || isOver(member)) return
    member.ended = body
    if (member.state === 'live') member.state = 'ended'
    if (member.rank !== null) renewCurrent(member.rank)
  }

  private amends(now: number): NoteDraft[] {
    if (this.options.amends !== true || this.merge.amended === 0) return []
    return [{ type: 'note', at: now, kind: 'amend', body: {} }]
  }

  private amend(at: number): void {
    this.merge.amended = 0
    this.merge.amendedAt = Infinity
    this.stream?.amend(at)
  }

  private seal({ groups }: SealBody, at: number): void {
    for (const { metrics, steps } of groups) {
      const families = familiesOf(this.catalogue, metrics)
      // Runs ascend, so the last one holds the highest step.
      const [start, stride, count] = steps.at(-1) ?? [-1, 1, 1]
      const top = start + stride * (count - 1)
      const claimed = steps.reduce((sum, [, , each]) => sum + each, 0)
      if (!(claimed <= SEAL_STEPS_MAX)) throw new Error('it seals too many steps')
      for (const family of families) {
        this.remember(family, top)
        for (const [start, stride, count] of steps) {
          for (let i = 0; i < count; i++) {
            this.stream?.seal(family, start + stride * i, at)
            this.merge.seal(family, start + stride * i)
          }
        }
      }
    }
  }

  /** Status shows the newest row also after its values are gone. */
  private remember(family: Family, step: number): void {
    if (family.sealed.has(step)) return
    if (family.metrics.every(({ newest }) => newest !== null && newest.step > step)) return
    for (const [metric, sample] of this.merge.rows(family, step)) {
      if (sample.n === 0) return
      metric.newest = newestOf(step, sample, this.catalogue.viewOf(metric))
    }
  }
}

function noteLast(member: Member, batch: Batch): void {
  let last = 0
  for (const { count, seqs, steps, times } of batch.groups) {
    if (seqs[count - 1]! < last) continue
    last = seqs[count - 1]!
    member.lastStep = steps[count - 1]!
    member.lastTime = Math.max(member.lastTime ?? -Infinity, times[count - 1]!)
  }
  for (const { time } of batch.payloads) member.lastTime = Math.max(member.lastTime ?? -Infinity, time)
}
