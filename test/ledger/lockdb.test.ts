import {
  existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isHeld, tryLock } from '../../lib/ledger/lockdb.ts'
import { nodeChild, type Child } from './processes.ts'

interface Tried {
  held: boolean
  term: number | null
  state: Record<string, string> | null
}

let dir: string
let path: string
const children: Child[] = []

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rz-lock-'))
  path = join(dir, 'x.lock')
})
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGCONT')
    await child.kill()
  }
  rmSync(dir, { recursive: true })
})

async function start(n: number): Promise<Child[]> {
  const started = Array.from({ length: n }, () => nodeChild('lock.mjs', path))
  children.push(...started)
  for (const child of started) await child.next()
  return started
}

describe('in one process', () => {
  it('a held lock cannot be taken a second time, and can after its release', () => {
    const first = tryLock(path)
    expect(first).not.toBeNull()
    expect(tryLock(path)).toBeNull()
    first!.release()
    first!.release()
    const second = tryLock(path)
    expect(second).not.toBeNull()
    second!.release()
  })

  it('goes above a term that was seen elsewhere, since its file may have been lost', () => {
    const lock = tryLock(path)!
    expect([lock.advance({}, 5), lock.advance({}, 2), lock.advance({})]).toEqual([6, 7, 8])
    lock.release()
  })

  it('keeps term and state over holders', () => {
    const first = tryLock(path)!
    expect([first.term, first.state()]).toEqual([0, {}])
    expect(first.advance({ run: 'a', dir: '/x' })).toBe(1)
    expect(first.advance({ run: 'b' })).toBe(2)
    first.release()
    const second = tryLock(path)!
    expect([second.term, second.state()]).toEqual([2, { run: 'b' }])
    second.release()
  })

  it('leaves one file, or none when it unlinks one without a term', () => {
    tryLock(path)!.release()
    expect(readdirSync(dir)).toEqual(['x.lock'])
    tryLock(path)!.release({ unlink: true })
    expect(readdirSync(dir)).toEqual([])
    const withTerm = tryLock(path)!
    withTerm.advance({})
    withTerm.release({ unlink: true })
    expect(readdirSync(dir)).toEqual(['x.lock'])
    expect(tryLock(path)!.term).toBe(1)
  })

  it('names the file and the remedy when the path cannot be used', () => {
    const nowhere = join(dir, 'no', 'x.lock')
    expect(() => tryLock(nowhere)).toThrow(expect.objectContaining({
      code: 'LEDGER', message: expect.stringContaining(nowhere), remedy: expect.stringMatching(/directory/),
    }))
  })

  it('sets aside what is no lock, and begins above any term that was', () => {
    const damages: [string, (bytes: Buffer) => Buffer][] = [
      ['a text', () => Buffer.from('a text of somebody else, long enough to be a database'.repeat(9))],
      ['a term that fell', (bytes) => {
        bytes[bytes.indexOf('{"run"') - 1]! ^= 3
        return bytes
      }],
      ['a state of another run', (bytes) => {
        bytes[bytes.indexOf('"r"') + 1] = 's'.charCodeAt(0)
        return bytes
      }],
      ['a table of another name', (bytes) => Buffer.from(bytes.toString('latin1').replaceAll('lock', 'luck'),
        'latin1')],
    ]
    for (const [what, damage] of damages) {
      const first = tryLock(path)!
      for (let i = 0; i < 7; i++) first.advance({ run: 'r' })
      first.release()
      writeFileSync(path, damage(readFileSync(path)))
      const second = tryLock(path)!
      expect(second.aside, what).toMatch(/x\.lock\.damaged-\d{8}-/)
      expect(readdirSync(dir), what).toContain(basename(second.aside!))
      expect(second.state(), what).toEqual({})
      expect(second.term, what).toBeGreaterThan(1_700_000_000)
      second.release()
      const third = tryLock(path)!
      expect([third.aside, third.advance({}) > second.term], what).toEqual([null, true])
      third.release()
      for (const name of readdirSync(dir)) rmSync(join(dir, name))
    }
  })
})

describe('between processes', () => {
  it('is free as soon as its holder was killed, with the term that the holder committed', async () => {
    const [a, b] = await start(2) as [Child, Child]
    expect((await a.ask<Tried>('try')).held).toBe(true)
    expect(await a.ask('advance')).toEqual({ term: 1 })
    expect((await b.ask<Tried>('try')).held).toBe(false)
    const pid = String(a.process.pid)
    await a.kill()
    expect(await b.ask<Tried>('try')).toEqual({ held: true, term: 1, state: { pid } })
  })

  it('shows whether it is held, also by who was stopped, and is not taken by who looks', async () => {
    const [a] = await start(1) as [Child]
    expect([isHeld(path), existsSync(path)]).toEqual([false, false])
    await a.ask('try')
    a.process.kill('SIGSTOP')
    for (let i = 0; i < 3; i++) expect(isHeld(path)).toBe(true)
    a.process.kill('SIGCONT')
    expect(await a.ask('advance')).toEqual({ term: 1 })
    expect(isHeld(path)).toBe(true)
    await a.ask('release')
    expect(isHeld(path)).toBe(false)
    expect((await a.ask<Tried>('try')).held).toBe(true)
  })

  it('goes to exactly one of those that try at the same moment', async () => {
    const all = await start(6)
    for (let round = 0; round < 40; round++) {
      const answers = await Promise.all(all.map((child) => child.ask<Tried>('try')))
      expect(answers.filter((answer) => answer.held)).toHaveLength(1)
      const holder = all[answers.findIndex((answer) => answer.held)]!
      await holder.ask(round % 2 === 0 ? 'release' : 'unlink')
    }
  })

  it('stays with a holder that is stopped', async () => {
    const [a, b] = await start(2) as [Child, Child]
    await a.ask('try')
    a.process.kill('SIGSTOP')
    for (let i = 0; i < 20; i++) expect((await b.ask<Tried>('try')).held).toBe(false)
    a.process.kill('SIGCONT')
    await a.ask('release')
    expect((await b.ask<Tried>('try')).held).toBe(true)
  })

  it('has a term that never falls, whenever its holders are killed', async () => {
    let last = 0
    for (let round = 0; round < 12; round++) {
      const [child] = await start(1) as [Child]
      const tried = await child.ask<Tried>('try')
      expect(tried.held).toBe(true)
      expect(tried.term).toBeGreaterThanOrEqual(last)
      last = tried.term!
      child.process.stdin!.write('spin\n')
      for (let i = 0; i < 1 + round; i++) {
        const { term } = await child.next<{ term: number }>() as { term: number }
        expect(term).toBe(last + 1)
        last = term
      }
      await child.kill()
      last = (await child.rest<{ term: number }>()).at(-1)?.term ?? last
    }
  })

  it('has one holder at a time though every release unlinks the file', async () => {
    const all = await start(4)
    const contend = (child: Child) => child.ask<{ held: number; overlaps: number }>('contend')
    const answers = await Promise.all(all.map(contend))
    expect(answers.map((answer) => answer.overlaps)).toEqual([0, 0, 0, 0])
    expect(answers.reduce((sum, answer) => sum + answer.held, 0)).toBeGreaterThan(20)
    expect(existsSync(path)).toBe(false)
  })
})
