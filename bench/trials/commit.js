// The aggregator's own path without sockets: BATCH frames through intake, group commit with fsync, and acks.
// With admission alone (`admit`), or with the whole state: members, merge, seals (`merge`).
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { importDist, report } from '../kit.js'

const RANKS = 8
const METRICS = 50
const STEPS = 8000
const STEPS_PER_BATCH = 400
const POINTS = RANKS * METRICS * STEPS
const DELIVERED_PART = 0.9
const { BatchBuilder, decodeBatch, encodeFrame } = await importDist('wire/index.js')
const { Intake } = await importDist('aggregator/intake.js')
const { Committer } = await importDist('aggregator/commit.js')
const { State } = await importDist('aggregator/core-state.js')
const { openLedger } = await importDist('ledger/index.js')
const limits = await importDist('limits.js')

const names = Array.from({ length: METRICS }, (_, i) => `group_${i % 7}/metric_${i}`)
const origins = Array.from({ length: RANKS }, (_, rank) => ({
  instance: randomBytes(16).toString('hex'), meeting: 'm', run: 'r', role: 'worker',
  rank, worldSize: RANKS, localRank: rank, node: 'n', bootId: 'b', pidns: 0, pid: rank + 1, procStart: 1,
  startedAt: 1, dir: '/', cli: '',
}))

/** The frames of one rank: a layout, then its steps; weights given, values exact in float32. */
function framesOf({ instance, rank }) {
  const frames = []
  const values = new Float64Array(METRICS)
  const layout = new TextEncoder().encode(JSON.stringify({ id: 1, names }))
  const builder = new BatchBuilder(instance)
  let seq = 1
  builder.reset(seq)
  builder.payload(seq++, 1, 1, layout)
  for (let step = 0; step < STEPS; step++) {
    for (let i = 0; i < METRICS; i++) values[i] = Math.fround(Math.sin(step * 0.01 + i + rank))
    builder.values(seq++, 1, step, rank + 1, 1000 + step * 100, values, 0, METRICS)
    if ((step + 1) % STEPS_PER_BATCH > 0) continue
    frames.push(encodeFrame('BATCH', 1, builder.finish()))
    builder.reset(seq)
  }
  return frames
}

/** Ranks take turns, as their agents' frames would arrive. */
const perRank = origins.map(framesOf)
const frames = perRank[0].flatMap((_, i) => perRank.map((own) => own[i]))

/** Admission alone: a cursor per instance. */
function cursorsOnly() {
  const cursors = new Map(origins.map(({ instance }) => [instance, 0]))
  return {
    roster: { get: (instance) => cursors.get(instance) },
    acked: (instance) => cursors.get(instance),
    apply: ({ instance, lastSeq }) => { cursors.set(instance, lastSeq) },
    decide: () => [],
    books: () => null,
  }
}

function wholeState(ledger) {
  const state = new State({
    sealAfterMs: limits.SEAL_AFTER_MS,
    joinTimeoutMs: limits.JOIN_TIMEOUT_MS,
    openRowsBytesMax: limits.OPEN_ROWS_BYTES_MAX,
    decode: decodeBatch,
  })
  const notes = origins.flatMap((origin) => state.join(origin, 1, 1000, { ledgerBefore: null, offset: 0 }))
  let pos = ledger.append(notes) - notes.length
  for (const note of notes) state.apply({ ...note, pos: ++pos })
  return state
}

async function pointsPerSecond(stateOf) {
  const ledger = openLedger(join(tmpdir(), 'ledger.sqlite'))
  const state = stateOf(ledger)
  const complain = (fault) => { if (fault) throw new Error(fault) }
  const committer = new Committer(ledger, (...entry) => state.apply(...entry), complain, complain)
  const served = {
    run: 'r', dir: '/', meeting: 'm', ledger: ledger.id, term: 1,
    key: () => 'k', open: () => true, state: () => 'live',
  }
  const intake = new Intake(served, state, committer, () => {})
  let acked = 0
  const started = performance.now()
  let now = 1000
  for (const frame of frames) {
    intake.take(frame, now, (type) => { if (type === 'ACK') acked++ })
    now += 5
    for (const note of state.decide(now)) committer.push(note)
  }
  committer.flush()
  const seconds = (performance.now() - started) / 1000
  if (acked !== frames.length) throw new Error(`${acked} of ${frames.length} batches were acknowledged`)
  // All but what no other rank has passed yet is in rows that are closed.
  const delivered = state.books()?.reduce((sum, { local }) => sum + local.delivered, 0) ?? Infinity
  if (delivered < POINTS * DELIVERED_PART) throw new Error(`${delivered} of ${POINTS} points were merged`)
  ledger.close()
  return POINTS / seconds
}

const stateOf = { admit: cursorsOnly, merge: wholeState }[process.argv[2]]
report({ rate: await pointsPerSecond(stateOf) })
