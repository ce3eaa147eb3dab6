import fc from 'fast-check'
import { closeSync, openSync, readFileSync, readdirSync, writeFileSync, writeSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openReader, type Hole } from '../../lib/journal/index.ts'
import { HEADER } from '../../lib/journal/format.ts'
import { native } from '../../lib/native.ts'
import { Kind } from '../../lib/record/index.ts'
import { Collector, journalIn, log, readOverHoles, scratch, type Taken } from './helpers.ts'

interface Copy {
  dir: string
  path: string
  /** Records by seq, as written. */
  truth: Map<number, Taken>
  points: number
  /** Files with their bytes, to start each case from. */
  files: Map<string, Buffer>
}

/**
 * A finished journal with definitions, weights and payloads in `ringBytes` of ring and, if that is small,
 * segments.
 */
function finished(ringBytes: number): Copy {
  const dir = scratch()
  const writer = journalIn(dir, { ringBytes, overflowCap: 1 << 20 })
  writer.payload(Kind.open, { source: 'test' }, 1)
  writer.define(0, ['x', 'y'], 2)
  writer.define(1, ['z'], 2)
  for (let step = 0; step < 120; step++) {
    log(writer, 0, step, [step + 0.5, -step], step % 2 ? 2 : NaN)
    if (step % 10 === 0) writer.payload(Kind.text, { line: `step ${step}` }, 3)
    if (step % 3 === 0) log(writer, 1, step, [step])
  }
  writer.payload(Kind.end, { exit: 0, logged: writer.logged, refused: 0 }, 4)
  const points = writer.logged
  writer.close()
  const reader = openReader(writer.path)
  const sink = new Collector()
  expect(readOverHoles(reader, sink)).toEqual([])
  reader.close()
  const files = new Map(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name))]))
  return { dir, path: writer.path, truth: new Map(sink.taken.map((r) => [r.seq, r])), points, files }
}

function restore(copy: Copy): void {
  for (const [name, bytes] of copy.files) writeFileSync(join(copy.dir, name), bytes)
}

function flip(copy: Copy, name: string, offset: number, mask: number): void {
  const fd = openSync(join(copy.dir, name), 'r+')
  writeSync(fd, Uint8Array.of(copy.files.get(name)![offset]! ^ mask), 0, 1, offset)
  closeSync(fd)
}

/** What any reader must hold to, whatever was damaged: truth or a hole, and every point in one of them. */
function check(copy: Copy): { holes: Hole[]; seqs: Set<number> } {
  const reader = openReader(copy.path)
  const sink = new Collector()
  const holes = readOverHoles(reader, sink)
  for (const record of sink.taken) expect(record).toEqual(copy.truth.get(record.seq))
  const seqs = new Set(sink.taken.map((r) => r.seq))
  expect(seqs.size).toBe(sink.taken.length)
  for (const seq of copy.truth.keys()) {
    expect(seqs.has(seq)).toBe(!holes.some(({ from, to }) => from <= seq && seq <= to))
  }
  expect(sink.points + holes.reduce((sum, hole) => sum + hole.points, 0)).toBe(copy.points)
  expect(reader.counters().logged).toBe(copy.points)
  reader.close()
  return { holes, seqs }
}

const forms = [
  { form: 'a ring', ringBytes: 64 * 1024 },
  { form: 'a ring and segments', ringBytes: 4096 },
  { form: 'segments', ringBytes: 0 },
]

