/** Decoders of bytes: frames, batches, spool files, journals. Most changes get a checksum that fits. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { encodeEntry, entryAt, scanEntries } from '../../lib/agent/core-spool.ts'
import { Notes } from '../../lib/agent/notes.ts'
import { Spool } from '../../lib/agent/spool.ts'
import { batchFrom } from '../../lib/agent/unit.ts'
import { openReader } from '../../lib/journal/index.ts'
import { commitOf, decodeHeader, encodeHeader, HEADER, PAGE_BYTES, seedOf } from '../../lib/journal/format.ts'
import { crc32 } from '../../lib/record/crc32.ts'
import type { RecordSink } from '../../lib/record/index.ts'
import { decodeBatch, decodeFrame, encodeFrame, peekBatch } from '../../lib/wire/index.ts'
import { BatchBuilder } from '../../lib/wire/batch-build.ts'
import { batchSamples, frameSamples } from '../wire/samples.ts'
import { build, feed, recordsOf } from '../wire/records.ts'
import { corpusOf, intOf, mutateBytes, mutateJson, type Random, type Target } from './kit.ts'

const INSTANCE = '00112233445566778899aabbccddeeff'

function law(holds: boolean, text: string): void {
  if (!holds) throw new Error(`broken: ${text}`)
}

/** The last four bytes are the crc of all before. */
function sealed(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 4) return bytes
  const out = Buffer.from(bytes)
  out.writeUInt32LE(crc32(out, 0, 0, out.length - 4), out.length - 4)
  return out
}

const mutateSealed: Target['mutate'] = (input, random, others) => {
  const bytes = mutateBytes(input, random, others)
  return random() < 0.9 ? sealed(bytes) : bytes
}

const frames: Target = {
  name: 'frames',
  seeds: () => frameSamples.map(({ type, term, body }) => encodeFrame(type, term, body as never)),
  mutate: (input, random, others) => {
    const bytes = Buffer.from(mutateBytes(input, random, others))
    if (bytes.length >= 12 && random() < 0.8) {
      bytes[0] = 1
      bytes.writeUInt16LE(0, 2)
      if (random() < 0.5) bytes[1] = 1 + intOf(random, 9)
    }
    return random() < 0.95 ? sealed(bytes) : bytes
  },
  run(input) {
    const { type, term, body } = decodeFrame(input)
    law(Object.getPrototypeOf(body) !== null && !('polluted' in {}), 'no prototype is touched')
    const again = decodeFrame(encodeFrame(type, term, body as never))
    law(again.type === type && again.term === term, 'type and term stay')
    const same = type === 'BATCH' ? Buffer.compare(again.body as Uint8Array, body) === 0
      : JSON.stringify(again.body) === JSON.stringify(body)
    law(same, `${type} decodes to what was encoded`)
    return type
  },
}

const batches: Target = {
  name: 'batches',
  seeds: () => batchSamples.map(({ records }) => build(INSTANCE, records)),
  mutate: mutateSealed,
  run(input) {
    const batch = decodeBatch(input)
    const { instance, firstSeq, lastSeq, points } = batch
    law(isDeepStrictEqual(peekBatch(input), { instance, firstSeq, lastSeq, points }), 'a peek agrees')
    const records = recordsOf(batch)
    law(records.length === lastSeq - firstSeq + 1, 'every seq once')
    const builder = new BatchBuilder(instance)
    feed(builder, records)
    const again = recordsOf(decodeBatch(builder.finish()))
    law(isDeepStrictEqual(again, records), 'records survive a second coding')
    const middle = firstSeq + ((lastSeq - firstSeq) >> 1)
    const rest = recordsOf(decodeBatch(batchFrom(instance, input, middle)))
    law(isDeepStrictEqual(rest, records.slice(middle - firstSeq)), 'the rest of a batch is its rest')
    return `${batch.groups.length > 3} ${batch.payloads.length > 3} ${points > 100} ${lastSeq > firstSeq}`
  },
}

class SilentNotes extends Notes {
  override once(): void {}
  override say(): void {}
}

const scratch = (where: string): string => mkdtempSync(join(where, 'rz-guard-fuzz-'))
let spoolDir = ''
let journalDir = ''

/** For tests: after the last target. */
export function removeScratch(): void {
  for (const dir of [spoolDir, journalDir]) if (dir !== '') rmSync(dir, { recursive: true, force: true })
}

