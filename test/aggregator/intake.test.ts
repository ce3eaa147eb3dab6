import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Committer } from '../../lib/aggregator/commit.ts'
import { State } from '../../lib/aggregator/core-state.ts'
import { Intake, type Reply } from '../../lib/aggregator/intake.ts'
import { openLedger, type EntryDraft, type Ledger } from '../../lib/ledger/index.ts'
import { CLOCK_UNKNOWN_MS } from '../../lib/limits.ts'
import { Kind, type Origin } from '../../lib/record/index.ts'
import { BatchBuilder, decodeBatch, encodeFrame, type Bodies, type FrameType } from '../../lib/wire/index.ts'

const MEETING = 'a'.repeat(32)
const INSTANCE = 'b'.repeat(32)
const TERM = 7
const ORIGIN: Origin = {
  instance: INSTANCE,
  meeting: MEETING,
  run: null,
  role: 'worker',
  rank: 0,
  worldSize: 1,
  localRank: 0,
  node: 'h',
  bootId: '',
  pidns: 0,
  pid: 1,
  procStart: 1,
  startedAt: 1000,
  dir: '/',
  cli: '',
}
const DEPARTURE = { exit: 0, signal: null, cause: 'end-record' } as const

let dir: string
let ledger: Ledger
let replies: { type: FrameType; body: unknown; durable: number }[]
let full: boolean
let open: boolean
let faults: string[]
let committer: Committer
let intake: Intake
let state: State

const reply: Reply = (type, body) => void replies.push({ type, body, durable: durable() })
const durable = (): number =>
  Math.max(0, ...[...ledger.entries()].map((e) => (e.type === 'batch' ? e.lastSeq : 0)))
const acks = (): number[] =>
  replies.filter((r) => r.type === 'ACK').map((r) => (r.body as { seq: number }).seq)
const say = <T extends FrameType>(type: T, body: Bodies[T], term = TERM): void =>
  intake.take(encodeFrame(type, term, body), 2000, reply)

/** One record per seq, one point each; the layout comes first. */
function batch(first: number, last: number): Uint8Array {
  const builder = new BatchBuilder(INSTANCE)
  builder.reset(first)
  for (let seq = first; seq <= last; seq++) {
    if (seq === 1) {
      builder.payload(
        seq,
        Kind.layout,
        1000,
        new TextEncoder().encode(JSON.stringify({ id: 0, names: ['m'] })),
      )
    } else builder.values(seq, 0, seq, NaN, 1000, new Float64Array([seq]), 0, 1)
  }
  return builder.finish()
}
const hello = (origins = [ORIGIN], clock: { offset?: number; blur?: number } = {}): void =>
  say('HELLO', {
    agent: 'ab',
    host: 'h',
    pid: 2,
    run: null,
    meeting: MEETING,
    protocol: 1,
    sentAt: 1900,
    ...clock,
    instances: origins.map((origin) =>
      ({ origin, first: 1, next: 1, logged: 0, ledger: null })),
  })

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rz-intake-'))
  ledger = openLedger(join(dir, 'ledger.sqlite'))
  replies = []
  faults = []
  full = false
  open = true
  state = new State({
    sealAfterMs: 10_000,
    joinTimeoutMs: 30_000,
    openRowsBytesMax: 2 ** 28,
    decode: decodeBatch,
  })
  const tight: Ledger = Object.assign(Object.create(ledger) as Ledger, {
    append(entries: readonly EntryDraft[]) {
      if (full) throw Object.assign(new Error('disk full'), { code: 'ENOSPC' })
      return ledger.append(entries)
    },
  })
  committer = new Committer(
    tight,
    (entry, decoded) => state.apply(entry, decoded),
    (fault) => faults.push(fault),
    (why) => faults.push(why),
  )
  const served = {
    run: 'r',
    dir,
    meeting: MEETING,
    ledger: ledger.id,
    startedAt: 0, term: TERM,
    key: () => 'k',
    open: () => open,
    state: () => open ? 'live' : 'draining',
  }
  intake = new Intake(served, state, committer, () => {})
})
afterEach(() => {
  committer.flush()
  ledger.close()
  rmSync(dir, { recursive: true })
})

