import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { RankzeroError } from '../../lib/errors.ts'
import { acquireKey, elect, type Holder, type KeyRequest } from '../../lib/lock/index.ts'

const dirs: string[] = []
afterEach(() => dirs.splice(0).forEach((dir) => rmSync(dir, { recursive: true })))
const lockDir = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'rz-lock-'))
  dirs.push(dir)
  return dir
}
const request = (lockDir: string, run: string, more: Partial<KeyRequest> = {}): KeyRequest => ({
  lockDir,
  project: 'p',
  key: 'k',
  run,
  dir: `/runs/${run}`,
  onCollision: 'fail',
  ...more,
})

describe('the lock of an experiment key', () => {
  it('refuses a second run and names the holder', async () => {
    const dir = lockDir()
    const hold = await acquireKey(request(dir, 'a'))
    const refused = (await acquireKey(request(dir, 'b')).catch(
      (error: RankzeroError) => error,
    )) as RankzeroError
    expect(refused).toMatchObject({ code: 'COLLISION', exit: 75 })
    expect(refused.detail['holder'] as Holder).toMatchObject({
      run: 'a',
      pid: process.pid,
      dir: '/runs/a',
      key: 'k',
    })
    expect(refused.message).toContain('held by run a')
    hold.end()
  })

  it('is free at once after an end, with a higher term', async () => {
    const dir = lockDir()
    const first = await acquireKey(request(dir, 'a'))
    first.end()
    first.end()
    const second = await acquireKey(request(dir, 'b'))
    expect(second.term).toBeGreaterThan(first.term)
    second.end()
  })

  it('is taken again at once by its own run after a release without an end, not by another run', async () => {
    const dir = lockDir()
    const first = await acquireKey(request(dir, 'a'))
    first.release()
    await expect(acquireKey(request(dir, 'b'))).rejects.toMatchObject({ code: 'COLLISION' })
    const again = await acquireKey(request(dir, 'a'))
    expect(again.term).toBeGreaterThan(first.term)
    again.end()
  })

  it('rests no longer when the clock was set back by an hour', async () => {
    const dir = lockDir()
    const first = await acquireKey(request(dir, 'a'))
    first.release()
    const [name] = readdirSync(dir).filter((one) => one.endsWith('.json'))
    const path = join(dir, name!)
    const { crc: _, ...holder } = JSON.parse(readFileSync(path, 'utf8')) as Holder & { crc: string }
    writeFileSync(path, JSON.stringify({ ...holder, beat: holder.beat + 3_600_000 }))
    const second = await acquireKey(request(dir, 'b', { onCollision: 'wait' }))
    expect(second.key).toBe('k')
    second.end()
  }, 40_000)

  it('renames with the first free suffix', async () => {
    const dir = lockDir()
    const holds = [await acquireKey(request(dir, 'a'))]
    for (const run of ['b', 'c']) holds.push(await acquireKey(request(dir, run, { onCollision: 'rename' })))
    expect(holds.map((hold) => hold.key)).toEqual(['k', 'k-2', 'k-3'])
    holds.forEach((hold) => hold.end())
  })

  it('waits, says for whom, and gets the key when the holder ends', async () => {
    const dir = lockDir()
    const first = await acquireKey(request(dir, 'a'))
    const told = new Promise<Holder>((resolve) => {
      void acquireKey(request(dir, 'b', { onCollision: 'wait', waiting: resolve })).then((hold) => hold.end())
    })
    expect((await told).run).toBe('a')
    const next = acquireKey(request(dir, 'c', { onCollision: 'wait' }))
    first.end()
    const hold = await next
    expect(hold.key).toBe('k')
    hold.end()
  })

  it('ends a wait that nobody wants any more', async () => {
    const dir = lockDir()
    const first = await acquireKey(request(dir, 'a'))
    let stopped = false
    const waiting = acquireKey(
      request(dir, 'b', {
        onCollision: 'wait',
        waiting: () => {
          stopped = true
        },
        stopped: () => stopped,
      }),
    )
    await expect(waiting).rejects.toMatchObject({ code: 'COLLISION' })
    first.end()
  })

  it('is one key per project', async () => {
    const dir = lockDir()
    const holds = [await acquireKey(request(dir, 'a')), await acquireKey(request(dir, 'b', { project: 'q' }))]
    expect(holds.map((hold) => hold.key)).toEqual(['k', 'k'])
    holds.forEach((hold) => hold.end())
  })
})

describe('an election', () => {
  it('has one winner, leaves no file, and can be held again', () => {
    const dir = lockDir()
    const first = elect(dir, 'agent-x')
    expect(elect(dir, 'agent-x')).toBeNull()
    expect(elect(dir, 'agent-y')).not.toBeNull()
    first?.release()
    const again = elect(dir, 'agent-x')
    expect(again).not.toBeNull()
    again?.release()
    expect(readdirSync(dir).filter((name) => name.startsWith('agent-x'))).toEqual([])
  })
})