const spool: Target = {
  name: 'spool',
  mutate(input, random, others) {
    const { entries } = scanEntries(INSTANCE, input)
    if (entries.length === 0 || random() < 0.3) return mutateBytes(input, random, others)
    const parts = entries.map(({ type, body }) => ({ type, body }))
    const one = parts[intOf(random, parts.length)]!
    one.body = mutateBytes(one.body, random)
    if (random() < 0.3) one.type = (1 + intOf(random, 5)) as typeof one.type
    return Buffer.concat(parts.map(({ type, body }) => encodeEntry(INSTANCE, type, body)))
  },
  run(input) {
    spoolDir ||= scratch('/dev/shm')
    const meeting = 'ab'.repeat(16)
    const folder = join(spoolDir, meeting)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `${INSTANCE}.1.spool`), input)
    const notes = new SilentNotes()
    const shelves = new Spool({ directories: [spoolDir], meeting, capBytes: 1 << 30, notes }).recover(null)
    let units = 0
    for (const shelf of shelves) {
      law(shelf.origin.instance === INSTANCE, 'a shelf is of the instance of its file')
      for (let seq = shelf.first, n = 0; n < 1000; n++) {
        const stored = shelf.covering(seq)
        if (stored === null) break
        law(stored.first >= 1 && stored.last >= stored.first, 'a unit ends where it begins, or later')
        if (shelf.load(stored) !== null) units++
        seq = stored.last + 1
      }
    }
    const at = entryAt(INSTANCE, input, 0)
    return `${shelves.length} ${units > 0} ${at?.type}`
  },
}

const quiet: RecordSink = { values() {}, payload() {} }

/** Journal and segments in one input: u32 length of the journal, the journal, the rest is segment 1. */
const journal: Target = {
  name: 'journal',
  seeds: () => corpusOf('journal').flatMap((input) => rehomed(input, (header) => header)),
  mutate(input, random, others) {
    if (random() < 0.1) return rehomed(input, (header) => mutateJson(header, random))[0] ?? input
    const bytes = Buffer.from(mutateBytes(input, random, others))
    if (bytes.length < 4 + PAGE_BYTES || random() < 0.1) return bytes
    const file = bytes.subarray(4)
    if (random() < 0.8) restoreHeader(file, input)
    recommit(file, random)
    return bytes
  },
  run(input) {
    journalDir ||= scratch('/dev/shm')
    for (const name of readdirSync(journalDir)) rmSync(join(journalDir, name))
    const bytes = Buffer.from(input)
    const length = bytes.length < 4 ? 0 : Math.min(bytes.readUInt32LE(0), bytes.length - 4)
    const path = join(journalDir, `${INSTANCE}.jnl`)
    writeFileSync(path, bytes.subarray(4, 4 + length), { mode: 0o600 })
    writeFileSync(join(journalDir, `${INSTANCE}.1.seg`), bytes.subarray(4 + length), { mode: 0o600 })
    const reader = openReader(path)
    try {
      let read = 0
      for (let n = 0; n < 5000; n++) {
        const got = reader.read(quiet, 4096)
        read += got
        if (got > 0) continue
        const before = reader.next
        const hole = reader.hole()
        if (hole === null) break
        law(hole.from === before && hole.to >= before, 'a hole begins here')
        law(Number.isSafeInteger(hole.to), 'a hole ends')
        reader.skipHole()
        law(reader.next === hole.to + 1, 'a hole is passed')
      }
      reader.seek(reader.first())
      reader.trim(reader.next - 1)
      reader.ownerAlive()
      const { seq, logged, lost } = reader.counters()
      reader.backlog()
      return `${read > 0} ${seq > 0} ${logged > 0} ${lost > 0} ${reader.runId() === null}`
    } finally {
      reader.close()
    }
  },
}

/** The recorded journal with its segments looked for here, and its header changed. */
function rehomed(input: Uint8Array, change: (header: unknown) => unknown): Uint8Array[] {
  journalDir ||= scratch('/dev/shm')
  const file = Buffer.from(input).subarray(4)
  try {
    const header = { ...decodeHeader(file, 'recorded'), directories: [journalDir] }
    const page = encodeHeader(change(header) as typeof header)
    return [Buffer.concat([input.subarray(0, 4), page, file.subarray(header.headerBytes)])]
  } catch {
    return []
  }
}

/** The checked part as it was recorded, so that the change is met behind it; the cells stay changed. */
function restoreHeader(file: Buffer, input: Uint8Array): void {
  const recorded = Buffer.from(input).subarray(4)
  recorded.copy(file, 0, 0, HEADER.crc + 4)
  recorded.copy(file, HEADER.text, HEADER.text, Math.min(PAGE_BYTES, recorded.length))
}

/** Some record-like place gets a commit word that fits. */
function recommit(file: Buffer, random: Random): void {
  const words = new Int32Array(file.buffer.slice(file.byteOffset, file.byteOffset + (file.length & ~7)))
  const seed = seedOf(INSTANCE)
  for (let n = 0; n < 4; n++) {
    const w = (PAGE_BYTES >> 2) + 2 * intOf(random, Math.max(1, (words.length - (PAGE_BYTES >> 2)) >> 1))
    const size = words[w + 1] ?? 0
    if (size < 40 || size % 8 !== 0 || (w << 2) + size > words.length << 2) continue
    file.writeInt32LE(commitOf(seed, words, w, size), w << 2)
  }
}

export const BYTE_TARGETS: Target[] = [frames, batches, spool, journal]
