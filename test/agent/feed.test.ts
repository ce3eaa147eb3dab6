import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { Feed } from '../../lib/agent/feed.ts'
import { Notes } from '../../lib/agent/notes.ts'
import { Spool } from '../../lib/agent/spool.ts'
import { skipUnit } from '../../lib/agent/unit.ts'
import { listJournals, openReader } from '../../lib/journal/index.ts'
import { makePlace, originOf, Owner, type Place } from './place.ts'

const places: Place[] = []
afterEach(() => places.splice(0).forEach((place) => place.remove()))

type Act = { do: 'log'; n: number } | { do: 'ack'; part: number } | { do: 'save' } | { do: 'send' }
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ do: fc.constant('log' as const), n: fc.integer({ min: 1, max: 3000 }) }),
  fc.record({ do: fc.constant('ack' as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({ do: fc.constant('save' as const) }),
  fc.record({ do: fc.constant('send' as const) }),
)

describe('a feed', () => {
  test('never lets go of a record that is neither acknowledged nor on disk', () => {
    fc.assert(fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
      const place = makePlace()
      places.push(place)
      const { dir, meeting } = place.options
      const directories = [join(dir, '.pending')]
      const spool = new Spool({ directories, meeting, capBytes: 1 << 30, notes: new Notes() })
      const owner = new Owner(place)
      const reader = openReader(listJournals(place.shm)[0]!)
      const feed = new Feed(owner.origin, reader, spool.shelf(owner.origin), 0)
      let acked = 0
      let sent = 0
      let now = 0
      for (const one of acts) {
        now++
        if (one.do === 'log') owner.log(one.n)
        if (one.do === 'save') feed.save(1 << 20, now)
        if (one.do === 'send') sent = Math.max(sent, feed.unit(sent + 1, now)?.last ?? 0)
        if (one.do === 'ack') {
          acked = Math.max(acked, Math.floor(one.part * sent))
          feed.acked(acked, 'f'.repeat(32), now)
        }
        expect(reader.counters().trimmed).toBeLessThanOrEqual(Math.max(acked, feed.shelf.last))
        expect(feed.first).toBeLessThanOrEqual(acked + 1)
      }
      reader.close()
      owner.journal.close()
    }), { numRuns: 40 })
  })

  test("does not give up what another node's agent has on a disk of its own", () => {
    const place = makePlace()
    places.push(place)
    const { dir, meeting } = place.options
    const directories = [join(dir, '.pending')]
    const spoolOf = (): Spool => new Spool({ directories, meeting, capBytes: 1 << 30, notes: new Notes() })
    const departure = { exit: 0, signal: null, cause: 'end-record' as const }
    const facts = { seq: 6, logged: 6, lost: 0, refused: 0, departure, at: 1 }
    const origin = originOf(place, { node: 'elsewhere' })
    const own = spoolOf().shelf(origin)
    own.append([], facts)
    const seen = (): Feed => new Feed(origin, null, spoolOf().recover(null)[0]!, 0, true)
    expect(seen()).toMatchObject({ first: 1, next: 1 })
    expect(seen().unit(1, 1)).toBeNull()
    expect(seen().isPart(0)).toBe(true)

    own.append([skipUnit(4, 6, 'damaged')], facts)
    expect(seen()).toMatchObject({ first: 1, next: 7 })
    expect(seen().unit(1, 1)).toBeNull()
    expect(seen().unit(4, 1)).toMatchObject({ first: 4, last: 6 })
    expect(seen().isPart(3)).toBe(true)
    expect(seen().isPart(6)).toBe(false)
  })
})