describe('frames of an agent', () => {
  it('are answered only when what they brought is durable', () => {
    hello()
    committer.flush()
    say('BATCH', batch(1, 5))
    say('BATCH', batch(6, 9))
    expect(acks()).toEqual([])
    committer.flush()
    expect(acks()).toEqual([9, 9])
    for (const { body, durable } of replies.filter((r) => r.type === 'ACK')) {
      expect((body as { seq: number }).seq).toBeLessThanOrEqual(durable)
    }
  })

  it('admit each record once, whatever is repeated, overlapped or left out', () => {
    const ranges = fc.array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 9 })), {
      maxLength: 40,
    })
    hello()
    committer.flush()
    fc.assert(
      fc.property(ranges, (list) => {
        for (const [first, more] of list) say('BATCH', batch(first, first + more))
        committer.flush()
        const got = [...ledger.entries()].filter((entry) => entry.type === 'batch')
        let next = 1
        for (const { firstSeq, lastSeq } of got) {
          expect(firstSeq).toBe(next)
          next = lastSeq + 1
        }
        expect(state.acked(INSTANCE)).toBe(next - 1)
      }),
      { numRuns: 30 },
    )
  })

  it('of another term, of another meeting or with a flipped byte change nothing', () => {
    hello()
    committer.flush()
    say('BATCH', batch(1, 5), TERM - 1)
    const bytes = encodeFrame('BATCH', TERM, batch(1, 5))
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Uint8Array.from(bytes)
      flipped[at]! ^= 0x10
      intake.take(flipped, 2000, reply)
    }
    committer.flush()
    expect(state.acked(INSTANCE)).toBe(0)
    expect(intake.malformed).toBe(bytes.length)
    expect(replies.filter((r) => r.type === 'REFUSE').length).toBe(bytes.length + 1)
  })

  it('tell the clock of the agent\'s own node, not that of another whose spool it delivers', () => {
    const far = { ...ORIGIN, instance: 'c'.repeat(32), node: 'other', bootId: 'other' }
    hello([ORIGIN, far], { offset: 300, blur: 20 })
    committer.flush()
    const clocks = [...ledger.entries()].map((entry) => {
      const { offset, blur } = (entry as { body: { offset: number; blur: number } }).body
      return { offset, blur }
    })
    expect(clocks).toEqual([{ offset: 300, blur: 20 }, { offset: 0, blur: CLOCK_UNKNOWN_MS }])
  })

  it('tell by what clock a beat was sent', () => {
    hello([ORIGIN], { offset: 300, blur: 20 })
    committer.flush()
    const beat = { instance: INSTANCE, alive: true, logged: 0, lost: 0, backlog: 0 }
    say('BEAT', { sentAt: 1500, agent: 'ab', instances: [beat] })
    expect(state.inside().members.get(INSTANCE)?.soft).toMatchObject({ at: 2000, sentAt: 1800 })
  })

  it('of an unknown instance are not answered, so that its agent says HELLO again', () => {
    say('BATCH', batch(1, 5))
    committer.flush()
    expect(replies).toEqual([])
  })
})

describe('a run whose end is being told', () => {
  const end = (seq: number): void =>
    say('END', { instance: INSTANCE, seq, logged: 4, lost: 0, refused: 0, departure: DEPARTURE, at: 2000 })
  const entries = (): number => [...ledger.entries()].length
  beforeEach(() => {
    hello()
    committer.flush()
    say('BATCH', batch(1, 5))
    committer.flush()
    replies = []
  })

  it('takes nothing more, also of those who were in it: the next head does', () => {
    open = false
    const before = entries()
    say('BATCH', batch(6, 9))
    end(5)
    hello()
    committer.flush()
    expect(entries()).toBe(before)
    expect(replies).toMatchObject([
      { type: 'WELCOME', body: { instances: [{ accepted: false, why: 'run r is draining' }] } },
    ])
  })

  it('says once more that it has all of an instance, also after a restart', () => {
    end(5)
    committer.flush()
    open = false
    const before = entries()
    hello()
    say('BATCH', batch(1, 5))
    end(5)
    committer.flush()
    expect(acks()).toEqual([5, 5, 5])
    expect(replies).toMatchObject([
      {}, { type: 'ACK' }, { type: 'WELCOME', body: { instances: [{ accepted: true, acked: 5 }] } },
      { type: 'ACK', body: { seq: 5, ended: true } },
    ])
    expect(entries()).toBe(before)
  })
})

