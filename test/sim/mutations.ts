/**
 * Deliberate mistakes in the code under test: each must break a law. `find` occurs once in `file`; `laws` are
 * those that may notice it, the first being the one that it is made for; `knobs` make the trouble that shows
 * it.
 */
import type { Knob } from './knobs.ts'

export interface Mutation {
  what: string
  file: string
  find: string
  replace: string
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
    laws: [ACK], knobs: ['disk-full'],
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
    laws: [GAP, LIVE], knobs: ['kill-aggregator'],
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
    find: '    this.reader?.ack(seq)\n    this.reader?.trim(seq)\n',
    replace: '    this.reader?.ack(seq)\n    this.reader?.trim(this.reader.next - 1)\n',
    laws: [TRIM], knobs: ['delay', 'kill-aggregator'],
  },
  {
    what: 'trim before the spool is synced', file: 'lib/agent/shelf.ts',
    find: '      fsyncSync(fd)\n    } catch (error) {', replace: '    } catch (error) {',
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
    find: 'wallMs() - holder.beat >= KEY_FREE_MS', replace: 'wallMs() >= holder.beat',
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
    what: 'the run drains while a rank lives', file: 'lib/session/core-session.ts',
    find: 'if (facts.liveWorkers > 0 || facts.liveSupervisors > 0) return false\n', replace: '',
    laws: ['a run ends after its ranks', TRUTH, ONCE], knobs: ['delay'],
  },
  {
    what: 'a clock that was set back stops the run', file: 'lib/clock.ts',
    find: 'said = Math.max(said + passed, wallMs())', replace: 'said = wallMs()',
    laws: [LIVE], knobs: ['clock-jump'],
  },
  {
    what: 'a run is minted anew for what another one has in part', file: 'lib/agent/feed.ts',
    find: '    this.origin.run ??= run\n', replace: '',
    laws: [ONCE], knobs: ['delay', 'loss', 'stop', 'reset'],
  },
  {
    what: 'an end that is still to come makes a new head too late', file: 'lib/aggregator/open.ts',
    find: 'at > begun && at <= now', replace: 'at > begun',
    laws: [LIVE, ONCE], knobs: ['clock-jump', 'elastic', 'replay'],
  },
  {
    what: "another node's spool is taken for all of it", file: 'lib/agent/feed.ts',
    find: 'this.#isPart = isForeign && reader === null', replace: 'this.#isPart = false && isForeign',
    laws: [END, ONCE], knobs: ['term', 'kill-aggregator', 'short-reads'],
  },
]
