import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { decodeHeader, encodeHeader, seedOf } from '../../lib/journal/format.ts'
import { openReader } from '../../lib/journal/index.ts'
import { segmentName } from '../../lib/journal/segments.ts'
import { Writer } from '../../lib/journal/writer.ts'
import { crc32 } from '../../lib/record/crc32.ts'
import { Kind, KIND_MAX, jsonNumber, type Origin } from '../../lib/record/index.ts'
import { Collector, log, readAll, scratch, type Taken } from './helpers.ts'

/**
 * golden.json is the format as bytes, for readers and writers in any language. RANKZERO_GOLDEN=write makes it
 * anew: only together with a new format version.
 */
const GOLDEN = new URL('./golden.json', import.meta.url).pathname

interface Vector {
  title: string
  journal: string
  segments: Record<string, string>
  records: object[]
}

const origin: Origin = {
  instance: '00112233445566778899aabbccddeeff', meeting: 'f'.repeat(32), run: null, role: 'worker', rank: 3,
  worldSize: 8, localRank: 1, node: 'node-ü', bootId: 'b', pidns: 4026531836, pid: 4711, procStart: 99,
  startedAt: 1_700_000_000_000, dir: '/data/rankzero', cli: '["rankzero"]',
}

/** Values as JSON can carry them: NaN, infinities and -0 are strings. */
const jsonValue = (value: number): unknown => (Object.is(value, -0) ? '-0' : jsonNumber(value))

function meaning(record: Taken): object {
  if (record.kind !== Kind.values) return record
  const weight = Number.isNaN(record.weight) ? null : record.weight
  return { ...record, weight, values: record.values!.map(jsonValue) }
}

/** Hex without the zeros at the end: the file is `bytes` long. */
function hex(bytes: Uint8Array): string {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return `${bytes.length}:${Buffer.from(bytes.subarray(0, end)).toString('hex')}`
}

type Act = (writer: Writer, drain: () => void) => void

function vector(title: string, ringBytes: number, write: Act): Vector {
  const dir = scratch()
  const path = join(dir, `${origin.instance}.jnl`)
  const page = encodeHeader({ origin, ringBytes, directories: [dir], lockMode: 0 })
  // The directory differs from run to run, so the vectors name '.'.
  const shown = encodeHeader({ origin, ringBytes, directories: ['.'], lockMode: 0 })
  const map = ringBytes > 0 ? new ArrayBuffer(page.length + ringBytes) : null
  writeFileSync(path, Buffer.alloc(page.length + ringBytes))
  const writer = new Writer({
    instance: origin.instance, path, map, headerBytes: page.length, fd: -1, directories: [dir],
    overflowCap: 1 << 20, mayUse: () => true, release: () => undefined,
  })
  const sink = new Collector()
  const flush = (): void => {
    const bytes = Buffer.from(map === null ? page : new Uint8Array(map))
    bytes.set(page.subarray(0, 128))
    bytes.set(page.subarray(512), 512)
    writeFileSync(path, bytes)
  }
  const drain = (): void => {
    flush()
    const reader = openReader(path)
    readAll(reader, sink)
    reader.trim(reader.next - 1)
    reader.close()
    // What the agent wrote to the file is what an owner with a mapping sees.
    if (map !== null) new Uint8Array(map).set(readFileSync(path).subarray(256, 384), 256)
  }
  write(writer, drain)
  flush()
  const rest = new Collector()
  const reader = openReader(path)
  readAll(reader, rest)
  reader.close()
  const file = readFileSync(path)
  file.set(shown.subarray(0, 128))
  file.fill(0, 512, page.length)
  file.set(shown.subarray(512), 512)
  const segments: Record<string, string> = {}
  for (let n = 1; n < 9; n++) {
    const name = segmentName(origin.instance, n)
    try {
      segments[name] = hex(readFileSync(join(dir, name)))
    } catch {
      continue
    }
  }
  return { title, journal: hex(file), segments, records: rest.taken.map(meaning) }
}

