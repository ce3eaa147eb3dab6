import { readFileSync, readdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { encodeEntry, Entry, scanEntries, type FactsBody } from '../../lib/agent/core-spool.ts'
import { Notes } from '../../lib/agent/notes.ts'
import type { Shelf } from '../../lib/agent/shelf.ts'
import { Spool, spooledRun } from '../../lib/agent/spool.ts'
import { batchFrom, skipUnit, type Unit } from '../../lib/agent/unit.ts'
import { SPOOL_FILE_BYTES } from '../../lib/limits.ts'
import { Kind } from '../../lib/record/index.ts'
import { BatchBuilder, decodeBatch } from '../../lib/wire/index.ts'
import { makePlace, originOf, valueOf, type Place } from './place.ts'

const A = 'a'.repeat(32)
const places: Place[] = []
afterEach(() => places.splice(0).forEach((place) => place.remove()))

function batch(instance: string, first: number, count: number, names = 1): Unit {
  const builder = new BatchBuilder(instance)
  builder.reset(first)
  for (let seq = first; seq < first + count; seq++) {
    const values = Float64Array.from({ length: names }, (_, i) => valueOf(seq + i))
    builder.values(seq, 0, seq, NaN, 1000 + seq, values, 0, names)
  }
  return { type: 'BATCH', first, last: first + count - 1, body: builder.finish() }
}

const facts = (seq: number, over: Partial<FactsBody> = {}): FactsBody =>
  ({ seq, logged: seq, lost: 0, refused: 0, departure: null, at: 1, ...over })

class QuietNotes extends Notes {
  readonly lines: string[] = []
  override once(line: string): void { this.lines.push(line) }
}

function spoolAt(place: Place): { spool: Spool; notes: QuietNotes } {
  const notes = new QuietNotes()
  const directories = [join(place.options.dir, '.pending')]
  const spool = new Spool({ directories, meeting: place.options.meeting, capBytes: 1 << 30, notes })
  return { notes, spool }
}

function place(): Place {
  const made = makePlace()
  places.push(made)
  return made
}

const filesOf = (at: Place): string[] => {
  const directory = join(at.options.dir, '.pending', at.options.meeting)
  return readdirSync(directory).sort().map((name) => join(directory, name))
}

describe('spool entries', () => {
  const bodies = [Uint8Array.of(), Uint8Array.of(1, 2, 3), new Uint8Array(40).fill(0x52)]
  const whole = Buffer.concat(bodies.map((body) => encodeEntry(A, Entry.batch, body)))
  const hex = (body: Uint8Array): string => Buffer.from(body).toString('hex')
  const read = (bytes: Uint8Array): string[] => scanEntries(A, bytes).entries.map(({ body }) => hex(body))
  const right = bodies.map(hex)

  test('come back as they were written', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), (list) => {
      const bytes = Buffer.concat(list.map((body) => encodeEntry(A, Entry.batch, body)))
      expect(scanEntries(A, bytes).damaged).toBe(0)
      expect(read(bytes)).toEqual(list.map(hex))
    }))
  })

  test('a flipped bit anywhere costs its own entry and no other, and is seen', () => {
    for (let at = 0; at < whole.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = Buffer.from(whole)
        bytes[at]! ^= 1 << bit
        expect(scanEntries(A, bytes).damaged).toBeGreaterThan(0)
        const left = read(bytes)
        expect(left).toHaveLength(bodies.length - 1)
        for (const body of left) expect(right).toContain(body)
      }
    }
  })

  test('a torn tail of any length costs the torn entry only', () => {
    for (let length = 0; length <= whole.length; length++) {
      const left = read(whole.subarray(0, length))
      expect(left).toEqual(right.slice(0, left.length))
    }
  })

  test('an entry in another instance\'s file does not pass', () => {
    expect(scanEntries('b'.repeat(32), whole).entries).toEqual([])
  })
})

