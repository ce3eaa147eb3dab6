/**
 * What must have come of it, once all is quiet: asked of the ledgers through the real readers, compared with
 * what the trainers logged and with an oracle that shares no code with either.
 */
import { isDeepStrictEqual } from 'node:util'
import { audit, points, rows } from '../../lib/aggregator/replay.ts'
import type { Audit, JoinedBody } from '../../lib/aggregator/core-types.ts'
import { Kind, type Departure, type Origin } from '../../lib/record/index.ts'
import type { RunStatus } from '../../lib/record/run-status.ts'
import { difference, expectedPoints, expectedRows } from '../aggregator/oracle.ts'
import { Sender } from '../aggregator/sender.ts'
import { figuresOf } from './delivery-law.ts'
import type { Job } from './job.ts'
import type { Laws } from './laws.ts'
import { losesPower, type Scenario } from './scenario.ts'
import type { Journal } from './seams/journal.ts'
import { readLedger, type LedgerFile } from './seams/ledger.ts'
import { Violation } from './world.ts'

/** A range of records as a ledger has it. */
interface Range { first: number; last: number; kind: 'batch' | 'skip'; file: LedgerFile }

/** Of one boot of a node, as its joins tell it to the head on one host. */
interface Clock { offset: number; blur: number; host: unknown }

interface Contents {
  ranges: Map<string, Range[]>
  joined: Map<string, { origin: Origin; first: number; clock: Clock }>
  rejected: Set<string>
  /** How they left, as their agents saw it. */
  departures: Map<string, Departure>
}

const broken = (law: string, message: string): never => { throw new Violation(law, message) }

export function judge(scenario: Scenario): void {
  const { laws, jobs } = scenario
  const contents = new Map(laws.ledgers.map((file) => [file, contentsOf(file)]))
  for (const journal of laws.journals.values()) {
    everyRecordOnce(journal, contents, laws.gone.get(journal) ?? Infinity)
  }
  for (const [file, content] of contents) {
    if (file.entries.length === 0) continue
    const books = booksOf(file)
    everyLossIsBooked(books, content, laws)
    rowsFollow(file, content, laws.journals)
    trackerAgrees(scenario, file)
    pictureAgrees(scenario, file, books)
  }
  for (const job of jobs) truthful(job, scenario, contents)
}

function contentsOf(file: LedgerFile): Contents {
  const content: Contents = {
    ranges: new Map(), joined: new Map(), rejected: new Set(), departures: new Map(),
  }
  const clocks = new Map<string, Clock>()
  let host: unknown
  const add = (instance: string, range: Range): void => {
    const list = content.ranges.get(instance) ?? []
    list.push(range)
    content.ranges.set(instance, list)
  }
  for (const entry of file.entries) {
    if (entry.type === 'batch') {
      add(entry.instance, { first: entry.firstSeq, last: entry.lastSeq, kind: 'batch', file })
      continue
    }
    const body = entry.body as Record<string, unknown> & { instance: string }
    if (entry.kind === 'skip') {
      add(body.instance, { first: Number(body['from']), last: Number(body['to']), kind: 'skip', file })
    } else if (entry.kind === 'ended') {
      content.departures.set(body.instance, body['departure'] as Departure)
    } else if (entry.kind === 'term') {
      host = body['host']
    } else if (entry.kind === 'conflict') {
      content.rejected.add(body.instance)
    } else if (entry.kind === 'joined') {
      const { origin, first, offset, blur = 0 } = entry.body as JoinedBody
      if (content.joined.has(origin.instance)) continue
      const clock = clocks.get(origin.bootId) ?? { offset, blur, host }
      clocks.set(origin.bootId, clock)
      if (clock.host === host && blur < clock.blur) nearer(clock, { offset, blur, host }, content)
      content.joined.set(origin.instance, { origin, first, clock })
    }
  }
  return content
}

/** A clock that is better known than before, unless lives change places. */
function nearer(clock: Clock, better: Clock, { joined }: Contents): void {
  const before = { ...clock }
  const order = (): string => [...joined.values()]
    .map(({ origin, clock }) => ({ ...origin, at: origin.startedAt + clock.offset }))
    .sort((a, b) => a.rank - b.rank || a.at - b.at || (a.instance < b.instance ? -1 : 1))
    .map(({ instance }) => instance).join(' ')
  const was = order()
  Object.assign(clock, better)
  if (order() !== was) Object.assign(clock, before)
}

