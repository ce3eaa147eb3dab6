/**
 * Deliberate mistakes in the code under test: each must break a law. `find` occurs once in `file`; `laws` are
 * those that may notice it, the first being the one that it is made for; `knobs` make the trouble that shows
 * it.
 */
import type { Knob } from './knobs.ts'

interface Piece {
  file: string
  find: string
  replace: string
}

export interface Mutation extends Piece {
  what: string
  /** What stands behind the first one and does the same. */
  also?: Piece
  laws: readonly string[]
  knobs: readonly Knob[]
}

const ONCE = 'every point once'
const ROWS = 'rows follow from points'
const BOOKS = 'books balanced'
const LIVE = 'liveness'
const END = 'END follows the last record'
const ACK = 'ack ≤ durable'
const GAP = 'seq without gap'
const TRIM = 'trim ≤ acked or synced'
const TERM = 'term never falls'
const KEY = 'one holder per key'
const LAST = 'a journal goes last'
const TRUTH = 'truthful end'
const WRITER = 'one aggregator writes a ledger'
const WIRE = 'no gap on the wire'
const COMMITTED = 'delivered ≤ committed'
const SAME = 'the same batch, the same bytes'
const TRACKER = 'the tracker has the rows'
const COUNTED = 'a repeat is counted first'
const ASKED = 'a clock is asked for first'
const ORDER = 'lives are in order'
const SETTLED = 'the older life is settled first'

const OUTBOX = 'lib/session/core-outbox.ts'
const STANDING = 'lib/session/core-standing.ts'
const TRACKED = ['backend', 'backend-busy', 'backend-fails', 'backend-hangs', 'backend-stores'] as const