describe.each(forms)('in $form', ({ ringBytes }) => {
  test('a flipped byte makes one hole of one record with its points, never a wrong value', () => {
    const copy = finished(ringBytes)
    const journal = basename(copy.path)
    const places = [...copy.files].flatMap(([name, bytes]) => {
      if (name.endsWith('.lock')) return []
      const start = name === journal ? 4096 : 0
      return Array.from({ length: bytes.length - start }, (_, i) => ({ name, offset: start + i }))
    })
    fc.assert(
      fc.property(fc.nat(places.length - 1), fc.integer({ min: 1, max: 255 }), (i, mask) => {
        restore(copy)
        const { name, offset } = places[i]!
        flip(copy, name, offset, mask)
        const { holes } = check(copy)
        // Bytes of the ring that were never written or lie behind a pad are nobody's.
        expect(holes.length).toBeLessThanOrEqual(1)
        for (const hole of holes) expect(hole.to).toBe(hole.from)
        if (name !== journal) expect(holes.length).toBe(1)
      }),
      { numRuns: 300 },
    )
  })

  test('every byte of one value record and of one definition is covered', () => {
    const copy = finished(ringBytes)
    const mapped = ringBytes > 0 && native.kind === 'addon'
    const [name, bytes] = [...copy.files].find(([file]) => file.endsWith(mapped ? '.jnl' : '.seg'))!
    const first = mapped ? 4096 : 0
    // open, then the definition, then the second, then the first values.
    const sizes: number[] = []
    let at = first
    for (let i = 0; i < 4; i++) {
      sizes.push(bytes.readUInt32LE(at + 4))
      at += sizes.at(-1)!
    }
    for (let offset = first; offset < at; offset++) {
      restore(copy)
      flip(copy, name, offset, 0x10)
      expect(check(copy).holes).toHaveLength(1)
    }
  })

  test('any damage at all yields no wrong value', () => {
    const copy = finished(ringBytes)
    const names = [...copy.files.keys()].filter((name) => !name.endsWith('.lock'))
    const damage = fc.record({
      name: fc.constantFrom(...names),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }),
    })
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 6 }), (all) => {
        restore(copy)
        for (const { name, at, bytes } of all) {
          const start = name.endsWith('.jnl') ? 4096 : 0
          const fd = openSync(join(copy.dir, name), 'r+')
          const size = copy.files.get(name)!.length
          const offset = start + Math.floor(at * (size - start - 1))
          writeSync(fd, bytes.subarray(0, size - offset), 0, Math.min(bytes.length, size - offset), offset)
          closeSync(fd)
        }
        check(copy)
      }),
      { numRuns: 150 },
    )
  })

  test('a flipped byte of the header never yields a wrong value', () => {
    const copy = finished(ringBytes)
    const journal = basename(copy.path)
    for (let offset = 0; offset < 700; offset++) {
      restore(copy)
      flip(copy, journal, offset, 1 << (offset % 8))
      const immutable = offset < HEADER.crc + 4 || offset >= HEADER.text
      let sink = new Collector()
      try {
        const reader = openReader(copy.path)
        readOverHoles(reader, sink)
        reader.close()
        expect(immutable).toBe(false)
      } catch (error) {
        expect(error).toMatchObject({ code: 'DAMAGED', message: expect.stringContaining(copy.path) })
        sink = new Collector()
      }
      for (const record of sink.taken) expect(record).toEqual(copy.truth.get(record.seq))
    }
  })
})

test('damage is passed while the owner lives and goes on', async () => {
  const dir = scratch()
  const writer = journalIn(dir, { ringBytes: 8192 })
  writer.define(0, ['x'], 0)
  for (let step = 0; step < 20; step++) log(writer, 0, step, [step])
  const segment = readdirSync(dir).find((name) => name.endsWith('.seg'))
  const path = segment === undefined ? writer.path : join(dir, segment)
  const fd = openSync(path, 'r+')
  writeSync(fd, Uint8Array.of(0xff, 0xff), 0, 2, (segment === undefined ? 4096 : 0) + 64 + 48 * 7 + 20)
  closeSync(fd)
  writer.tick(1)
  const reader = openReader(writer.path)
  const sink = new Collector()
  const deadline = Date.now() + 5000
  let hole = null
  while (hole === null && Date.now() < deadline) {
    reader.read(sink, 1 << 16)
    hole = reader.hole()
    await new Promise(setImmediate)
  }
  expect(hole).toMatchObject({ from: hole!.to, points: 1 })
  reader.skipHole()
  for (let step = 20; step < 2000; step++) {
    log(writer, 0, step, [step])
    if (step % 7 === 0) reader.read(sink, 1 << 16)
    if (step % 50 === 0) reader.trim(reader.next - 1)
  }
  writer.tick(2)
  expect(readOverHoles(reader, sink)).toEqual([])
  expect(sink.points).toBe(1999)
  expect(reader.counters()).toMatchObject({ logged: 2000, lost: 0 })
  writer.close()
  reader.close()
})
