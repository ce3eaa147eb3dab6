import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openReader } from '../../lib/journal/index.ts'
import { Kind } from '../../lib/record/index.ts'
import { Collector, journalIn, log, readAll, scratch } from './helpers.ts'

type Act =
  | { do: 'log'; times: number; count: number; weighted: boolean }
  | { do: 'text'; bytes: number }
  | { do: 'read'; bytes: number }
  | { do: 'trim' | 'trimHalf' | 'reopen' | 'tick' | 'back' }

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 5, arbitrary: fc.record({
    do: fc.constant('log' as const), times: fc.integer({ min: 1, max: 60 }),
    count: fc.integer({ min: 1, max: 12 }), weighted: fc.boolean(),
  }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('text' as const), bytes: fc.nat(5000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), bytes: fc.nat(9000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('trim', 'trimHalf', 'reopen', 'tick', 'back') }) },
)

/**
 * Whatever a writer and an agent do in turns: delivered is what was accepted, in order, once; the rest is
 * counted.
 */
test.each([4096, 16_384, 0])('a ring of %i bytes keeps every accepted record', (ringBytes) => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), fc.integer({ min: 4e4, max: 2e5 }), (acts, overflowCap) => {
      const writer = journalIn(scratch(), { ringBytes, overflowCap })
      for (let n = 1; n <= 12; n++) writer.define(n, Array.from({ length: n }, (_, i) => `m${i}`), 0)
      let reader = openReader(writer.path)
      let sink = new Collector()
      const delivered = new Map<number, string>()
      const keep = (): void => {
        for (const record of sink.taken) {
          const text = JSON.stringify(record)
          expect(delivered.get(record.seq) ?? text).toBe(text)
          delivered.set(record.seq, text)
        }
        sink = new Collector()
      }
      let step = 0
      let accepted = 0
      for (const a of acts) {
        if (a.do === 'log') {
          for (let i = 0; i < a.times; i++, step++) {
            const values = new Array(a.count).fill(step)
            if (log(writer, a.count, step, values, a.weighted ? step : NaN)) accepted += a.count
          }
        } else if (a.do === 'text') writer.payload(Kind.text, { line: 'x'.repeat(a.bytes) }, 0)
        else if (a.do === 'read') reader.read(sink, a.bytes)
        else if (a.do === 'trim') reader.trim(reader.next - 1)
        else if (a.do === 'trimHalf') reader.trim(Math.floor((reader.first() + reader.next) / 2))
        else if (a.do === 'back') reader.seek(Math.max(reader.first(), reader.next - 20))
        else if (a.do === 'tick') writer.tick(0)
        else {
          keep()
          reader.close()
          reader = openReader(writer.path)
        }
        expect(reader.first()).toBeLessThanOrEqual(reader.next)
      }
      writer.payload(Kind.end, { exit: 0, logged: writer.logged, refused: 0 }, 0)
      readAll(reader, sink)
      writer.close()
      readAll(reader, sink)
      expect(reader.hole()).toBeNull()
      keep()
      const seqs = [...delivered.keys()].sort((x, y) => x - y)
      expect(seqs).toEqual(Array.from({ length: writer.seq() }, (_, i) => i + 1))
      const records = [...delivered.values()].map((text) => JSON.parse(text))
      const values = records.filter((record) => record.kind === Kind.values)
      expect(values.every((r) => r.values.every((v: number) => v === r.step))).toBe(true)
      expect(values.reduce((sum, r) => sum + r.values.length, 0)).toBe(accepted)
      const lost = records.filter((record) => record.kind === Kind.lost)
        .flatMap((record) => Object.values(record.body.points as Record<string, number>))
      expect(lost.reduce((sum, n) => sum + n, 0)).toBe(writer.lost)
      expect(accepted + writer.lost).toBe(writer.logged)
      expect(reader.counters()).toMatchObject({ logged: writer.logged, lost: writer.lost, seq: writer.seq() })
      reader.trim(reader.next - 1)
      expect(reader.counters().trimmed).toBe(writer.seq())
      reader.close()
    }),
    { numRuns: Number(process.env['RANKZERO_TEST_ROUNDS'] ?? 3) * 50 },
  )
})