export const MUTATIONS: readonly Mutation[] = [
  {
    what: 'ack before commit', file: 'lib/aggregator/intake.ts',
    find: "      () => reply('ACK', { instance, seq: this.state.acked(instance) }),\n      decoded,\n    )",
    replace: "      () => {},\n      decoded,\n    )\n    reply('ACK', { instance, seq: lastSeq })",
    laws: [ACK], knobs: ['kill-aggregator'],
  },
  {
    what: 'applied and acknowledged although the commit failed', file: 'lib/aggregator/commit.ts',
    find: '      this.failed(error)\n      return false\n', replace: '      this.failed(error)\n',
    laws: [ACK, BOOKS], knobs: ['disk-full'],
  },
  {
    what: 'off by one in admit: an overlap is taken', file: 'lib/aggregator/core-admit.ts',
    find: 'return firstSeq === acked + 1 ?', replace: 'return firstSeq <= acked + 1 ?',
    laws: [GAP], knobs: ['loss', 'reset', 'kill-agent', 'delay', 'short-reads'],
  },
  {
    what: 'a gap is taken', file: 'lib/aggregator/core-admit.ts',
    find: 'return firstSeq === acked + 1 ?', replace: 'return firstSeq > acked ?',
    laws: [GAP], knobs: ['loss', 'delay', 'reorder'],
  },
  {
    what: 'duplicates are taken again', file: 'lib/aggregator/core-admit.ts',
    find: "if (lastSeq <= acked) return 'duplicate'", replace: "if (lastSeq <= acked) return 'take'",
    laws: [GAP], knobs: ['duplicate', 'loss'],
  },
  {
    what: 'reserved is not looked at: two batches in one commit', file: 'lib/aggregator/intake.ts',
    find: 'return Math.max(this.reserved.get(instance) ?? 0, this.state.acked(instance))',
    replace: 'return this.state.acked(instance)',
    laws: [GAP], knobs: ['duplicate', 'delay'],
  },
  {
    what: 'reserved only, so nothing is known after a restart', file: 'lib/aggregator/intake.ts',
    find: 'return Math.max(this.reserved.get(instance) ?? 0, this.state.acked(instance))',
    replace: 'return this.reserved.get(instance) ?? 0',
    laws: [GAP, LIVE, ONCE], knobs: ['kill-aggregator'],
  },
  {
    what: 'END is taken before the last record', file: 'lib/aggregator/intake.ts',
    find: 'if (end.seq > this.cursor(instance)) return', replace: 'if (end.seq < 0) return',
    laws: [END, ACK, BOOKS], knobs: ['loss', 'reorder', 'delay'],
  },
  {
    what: 'any term may send', file: 'lib/aggregator/intake.ts',
    find: 'if (frame.term !== this.served.term) {', replace: 'if (frame.term < 0) {',
    laws: ['other terms are refused'], knobs: ['ghost'],
  },
  {
    what: 'the term of a new holder does not grow', file: 'lib/aggregator/open.ts',
    find: 'const term = lock.advance({ meeting, pid: String(process.pid) }, ledger.term())',
    replace: 'lock.advance({ meeting, pid: String(process.pid) }, ledger.term()); const term = 1',
    laws: [TERM], knobs: ['kill-aggregator'],
  },
  {
    what: 'the fence is let go at once', file: 'lib/aggregator/open.ts',
    find: 'const term = lock.advance(',
    replace: 'setTimeout(() => lock.release(), 50); const term = lock.advance(',
    laws: [WRITER], knobs: ['kill-aggregator'],
  },
  {
    what: 'a welcome of a lower term is accepted', file: 'lib/agent/core-uplink.ts',
    find: 'if (body.ledger === this.#ledger && term < this.#term) {', replace: 'if (term < 0) {',
    also: {
      file: 'lib/agent/uplink.ts',
      find: 'const trip = this.#hellos.answer(body.sentAt, monotonicMs())',
      replace: 'const trip = this.#hellos.answer(body.sentAt, monotonicMs()) ?? 0',
    },
    laws: [TERM], knobs: ['ghost', 'kill-aggregator', 'reset', 'kill-trainer', 'replay'],
  },
  {
    what: 'an ack of a lower term counts', file: 'lib/agent/core-uplink.ts',
    find: "if (line?.state !== 'open' || term < this.#term) return",
    replace: "if (line?.state !== 'open') return",
    laws: [TRIM, WIRE], knobs: ['ghost', 'kill-aggregator', 'reset'],
  },
  {
    what: 'END goes before the last record', file: 'lib/agent/core-line.ts',
    find: 'this.cursor > this.last && !this.#endSent', replace: 'this.cursor >= this.last && !this.#endSent',
    laws: [WIRE, END, LIVE], knobs: ['kill-trainer', 'short-reads', 'loss', 'reset'],
  },
  {
    what: 'what is in flight counts as acknowledged after a reconnect', file: 'lib/agent/core-line.ts',
    find: '    this.cursor = acked + 1\n  }\n',
    replace: '    this.cursor = Math.max(this.cursor, acked + 1)\n  }\n',
    laws: [WIRE, LIVE, ONCE], knobs: ['loss', 'reset', 'kill-aggregator'],
  },
  {
    what: 'trim past the ack', file: 'lib/agent/feed.ts',
    find: '    this.reader?.ack(seq)\n',
    replace: '    this.reader?.ack(seq)\n    this.reader?.trim(this.reader.next - 1)\n',
    laws: [TRIM], knobs: ['delay', 'kill-aggregator'],
  },
  {
    what: 'trim before the spool is synced', file: 'lib/agent/shelf.ts',
    find: '      fsyncSync(fd)\n      // Another', replace: '      // Another',
    laws: [TRIM], knobs: ['small-journal', 'term', 'kill-aggregator'],
  },
  {
    what: 'the journal goes before its END is durable', file: 'lib/agent/shift.ts',
    find: '  #putAway(feed: Feed): void {',
    replace: '  #putAway(feed: Feed): void {\n    feed.reader?.remove()',
    laws: [LAST], knobs: ['kill-aggregator', 'term'],
  },
  {
    what: 'a journal goes although the spool did not take all', file: 'lib/agent/shift.ts',
    find: "if (!feed.safe) throw new Error('the disk spool did not take all of it')", replace: '',
    laws: [LAST, TRIM], knobs: ['term', 'small-spool', 'kill-aggregator'],
  },
  {
    what: 'an END without looking whether its owner is dead', file: 'lib/agent/drain.ts',
    find: 'const departure = feed.dead ?',
    replace: 'const departure = feed.dead || feed.departure !== null ?',
    laws: [END], knobs: [],
  },
  {
    what: 'a skip does not move the cursor', file: 'lib/aggregator/core-state.ts',
    find: '    member.acked = to\n    member.skips++', replace: '    member.skips++',
    laws: [LIVE, GAP, BOOKS], knobs: ['damage'],
  },
  {
    what: 'a damaged record is passed over without a word', file: 'lib/agent/feed.ts',
    find: "    return skipUnit(hole.from, hole.to, 'damaged in the journal', hole.points)",
    replace: '    return null',
    laws: [LIVE, ONCE, GAP, END], knobs: ['damage'],
  },
  {
    what: 'a suspect merges at once', file: 'lib/aggregator/core-state.ts',
    find: "else if (member.state === 'suspect') member.held.push({ data: entry.data, from, points })\n",
    replace: '',
    laws: [ROWS, BOOKS], knobs: ['rival', 'kill-agent'],
  },
  {
    what: 'sealed too early: a rank that is behind is not waited for', file: 'lib/aggregator/core-seal.ts',
    find: '  if (progress < standing.progress) standing.progress = progress\n',
    replace: '  const before = standing.progress === Infinity ? -1 : standing.progress\n'
      + '  standing.progress = Math.max(progress, before)\n',
    laws: ['sealed when all are past'], knobs: ['delay'],
  },
  {
    what: 'a seal is not remembered by the replay', file: 'lib/aggregator/core-merge.ts',
    find: '    family.sealed.add(step)\n', replace: '',
    laws: [ROWS, BOOKS], knobs: ['kill-aggregator'],
  },
  {
    what: 'the key is freed on drain', file: 'lib/session/index.ts',
    find: "return this.mutex.runExclusive(() => this.move('draining'))",
    replace: "for (const hold of this.holds.splice(0)) hold.release()\n"
      + "    return this.mutex.runExclusive(() => this.move('draining'))",
    laws: [KEY], knobs: ['second-run'],
  },
  {
    what: 'the key is freed before the end is in the ledger', file: 'lib/session/index.ts',
    find: "await this.move('ended', { status })",
    replace: 'for (const hold of this.holds.splice(0)) hold.end()\n'
      + "      await this.move('ended', { status })",
    laws: [KEY], knobs: ['second-run'],
  },
  {
    what: "a dead holder's key does not rest", file: 'lib/lock/key.ts',
    find: 'wallMs() - beat >= KEY_FREE_MS', replace: 'wallMs() >= beat',
    laws: [KEY], knobs: ['second-run', 'kill-aggregator', 'kill-agent', 'term'],
  },
  {
    what: 'live before the key is got', file: 'lib/session/index.ts',
    find: 'if (wanted !== null && this.note.state !== \'refused\') await this.lock(wanted)',
    replace: 'if (wanted !== null && this.note.state !== \'refused\') {\n'
      + '        this.note = { ...this.note, key: wanted, explicit: true }\n      }',
    laws: [KEY], knobs: ['second-run'],
  },
  {
    what: 'credit is ignored and nothing may fly', file: 'lib/agent/core-uplink.ts',
    find: 'return flying === 0 || flying + bytes <= this.#credit', replace: 'return flying + bytes < 0',
    laws: [LIVE, ONCE, TRUTH], knobs: [],
  },
  {
    what: 'the run drains while a rank lives', file: 'lib/aggregator/core-facts.ts',
    find: '  if (state.roster.someoneLives(silentBefore)) return null\n', replace: '',
    laws: ['a run ends after its ranks', TRUTH, ONCE], knobs: ['delay'],
  },
  {
    what: 'a clock that was set back stops the run', file: 'lib/clock.ts',
    find: 'said = Math.max(said + passed, wallMs())', replace: 'said = wallMs()',
    laws: [LIVE], knobs: ['clock-jump'],
  },
  {
    what: 'a run is minted anew for what another one has in part', file: 'lib/agent/feed.ts',
    find: '      if (!this.isForeign) this.shelf.joined(run)\n    } catch {\n'
      + '      // A full disk: the journal says it, and so does each later file.\n    }\n'
      + '    this.origin.run ??= run\n',
    replace: '    } catch {}\n',
    laws: [ONCE], knobs: ['delay', 'loss', 'stop', 'reset'],
  },
  {
    what: 'an end that is still to come makes a new head too late', file: 'lib/aggregator/open.ts',
    find: 'at > begun && at <= now', replace: 'at > begun',
    laws: [LIVE, ONCE], knobs: ['clock-jump', 'elastic'],
  },
  {
    what: "another node's spool is taken for all of it", file: 'lib/agent/feed.ts',
    find: 'return this.isForeign && (facts === null', replace: 'return false && (facts === null',
    laws: [END, ONCE], knobs: ['term', 'kill-aggregator', 'short-reads'],
  },
  {
    what: 'a key rests by the wall clock alone', file: 'lib/lock/key.ts',
    find: 'wallMs() - beat >= KEY_FREE_MS || now', replace: 'wallMs() - beat >= KEY_FREE_MS || -now',
    laws: [LIVE, ONCE], knobs: ['clock-jump', 'kill-aggregator', 'second-run'],
  },
  {
    what: "a slow answer is taken for the head's clock", file: 'lib/agent/core-uplink.ts',
    find: 'answer.trip > CLOCK_TRIP_MS', replace: 'answer.trip < 0',
    laws: [ASKED], knobs: ['delay', 'replay'],
  },
  {
    what: 'how far a clock may be off is not told', file: 'lib/aggregator/intake.ts',
    find: '{ offset, blur }', replace: '{ offset }', laws: [ORDER], knobs: ['delay', 'replay'],
  },
  {
    what: 'a younger life is announced before the older is settled', file: 'lib/agent/core-uplink.ts',
    find: "line.state === 'new' && !this.#held(line)", replace: "line.state === 'new'",
    laws: [SETTLED], knobs: ['replay', 'delay', 'kill-agent', 'stop'],
  },
  {
    what: 'a younger life is taken in before one looks whether the older is dead', file: 'lib/agent/shift.ts',
    find: '    for (const feed of this.#feeds.values()) this.#checkDeath(feed, now)\n    const run = reader',
    replace: '    const run = reader',
    laws: [SETTLED], knobs: ['replay', 'delay', 'kill-agent', 'stop'],
  },
  {
    what: "an heir's points are lost", file: 'lib/aggregator/core-state.ts',
    find: 'for (const { data, from } of held) this.take(member, this.options.decode(data), from, at)',
    replace: '', laws: [BOOKS, ROWS], knobs: ['elastic', 'replay', 'oneway'],
  },
  {
    what: 'of two values of one step the first is kept', file: 'lib/aggregator/core-merge.ts',
    find: 'seq < data[place + SEQ]!', replace: 'seq > data[place + SEQ]!',
    laws: [TRACKER], knobs: ['backend'],
  },
  {
    what: '… and where they came with other metrics', file: 'lib/aggregator/core-merge.ts',
    find: 'seqAt(found) > seqAt(other)', replace: 'seqAt(found) < seqAt(other)',
    laws: [TRACKER], knobs: ['backend'],
  },
  {
    what: 'a skip is not booked', file: 'lib/aggregator/core-state.ts',
    find: '    member.lostSkipped += sumOf(points)\n', replace: '', laws: [BOOKS], knobs: ['damage'],
  },
  {
    what: 'a failed rank is forgotten', file: 'lib/session/core-status.ts',
    find: "  if (failed.some((failure) => !failure.recovered)) return 'failed'\n", replace: '',
    laws: [TRUTH], knobs: ['kill-trainer'],
  },
  {
    what: 'open rows are forgotten at the drain', file: 'lib/aggregator/core-state.ts',
    find: '[...sealsAll(this.catalogue, now), ...this.amends(now)]', replace: 'this.amends(now)',
    laws: [BOOKS, ROWS], knobs: ['kill-trainer', 'power', 'kill-agent'],
  },
  {
    what: 'a torn write stays in the spool', file: 'lib/agent/shelf.ts',
    find: '      if (fstatSync(fd).size > file.bytes) ftruncateSync(fd, file.bytes)\n', replace: '',
    laws: ['no torn write stays'], knobs: ['disk-full', 'small-journal', 'term', 'kill-aggregator'],
  },
  {
    what: 'a batch is sent before its note is durable', file: OUTBOX,
    find: "    this.#commit({ is: 'batch', batch, from",
    replace: "    out.push({ do: 'send', call: 0, batch, bytes })\n"
      + "    this.#commit({ is: 'batch', batch, from",
    laws: [COMMITTED], knobs: TRACKED,
  },
  {
    what: 'a repeat is not counted', file: OUTBOX,
    find: '    if (this.#unsure) {\n', replace: '    if (this.#unsure && batch < 0) {\n',
    laws: [COUNTED], knobs: TRACKED,
  },
  {
    what: 'what the aggregator before may have sent counts as unsent', file: OUTBOX,
    find: 'this.#unsure = standing.open !== null', replace: 'this.#unsure = false',
    laws: [COUNTED], knobs: [...TRACKED, 'kill-aggregator'],
  },
  {
    what: 'an answer that leaves it open counts as yes', file: OUTBOX,
    find: "if (outcome.is === 'later' || outcome.is === 'unsure') return",
    replace: "if (outcome.is === 'later') return",
    laws: [SAME, TRACKER], knobs: TRACKED,
  },
  {
    what: 'the last row of a batch is sent again with the next', file: STANDING,
    find: 'standing.settled = open.to\n', replace: 'standing.settled = open.to - 1\n',
    laws: [SAME], knobs: TRACKED,
  },
  {
    what: 'rows of the open batch are passed over', file: OUTBOX,
    find: 'this.#next = standing.settled + 1',
    replace: 'this.#next = (standing.open?.to ?? standing.settled) + 1',
    laws: [SAME, TRACKER, BOOKS], knobs: [...TRACKED, 'kill-aggregator'],
  },
  {
    what: 'rows that wait behind a delivered batch are forgotten', file: OUTBOX,
    find: 'this.#keep(gone < 0 ? [] : this.#waiting.slice(gone))', replace: 'this.#keep([])',
    laws: [COMMITTED, BOOKS, TRACKER, LIVE], knobs: TRACKED,
  },
  {
    what: 'a pause that the server asked for is cut short', file: 'lib/session/core-pauses.ts',
    find: 'this.askedUntil = now + Math.min(afterMs ?? 0, OUTBOX_RETRY_AFTER_MS_MAX)',
    replace: 'this.askedUntil = now',
    laws: ['a pause that was asked for'], knobs: TRACKED,
  },
  {
    what: 'points that went with a node are given for certain', file: 'lib/aggregator/core-lost.ts',
    find: 'departure, at: now, estimated: true }', replace: 'departure, at: now }',
    laws: [BOOKS], knobs: ['lost-node'],
  },
]