function fill(writer: Writer): void {
  writer.payload(Kind.open, { source: 'golden', config: { lr: 0.1 } }, 1000)
  writer.define(0, ['loss', 'acc/ü', ''], 1001)
  log(writer, 0, 0, [0.1, -0, 2 ** 53])
  log(writer, 0, 2 ** 53 - 1, [NaN, Infinity, -Infinity], 32.5)
  writer.payload(Kind.text, { line: 'a "line" with 漢字' }, 1002)
}

function make(): object {
  const vectors = [
    vector('a ring that is not full', 4096, fill),
    vector('a second lap: a pad, and the definition again', 4096, (writer, drain) => {
      fill(writer)
      for (let step = 1; step < 47; step++) log(writer, 0, step, [step, step / 2, -step])
      drain()
      for (let step = 47; step < 80; step++) log(writer, 0, step, [step, step / 2, -step], step)
    }),
    vector('segments only', 0, fill),
    vector('a full ring, then segments', 4096, (writer) => {
      fill(writer)
      for (let step = 1; step < 90; step++) log(writer, 0, step, [step, step / 2, -step])
    }),
    vector('an asset, a reference, facts, and a kind of a later version', 4096, (writer) => {
      const asset = { name: 'd/ü.pt', type: 'model-element', step: 7, metadata: { model: 'net' }, size: 3 }
      writer.payload(Kind.asset, { ...asset, sha256: 'ba7816bf8f01cfea'.repeat(4) }, 1003)
      const reference = { name: 'k.pt', type: 'asset', step: null, size: null, sha256: null }
      writer.payload(Kind.asset, { ...reference, uri: 's3://b/k.pt' }, 1004)
      writer.payload(Kind.facts, { others: { k: [1, null] } }, 1005)
      writer.payload(Kind.facts, { tags: ['t'], name: 'n' }, 1006)
      writer.payload(KIND_MAX as Kind, { new: true }, 1007)
    }),
  ]
  return {
    about: 'lib/journal/FORMAT.md as bytes. Files are "<length>:<hex>", then zeros. Read by golden.py.',
    crc: [
      { hex: '', crc: 0 },
      { hex: Buffer.from('123456789').toString('hex'), crc: crc32(Buffer.from('123456789')) },
      { hex: origin.instance, crc: ~seedOf(origin.instance) >>> 0 },
    ],
    origin,
    vectors,
  }
}

test('the writer makes the bytes of golden.json', () => {
  const made = `${JSON.stringify(make(), null, 1)}\n`
  if (process.env['RANKZERO_GOLDEN'] === 'write') writeFileSync(GOLDEN, made)
  expect(JSON.parse(made)).toEqual(JSON.parse(readFileSync(GOLDEN, 'utf8')))
})

test('the reader finds in golden.json what it says', () => {
  const { vectors } = JSON.parse(readFileSync(GOLDEN, 'utf8')) as { vectors: Vector[] }
  const bytesOf = (text: string): Buffer => {
    const [length, digits] = text.split(':')
    const bytes = Buffer.alloc(Number(length))
    bytes.write(digits!, 'hex')
    return bytes
  }
  const directory = process.cwd()
  for (const { journal, segments, records } of vectors) {
    const dir = scratch()
    const path = join(dir, `${origin.instance}.jnl`)
    writeFileSync(path, bytesOf(journal))
    for (const [name, text] of Object.entries(segments)) writeFileSync(join(dir, name), bytesOf(text))
    expect(decodeHeader(bytesOf(journal), path).origin).toEqual(origin)
    process.chdir(dir)
    try {
      const reader = openReader(path)
      const sink = new Collector()
      readAll(reader, sink)
      expect(sink.taken.map(meaning)).toEqual(records)
      reader.close()
    } finally {
      process.chdir(directory)
    }
  }
})

test('a second language reads the same', () => {
  const script = new URL('./golden.py', import.meta.url).pathname
  const { status, stdout, stderr, error } = spawnSync('python3', [script, GOLDEN], { encoding: 'utf8' })
  expect(error, 'python3 is needed for this test').toBeUndefined()
  expect([status, stdout, stderr]).toEqual([0, '5 journals read\n', ''])
})