/** In one ledger and once, up to the last; what is not there went with its node, or is said to be lost. */
function everyRecordOnce(
  journal: Journal, contents: ReadonlyMap<LedgerFile, Contents>, safe: number,
): void {
  const { instance, seq } = journal.sender
  const ranges = [...contents.values()].flatMap((content) => content.ranges.get(instance) ?? [])
    .sort((a, b) => a.first - b.first)
  let next = 1
  for (const { first, last, kind, file } of ranges) {
    if (first < next) broken('every point once', `${instance}: ${first}-${last} of ${file.path} came before`)
    if (first > next) broken('every point once', `${instance}: records ${next}-${first - 1} are missing`)
    if (kind === 'skip') allowed(journal, first, Math.min(last, safe))
    next = last + 1
  }
  if (next <= seq && safe === Infinity) {
    broken('every point once', `${instance} wrote ${seq} records, the ledgers have ${next - 1}`)
  }
}

/** Only damage, or going with the power before it was safe, is a reason to give records up. */
function allowed(journal: Journal, first: number, last: number): void {
  for (let seq = first; seq <= last; seq++) {
    if (journal.damaged.has(seq)) continue
    broken('every point once', `${journal.sender.instance}: record ${seq} was given up, and was not damaged`)
  }
}

function booksOf(file: LedgerFile): Audit {
  const books = audit(readLedger(file))
  if (!books.balanced) broken('books balanced', books.problems.join('; '))
  if (!books.complete) broken('books balanced', `${file.path}: something is pending at the end`)
  return books
}

/** What the journal had no room for, and what was skipped, is in the books, and nothing else is. */
function everyLossIsBooked(
  books: Audit, { ranges }: Contents, laws: Laws,
): void {
  for (const { instance, lost, logged, state, estimated } of books.ranks) {
    const journal = laws.journals.get(instance)
    if (journal !== undefined && laws.gone.has(journal) && !laws.ended(instance) && estimated !== true) {
      broken('books balanced', `${instance} went with its node, and is not said to be estimated`)
    }
    if (journal === undefined || state !== 'ended' || estimated === true) continue
    let due = journal.lost
    for (const { first, last, kind } of ranges.get(instance) ?? []) {
      for (let seq = first; kind === 'skip' && seq <= last; seq++) due += journal.pointsOf(seq)
    }
    if (lost !== due) broken('books balanced', `${instance}: ${lost} points are booked as lost, ${due} were`)
    const truth = journal.sender.logged + journal.lost
    if (logged !== truth) broken('books balanced', `${instance}: logged ${logged}, in truth ${truth}`)
  }
}

/** The senders as this ledger knows them: without what was skipped. */
function sendersOf(content: Contents, journals: ReadonlyMap<string, Journal>): Sender[] {
  const senders: Sender[] = []
  for (const [instance, { origin, clock }] of content.joined) {
    const journal = journals.get(instance)
    if (journal === undefined || origin.role !== 'worker') continue
    const { sender } = journal
    const here = new Sender({ ...origin, startedAt: origin.startedAt + clock.offset })
    here.layouts.push(...sender.layouts)
    const defined = new Set<number>()
    for (const { first, last, kind } of content.ranges.get(instance) ?? []) {
      if (kind === 'skip') continue
      for (const record of sender.records.slice(first - 1, last)) {
        if (record.kind === Kind.layout) defined.add((record.body as { id: number }).id)
        if (record.kind === Kind.values && !defined.has(record.layout)) continue
        here.records.push(record)
        if (record.kind === Kind.values) here.logged += record.values.length
      }
    }
    senders.push(here)
  }
  return senders
}

function trackerAgrees({ laws, plan }: Scenario, file: LedgerFile): void {
  if (plan.tracker === null) return
  const wanted = new Map([...rows(readLedger(file))]
    .map((row) => [`${row.metric} ${row.step}`, figuresOf(row)]))
  const text = laws.delivery.compare(file.path.slice(0, file.path.lastIndexOf('/')), wanted)
  if (text !== '') broken('the tracker has the rows', text)
}

function rowsFollow(file: LedgerFile, content: Contents, journals: ReadonlyMap<string, Journal>): void {
  const senders = sendersOf(content, journals)
  const ledger = readLedger(file)
  const got = [...points(ledger)]
  const want = expectedPoints(senders, content.rejected)
  if (got.length !== want.length) {
    broken('points as logged', `${file.path}: ${got.length} points, not ${want.length}`)
  }
  for (const [i, point] of got.entries()) {
    if (isDeepStrictEqual(point, want[i])) continue
    broken('points as logged', `${JSON.stringify(point)} should be ${JSON.stringify(want[i])}`)
  }
  const gotRows = [...rows(ledger)]
  const wantRows = expectedRows(senders, content.rejected)
  if (gotRows.length !== wantRows.length) {
    broken('rows follow from points', `${file.path}: ${gotRows.length} rows, not ${wantRows.length}`)
  }
  for (const [i, row] of gotRows.entries()) {
    const expected = wantRows[i]!
    if (row.metric !== expected.metric || row.step !== expected.step) {
      const due = `${expected.metric} ${expected.step}`
      broken('rows follow from points', `${row.metric} ${row.step} where ${due} is due`)
    }
    const text = difference(row, expected)
    if (text !== '') broken('rows follow from points', text)
    if (!row.sealed) broken('rows follow from points', `${row.metric} step ${row.step} is not sealed`)
  }
}

