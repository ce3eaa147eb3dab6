import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { runAgent } from '../../lib/agent/index.ts'
import { expected, makePlace, Owner, valueOf, type Place } from './place.ts'
import { MiniHead, pointsOf, until } from './mini-head.ts'

const places: Place[] = []
const heads: MiniHead[] = []
afterEach(() => {
  for (const head of heads.splice(0)) head.close()
  for (const place of places.splice(0)) place.remove()
})

function place(over: Parameters<typeof makePlace>[0] = {}): Place {
  const made = makePlace(over)
  places.push(made)
  return made
}

async function head(at: Place, o: ConstructorParameters<typeof MiniHead>[1] = {}): Promise<MiniHead> {
  const dir = join(at.options.dir, 'run-1')
  mkdirSync(dir, { recursive: true })
  const made = await new MiniHead(dir, o).listen(at.options.lockDir, at.options.meeting)
  heads.push(made)
  return made
}

const spools = (at: Place): string[] => {
  const directory = join(at.options.dir, '.pending', at.options.meeting)
  return existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : []
}

describe('agent', () => {
  test('delivers what is logged while it is logged, then END, then leaves nothing behind', async () => {
    const at = place()
    const aggregator = await head(at)
    const owner = new Owner(at)
    const done = runAgent(at.options)
    owner.log(1000)
    await until(() => (aggregator.books.get(owner.instance)?.acked ?? 0) >= 1002, 'live records')
    await until(() => owner.journal.acked() === 1002, 'the ack in the journal')
    expect(owner.journal.runId()).toBe('run-1')
    expect(Date.now() - owner.journal.beat()).toBeLessThan(2000)
    owner.log(10)
    owner.end()
    expect(await done).toBe(0)
    const book = aggregator.books.get(owner.instance)!
    expect(pointsOf(book)).toEqual(expected(1010))
    expect(book.end).toMatchObject({
      seq: 1013, logged: 1010, lost: 0, refused: 0, departure: { exit: 0, signal: null, cause: 'end-record' },
    })
    expect(readdirSync(at.shm)).toEqual([])
    expect(spools(at)).toEqual([])
    expect(readdirSync(at.options.lockDir).filter((name) => name.startsWith('agent-'))).toEqual([])
    const diary = readFileSync(join(at.options.dir, 'run-1', 'log', 'agent.log'), 'utf8')
    expect(diary).toContain('serves run run-1')
  })

  test('a record comes to the head although nothing follows it', async () => {
    const at = place()
    const aggregator = await head(at)
    const owner = new Owner(at)
    const done = runAgent(at.options)
    await until(() => aggregator.books.get(owner.instance)?.acked === 2, 'the definitions')
    owner.log(1)
    await until(() => aggregator.books.get(owner.instance)?.acked === 3, 'the record')
    owner.end()
    await done
  })

  test('journals of other meetings stay untouched, damaged ones are left where they are', async () => {
    const at = place()
    const aggregator = await head(at)
    const owner = new Owner(at)
    const stranger = new Owner(at, { meeting: 'f'.repeat(32) })
    stranger.end()
    const before = readFileSync(stranger.journal.path)
    const damaged = join(at.shm, `${'d'.repeat(32)}.jnl`)
    writeFileSync(damaged, Buffer.alloc(8192, 7))
    owner.log(5)
    owner.end()
    await runAgent(at.options)
    expect(pointsOf(aggregator.books.get(owner.instance)!)).toEqual(expected(5))
    expect(aggregator.books.size).toBe(1)
    expect(readFileSync(stranger.journal.path).equals(before)).toBe(true)
    expect(existsSync(damaged)).toBe(true)
  })

  test('a head that is killed and comes back elsewhere gets each record once', async () => {
    const at = place()
    const first = await head(at)
    const owner = new Owner(at)
    const done = runAgent(at.options)
    owner.log(500)
    await until(() => first.books.get(owner.instance)?.acked === 502, 'the first head')
    first.close(false)
    owner.log(500)
    const second = await head(at, { term: 2, books: first.books })
    owner.log(500)
    owner.end()
    await done
    expect(pointsOf(second.books.get(owner.instance)!)).toEqual(expected(1500))
    expect(second.books.get(owner.instance)!.end).toMatchObject({ logged: 1500 })
  })

  test('a WELCOME that answers none of its HELLOs is not for it', async () => {
    const at = place()
    const aggregator = await head(at, { ghost: { sentAt: 1, run: 'run-0', ledger: 'ledger-0' } })
    const owner = new Owner(at)
    const done = runAgent(at.options)
    owner.log(10)
    await until(() => owner.journal.acked() === 12, 'the ack in the journal')
    expect(owner.journal.runId()).toBe('run-1')
    owner.end()
    expect(await done).toBe(0)
    expect(aggregator.frames.filter((type) => type === 'HELLO')).toHaveLength(1)
    const diary = readFileSync(join(at.options.dir, 'run-1', 'log', 'agent.log'), 'utf8')
    expect(diary).not.toContain('run-0')
  })

  test('a new ledger is told where the records begin, and gets all that follows', async () => {
    const at = place()
    const first = await head(at)
    const owner = new Owner(at)
    const done = runAgent(at.options)
    owner.log(500)
    await until(() => owner.journal.acked() === 502, 'the first ledger')
    first.close(false)
    const second = await head(at, { term: 1, ledger: 'ledger-2' })
    owner.log(100)
    owner.end()
    await done
    const book = second.books.get(owner.instance)!
    expect(book.first).toBe(503)
    expect(pointsOf(book)).toEqual(expected(100, 500))
  })

  test('a dead life of a rank is settled before the next one is announced', async () => {
    const at = place()
    const one = new Owner(at, { startedAt: 1 })
    one.log(20)
    one.end(1)
    const two = new Owner(at, { startedAt: 2 })
    two.log(3)
    const aggregator = await head(at)
    const done = runAgent(at.options)
    await until(() => aggregator.books.get(two.instance)?.acked === 5, 'the second life')
    expect([...aggregator.books.keys()]).toEqual([one.instance, two.instance])
    const hellos = aggregator.frames.flatMap((type, i) => type === 'HELLO' ? [i] : [])
    expect(hellos).toHaveLength(2)
    expect(aggregator.frames.indexOf('END')).toBeLessThan(hellos[1]!)
    two.end()
    await done
  })

  test('starts a head when none is there, and not twice in a hurry', async () => {
    const starts: number[] = []
    const at = place({ startHead: () => { starts.push(performance.now()) } })
    const owner = new Owner(at)
    owner.log(5)
    const done = runAgent(at.options)
    await until(() => starts.length === 3, 'three starts')
    expect(starts[1]! - starts[0]!).toBeGreaterThan(350)
    expect(starts[2]! - starts[1]!).toBeGreaterThan(750)
    const aggregator = await head(at)
    owner.end()
    await done
    expect(pointsOf(aggregator.books.get(owner.instance)!)).toEqual(expected(5))
  })

  test('an agent without rank 0 starts no head', async () => {
    let starts = 0
    const at = place({ startHead: () => { starts++ }, exitTimeoutMs: 1000 })
    const owner = new Owner(at, { rank: 3, worldSize: 4 })
    owner.end()
    await runAgent(at.options)
    expect(starts).toBe(0)
  })

  test('without a head, records of the dead go to disk; the next agent delivers them', async () => {
    const at = place({ exitTimeoutMs: 600 })
    const owner = new Owner(at)
    owner.log(3000)
    owner.end(4)
    await runAgent(at.options)
    expect(readdirSync(at.shm)).toEqual([])
    expect(spools(at)).toHaveLength(1)

    const aggregator = await head(at)
    await runAgent(at.options)
    const book = aggregator.books.get(owner.instance)!
    expect(pointsOf(book)).toEqual(expected(3000))
    expect(book.end).toMatchObject({ logged: 3000, departure: { exit: 4, cause: 'end-record' } })
    expect(spools(at)).toEqual([])
  })

  test('a head that takes nothing makes full journals go to disk, and nothing is lost', async () => {
    const at = place()
    const aggregator = await head(at)
    const owner = new Owner(at)
    aggregator.mute = true
    const done = runAgent(at.options)
    for (let i = 0; i < 20; i++) {
      owner.log(10_000)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await until(() => spools(at).length > 0, 'a spool file')
    await until(() => owner.journal.backlogBytes() < 3 << 20, 'room in the journal')
    expect(owner.journal.lost).toBe(0)
    aggregator.mute = false
    owner.log(1000)
    owner.end()
    await done
    expect(pointsOf(aggregator.books.get(owner.instance)!)).toEqual(expected(201_000))
    expect(spools(at)).toEqual([])
  })

  test('beyond the caps what is lost is counted exactly, and the books balance', async () => {
    const at = place({ spoolCap: 512 << 10, overflowCap: 1 << 20 })
    const aggregator = await head(at)
    const owner = new Owner(at, {}, { overflowCap: 1 << 20 })
    aggregator.mute = true
    const done = runAgent(at.options)
    for (let i = 0; i < 40; i++) {
      owner.log(10_000)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(owner.journal.lost).toBeGreaterThan(0)
    const onDisk = spools(at).reduce((sum, path) => sum + readFileSync(path).length, 0)
    expect(onDisk).toBeLessThanOrEqual(512 << 10)
    aggregator.mute = false
    owner.end()
    await done
    const book = aggregator.books.get(owner.instance)!
    const points = pointsOf(book)
    expect(points.length).toBe(owner.logged)
    expect(book.end).toMatchObject({ logged: 400_000, lost: 400_000 - owner.logged })
    expect(points.filter(([step, value]) => value !== valueOf(step))).toEqual([])
  })

  test('a refused agent keeps the data on disk, tells why, and asks seldom', async () => {
    const at = place()
    const aggregator = await head(at)
    aggregator.refuseAll = true
    const owner = new Owner(at)
    owner.log(100)
    owner.end()
    await runAgent(at.options)
    expect(aggregator.frames.filter((type) => type === 'HELLO')).toHaveLength(1)
    expect(readdirSync(at.shm)).toEqual([])
    expect(spools(at)).toHaveLength(1)
  })

  test('a spool with a damaged middle is delivered around the hole, and the hole is told', async () => {
    const at = place({ exitTimeoutMs: 600 })
    const owner = new Owner(at)
    owner.log(40_000)
    owner.end()
    await runAgent(at.options)
    const [path] = spools(at)
    const bytes = readFileSync(path!)
    bytes[bytes.length >> 1]! ^= 0x10
    writeFileSync(path!, bytes)
    const aggregator = await head(at)
    await runAgent(at.options)
    const book = aggregator.books.get(owner.instance)!
    expect(book.skips).toHaveLength(1)
    const lost = book.skips[0]!.to - book.skips[0]!.from + 1
    expect(pointsOf(book)).toHaveLength(40_000 - lost)
    expect(pointsOf(book).filter(([step, value]) => value !== valueOf(step))).toEqual([])
    expect(book.end).toMatchObject({ logged: 40_000 })
  })

  test('records that the head already has in other pieces are not sent twice from the spool', async () => {
    const at = place({ exitTimeoutMs: 600 })
    const owner = new Owner(at)
    owner.log(3000)
    owner.end()
    await runAgent(at.options)
    const aggregator = await head(at)
    const { origin } = owner
    const book = { origin, first: 1, acked: 1002, batches: [], skips: [], end: null }
    aggregator.books.set(origin.instance, book)
    await runAgent(at.options)
    expect(pointsOf(aggregator.books.get(owner.instance)!)).toEqual(expected(2000, 1000))
  })

  test('a spool that takes nothing leaves the data in the journal, for the next agent', async () => {
    const at = place({ exitTimeoutMs: 500, spoolCap: 0 })
    const owner = new Owner(at)
    owner.log(10)
    owner.end()
    await runAgent(at.options)
    expect(existsSync(owner.journal.path)).toBe(true)
    const aggregator = await head(at)
    await runAgent({ ...at.options, spoolCap: 1 << 30 })
    expect(pointsOf(aggregator.books.get(owner.instance)!)).toEqual(expected(10))
  })
})