describe('spool', () => {
  test('gives back after a restart what was appended, with origin, ledger and the last facts', () => {
    const at = place()
    const origin = originOf(at)
    const { spool } = spoolAt(at)
    const shelf = spool.shelf(origin)
    shelf.ledger = 'L'
    const units = [batch(origin.instance, 5, 10), skipUnit(15, 19, 'gone', 4), batch(origin.instance, 20, 1)]
    shelf.append(units.slice(0, 1), facts(14))
    shelf.append(units.slice(1), facts(20, { logged: 99 }))

    const again = spoolAt(at)
    const [found] = again.spool.recover(origin.node)
    expect(found).toMatchObject({ origin, ledger: 'L', first: 5, last: 20, facts: facts(20, { logged: 99 }) })
    expect(again.spool.bytes).toBe(spool.bytes)
    for (const unit of units) {
      const stored = found!.covering(unit.first)!
      expect(stored).toMatchObject({ type: unit.type, first: unit.first, last: unit.last })
      expect(found!.load(stored)).toEqual(unit.type === 'BATCH' ? Buffer.from(unit.body) : unit.body)
    }
    expect(again.notes.lines).toEqual([])
  })

  test('files that were begun before the run was known say it once it is', () => {
    const at = place()
    const origin = originOf(at, { run: null })
    const unit = batch(origin.instance, 1, 10)
    const directory = join(at.options.dir, '.pending', at.options.meeting)
    const read = (): Shelf => spoolAt(at).spool.recover(origin.node)[0]!
    const open = spoolAt(at).spool.shelf({ ...origin })
    open.append([unit], facts(10))
    expect(spooledRun(directory)).toBeNull()
    open.joined('R')
    expect(read()).toMatchObject({ origin: { run: 'R' }, first: 1, last: 10, facts: facts(10) })
    expect(spooledRun(directory)).toBe('R')
    open.remove(false)

    spoolAt(at).spool.shelf({ ...origin }).append([unit], facts(10))
    const recovered = read()
    recovered.joined('S')
    recovered.acked(10, true)
    expect(read()).toMatchObject({ origin: { run: 'S' }, last: 0, facts: facts(10) })
  })

  test('a file torn at any length gives a prefix; one flipped byte never gives a wrong point', () => {
    const at = place()
    const origin = originOf(at)
    const shelf = spoolAt(at).spool.shelf(origin)
    const units = [batch(origin.instance, 1, 3), batch(origin.instance, 4, 3), batch(origin.instance, 7, 2)]
    shelf.append(units, facts(8))
    const [path] = filesOf(at)
    const whole = readFileSync(path!)
    const recovered = (): { first: number; body: unknown }[] => {
      const [found] = spoolAt(at).spool.recover(origin.node)
      return units.flatMap(({ first }) => {
        const stored = found?.covering(first)
        return stored?.first === first ? [{ first, body: found!.load(stored) }] : []
      })
    }
    const right = units.map(({ first, body }) => ({ first, body: Buffer.from(body as Uint8Array) }))
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path!, whole)
      truncateSync(path!, length)
      const got = recovered()
      expect(got).toEqual(right.slice(0, got.length))
    }
    for (let i = 0; i < whole.length; i++) {
      const bytes = Buffer.from(whole)
      bytes[i]! ^= 1 << (i % 8)
      writeFileSync(path!, bytes)
      for (const one of recovered()) expect(right).toContainEqual(one)
    }
  })

  test('damage that comes after the recovery is found when the unit is read', () => {
    const at = place()
    const origin = originOf(at)
    const shelf = spoolAt(at).spool.shelf(origin)
    shelf.append([batch(origin.instance, 1, 3), batch(origin.instance, 4, 3)], facts(6))
    const stored = shelf.covering(1)!
    const bytes = readFileSync(stored.file.path)
    bytes[stored.at + 20]! ^= 1
    writeFileSync(stored.file.path, bytes)
    expect(shelf.load(stored)).toBeNull()
    expect(shelf.covering(1)!.first).toBe(4)
  })

  test('a file goes when all of it is acknowledged, the newest only when its facts are needless', () => {
    const at = place()
    const origin = originOf(at)
    const { spool } = spoolAt(at)
    const shelf = spool.shelf(origin)
    const big: Unit = { type: 'BATCH', first: 1, last: 1, body: new Uint8Array(SPOOL_FILE_BYTES) }
    shelf.append([big], facts(1))
    shelf.append([{ ...big, first: 2, last: 2 }], facts(2))
    shelf.append([batch(origin.instance, 3, 1)], facts(3))
    expect(filesOf(at)).toHaveLength(3)
    shelf.acked(1, true)
    expect(filesOf(at)).toHaveLength(2)
    shelf.acked(3, true)
    expect(filesOf(at)).toHaveLength(1)
    shelf.remove(false)
    expect(spool.bytes).toBe(0)

    const other = spool.shelf(originOf(at))
    other.append([batch(other.origin.instance, 1, 1)], facts(1))
    other.acked(1, false)
    expect(other.empty).toBe(true)
    expect(spool.bytes).toBe(0)
  })

  test('files of another node that shares the directory stay untouched', () => {
    const at = place()
    const origin = originOf(at, { node: 'elsewhere' })
    spoolAt(at).spool.shelf(origin).append([batch(origin.instance, 1, 1)], facts(1))
    expect(spoolAt(at).spool.recover('here')).toEqual([])
    expect(filesOf(at)).toHaveLength(1)
  })

  test('what its own agent appends while another node delivers the rest stays', () => {
    const at = place()
    const origin = originOf(at)
    const own = spoolAt(at).spool.shelf(origin)
    own.append([batch(origin.instance, 1, 3)], facts(3))
    const elsewhere = spoolAt(at).spool.recover(null)[0]!
    own.append([batch(origin.instance, 4, 2)], facts(5))
    elsewhere.acked(3, true)
    elsewhere.remove(true)
    const rest = spoolAt(at).spool.recover(null)[0]!
    expect(rest.covering(4)).toMatchObject({ first: 4, last: 5 })
    rest.acked(3, true)
    rest.remove(true)
    expect(spoolAt(at).spool.recover(null)[0]).toMatchObject({ last: 5 })
    rest.acked(5, true)
    rest.remove(true)
    expect(spoolAt(at).spool.recover(null)).toEqual([])
    // Its own agent learns of that by its next append, and has it then in a file that is there.
    expect(() => own.append([batch(origin.instance, 6, 1)], facts(6))).toThrow('ENOENT')
    own.append([batch(origin.instance, 6, 1)], facts(6))
    expect(spoolAt(at).spool.recover(null)[0]).toMatchObject({ first: 6, last: 6 })
  })

  test('a file that another node was about to delete is found again', () => {
    const at = place()
    const origin = originOf(at)
    spoolAt(at).spool.shelf(origin).append([batch(origin.instance, 1, 3)], facts(3))
    const [path] = filesOf(at)
    renameSync(path!, `${path}.taken`)
    const found = spoolAt(at).spool.recover(origin.node)[0]!
    expect(found).toMatchObject({ first: 1, last: 3 })
    found.append([batch(origin.instance, 4, 1)], facts(4))
    const elsewhere = spoolAt(at).spool.recover(null)[0]!
    expect(elsewhere).toMatchObject({ first: 1, last: 4 })
    elsewhere.acked(4, true)
    elsewhere.remove(true)
    expect(spoolAt(at).spool.recover(null)).toEqual([])
  })

  test('when no directory can be made, the error names the remedy', () => {
    const at = place()
    writeFileSync(join(at.options.dir, '.pending'), 'a file where a directory should be')
    const shelf = spoolAt(at).spool.shelf(originOf(at))
    expect(() => shelf.append([], facts(0))).toThrow(expect.objectContaining({
      code: 'JOURNAL', remedy: expect.stringContaining('writable'),
    }))
  })
})

describe('the rest of a batch', () => {
  test('has exactly the records from a seq on', () => {
    fc.assert(fc.property(
      fc.array(fc.record({
        layout: fc.nat(2), step: fc.nat(), weight: fc.option(fc.double({ noNaN: true }), { nil: NaN }),
        time: fc.nat(), values: fc.array(fc.double(), { minLength: 1, maxLength: 1 }), text: fc.boolean(),
      }), { minLength: 1, maxLength: 30 }),
      fc.nat(),
      (records, cut) => {
        const build = (from: number): Uint8Array => {
          const builder = new BatchBuilder(A)
          builder.reset(from)
          records.forEach(({ layout, step, weight, time, values, text }, i) => {
            if (i + 1 < from) return
            if (text) builder.payload(i + 1, Kind.text, time, Buffer.from(JSON.stringify({ line: `${i}` })))
            else builder.values(i + 1, layout, step, weight, time, Float64Array.from(values), 0, 1)
          })
          return builder.finish()
        }
        const from = 1 + (cut % records.length)
        expect(decodeBatch(batchFrom(A, build(1), from))).toEqual(decodeBatch(build(from)))
      },
    ))
  })
})