/** What the live state showed last is what a replay says. */
function pictureAgrees({ world, plan }: Scenario, file: LedgerFile, books: Audit): void {
  const path = file.path.replace('ledger.sqlite', 'status.json')
  const disks = plan.shared ? [world.shared] : world.nodes.map(({ disk }) => disk)
  const found = disks.map((disk) => disk.files.get(path)).find((one) => one !== undefined)
  if (found === undefined) return
  // The picture is not synced: what the power left of it is nobody's promise.
  if (losesPower(plan)) return
  const picture = JSON.parse(found.bytes.toString('utf8', 0, found.size)) as RunStatus
  // Killed when the end was durable, and before it was painted: nobody comes after to paint it.
  const heads = [...world.processes.values()].filter(({ role }) => role === 'aggregator')
  const killed = heads.some(({ signal }) => signal !== null)
  if (picture.endedAt === null && killed) return
  const sum = (field: 'logged' | 'admitted' | 'lost'): number =>
    books.ranks.filter(({ rank }) => rank >= 0).reduce((total, one) => total + one[field], 0)
  for (const field of ['logged', 'admitted', 'lost'] as const) {
    if (picture.books[field] === sum(field)) continue
    broken('live as replayed', `${path}: ${field} is ${picture.books[field]}, the ledger has ${sum(field)}`)
  }
}

/** `finished` if and only if every rank's last life went well. */
function truthful(job: Job, scenario: Scenario, contents: ReadonlyMap<LedgerFile, Contents>): void {
  const { laws, plan } = scenario
  const instances = new Set(job.lives.map(({ journal }) => journal.sender.instance))
  const files = [...contents].filter(([, { joined }]) => [...joined.keys()].some((one) => instances.has(one)))
  const power = losesPower(plan)
  if (files.length === 0) {
    if (job.lives.length > 0 && !power) broken('truthful end', `${job.plan.name || 'the run'} has no ledger`)
    return
  }
  for (const [file] of files) {
    const { session } = laws.account(file)
    if (session?.state !== 'ended' || session.status === null) {
      broken('truthful end', `${file.path}: the session is ${session?.state ?? 'not there'} at the end`)
    }
  }
  const { status } = laws.account(files.at(-1)![0]).session!
  const well = job.current.length >= job.worldSize && job.current.every((life) => life.well)
  const rivals = plan.faults.some(({ knob }) => knob === 'rival' || knob === 'clock-jump')
  // A launcher that starts a rank twice makes rivals too.
  const twice = files.some(([, { rejected }]) => rejected.size > 0)
  if (files.length > 1 || rivals || power || twice || isMisordered(job, files[0]![1], scenario)) return
  // Nobody saw how it went when the end record is damaged.
  if (job.current.some(({ journal: { damaged, sender } }) => damaged.has(sender.seq))) return
  if (well && status !== 'finished') broken('truthful end', `all went well, the session says ${status}`)
  // Told by the ledger itself, with none of the code that judges by it.
  const [[, { departures }]] = files as [[LedgerFile, Contents]]
  const died = job.current.find(({ well, journal: { sender } }) => {
    const { signal = null, cause } = departures.get(sender.instance) ?? {}
    return !well && signal !== null && cause !== 'node-lost'
  })
  if (died !== undefined && !['failed', 'killed'].includes(status!)) {
    broken('truthful end', `rank ${died.rank} died of a signal, the session says ${status}`)
  }
  if (!well && status === 'finished') broken('truthful end', 'finished, but a rank did not end well')
}

/**
 * Lives of a rank are told in the order in which they began, as far as clocks tell. True where clocks do not:
 * the end of a run is then judged by the wrong life.
 */
function isMisordered({ lives }: Job, { joined }: Contents, { world, plan }: Scenario): boolean {
  const told = lives.flatMap((life) => {
    const found = joined.get(life.journal.sender.instance)
    return found === undefined ? [] : [{ life, ...found, at: found.origin.startedAt + found.clock.offset }]
  })
  // Rates of clocks are far apart here, and no round trip tells them.
  const drift = 2 * (Math.max(...plan.rates) - Math.min(...plan.rates)) * world.now
  return told.some(({ life, clock, at }, i) => told.slice(0, i).some((before) => {
    if (before.life.rank !== life.rank || before.at < at) return false
    // No head has compared its clock with that of one on another host.
    if (before.clock.host !== clock.host) return true
    const blur = before.clock === clock ? 0 : before.clock.blur + clock.blur
    if (before.at - at <= blur + drift) return true
    const names = `${before.origin.instance} began before ${life.journal.sender.instance}`
    return broken('lives are in order', `${names}, and is told to have done so ${before.at - at} ms later`)
  }))
}