describe('a ledger that takes nothing', () => {
  it('holds back every acknowledgement, says so once, and takes all when there is room again', async () => {
    hello()
    committer.flush()
    full = true
    say('BATCH', batch(1, 5))
    expect(committer.flush()).toBe(false)
    say('BATCH', batch(6, 9))
    expect(committer.flush()).toBe(false)
    expect(acks()).toEqual([])
    expect(faults).toEqual(['disk full ENOSPC'])
    full = false
    await expect.poll(acks, { timeout: 5000 }).toEqual([9, 9])
    expect(faults).toEqual(['disk full ENOSPC', ''])
    expect(durable()).toBe(9)
  })
})

describe('the end of an instance', () => {
  const end = (seq: number, estimated?: boolean): void =>
    say('END', {
      instance: INSTANCE,
      seq,
      logged: seq - 1,
      lost: 0,
      refused: 0,
      departure: DEPARTURE,
      at: 1900,
      ...(estimated === undefined ? {} : { estimated }),
    })

  it('that another node could only estimate gives way to that of its own, once', () => {
    hello()
    committer.flush()
    say('BATCH', batch(1, 3))
    end(3, true)
    committer.flush()
    say('BATCH', batch(4, 5))
    end(5)
    committer.flush()
    end(3, true)
    committer.flush()
    expect(state.member(INSTANCE)).toMatchObject({ acked: 5, ended: { seq: 5 } })
  })

  it('is taken once, after its last record, and acknowledged as often as it is asked', () => {
    hello()
    committer.flush()
    end(5)
    committer.flush()
    expect(replies.at(-1)).toMatchObject({ type: 'ACK', body: { seq: 0 } })
    say('BATCH', batch(1, 5))
    end(5)
    committer.flush()
    end(5)
    committer.flush()
    expect(replies.filter((r) => (r.body as { ended?: boolean }).ended).length).toBe(2)
    expect(
      [...ledger.entries()].filter((entry) => entry.type === 'note' && entry.kind === 'ended').length,
    ).toBe(1)
    expect(state.member(INSTANCE)?.state).toBe('ended')
  })
})

describe('a newcomer that is of another run of the same meeting', () => {
  const other = (more: Partial<Origin>): Origin => ({ ...ORIGIN, instance: 'c'.repeat(32), ...more })
  const ended = (instance: string): void =>
    say('END', { instance, seq: 0, logged: 0, lost: 0, refused: 0, departure: DEPARTURE, at: 1900 })
  /** What the last WELCOME says of the last instance that it names. */
  const answer = (): { accepted: boolean; why?: string } =>
    (replies.findLast(({ type }) => type === 'WELCOME')!.body as Bodies['WELCOME'] & {
      instances: { accepted: boolean; why?: string }[]
    }).instances.at(-1)!

  it('is not taken when its journal names that run', () => {
    hello([ORIGIN, other({ run: 'before' })])
    committer.flush()
    expect(answer()).toMatchObject({ accepted: false, why: 'it is of run before, not r' })
    hello([other({ run: 'r' })])
    committer.flush()
    expect(answer()).toMatchObject({ accepted: true })
  })

  it('is not taken when another launch made it and nobody lives any more', () => {
    hello([{ ...ORIGIN, launch: '1:1:b' }])
    committer.flush()
    hello([other({ launch: '2:2:b', rank: 1 })])
    committer.flush()
    // Somebody lives: an agent of an elastic job has come back.
    expect(answer()).toMatchObject({ accepted: true })
    ended(INSTANCE)
    ended('c'.repeat(32))
    committer.flush()
    hello([other({ launch: '3:3:b', instance: 'd'.repeat(32) })])
    committer.flush()
    const why: unknown = expect.stringContaining('job after that of run r')
    expect(answer()).toMatchObject({ accepted: false, why })
    // A restart by the same launcher, a node that was not there before, and who says nothing: taken.
    for (const [i, more] of [{ launch: '2:2:b' }, { launch: '3:3:c', bootId: 'c' }, {}].entries()) {
      const instance = `${i}`.repeat(32)
      hello([other({ instance, ...more })])
      committer.flush()
      expect(answer(), JSON.stringify(more)).toMatchObject({ accepted: true })
      ended(instance)
      committer.flush()
    }
  })
})
