import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Watch } from '../../lib/aside.ts'
import { awaitEnd } from '../../lib/launch/finish.ts'
import { Disk } from '../bounds/kit.ts'

let dir = ''
beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'rz-finish-')) })
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** Processes started to look at this path: each leads a session, the child of one that is forked does not. */
function lookers(path: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const [argv, stat] = ['cmdline', 'stat'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'utf8'))
      return argv!.split('\0').includes(path) && stat!.split(') ')[1]!.split(' ')[3] === pid
    } catch {
      return false
    }
  })
}
const gone = (path: string) =>
  vi.waitFor(() => expect(lookers(path)).toEqual([]), { timeout: 20_000, interval: 50 })

function paint(file: string, picture: object): void {
  writeFileSync(`${file}.new`, JSON.stringify(picture))
  renameSync(`${file}.new`, file)
}
const picture = (state: string, pending: number): object =>
  ({ state, books: { pending }, note: 'ä'.repeat(100_000) })

it('the wait for the end looks by one process, which goes with it', async () => {
  const file = join(dir, 'status.json')
  const seen = new Set<string>()
  let painted = 0
  const painter = setInterval(() => {
    for (const pid of lookers(file)) seen.add(pid)
    painted++
    paint(file, picture(painted < 40 ? 'live' : 'ended', painted))
  }, 25)
  try {
    const status = await awaitEnd(() => Promise.resolve(dir), 60_000)
    expect(status).toMatchObject({ state: 'ended' })
    expect(seen.size).toBe(1)
    await gone(file)
  } finally {
    clearInterval(painter)
  }
})

it('a file is told when it changed, and one that is not there is nothing', async () => {
  const file = join(dir, 'status.json')
  const watch = new Watch(file)
  try {
    expect(await watch.look(20_000)).toBe('')
    for (const word of ['one', 'two']) {
      paint(file, [word])
      expect([await watch.look(20_000), await watch.look(20_000)]).toEqual([`["${word}"]`, ''])
    }
    process.kill(Number(lookers(file)[0]), 'SIGKILL')
    await gone(file)
    // The look that finds it gone may be without an answer; the one after it asks another.
    await vi.waitFor(async () => expect(await watch.look(20_000)).toBe('["two"]'), 20_000)
  } finally {
    watch.close()
  }
  await gone(file)
})

it('a disk that hangs holds one process, and nobody who looks', async () => {
  const disk = await Disk.make()
  const file = join(disk.path, 'status.json')
  const watch = new Watch(file)
  try {
    writeFileSync(file, 'one')
    expect(await watch.look(20_000)).toBe('one')
    await disk.hang()
    for (let i = 0; i < 5; i++) expect(await watch.look(100)).toBe(null)
    expect(lookers(file)).toHaveLength(1)
    await disk.go()
    expect(await watch.look(20_000)).toBe('')
  } finally {
    watch.close()
    await disk.go()
    await gone(file)
    await disk.dispose()
  }
})
