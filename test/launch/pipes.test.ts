import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it, vi } from 'vitest'

const PIPES = resolve(import.meta.dirname, '../../dist/launch/pipes.js')

it.each([['while a writer lives, and then goes', 1], ['and goes at once when there is none', 0]])(
  'the keeper of the pipes of a killed process reads on %s', async (_, writes) => {
    const dir = mkdtempSync(join(tmpdir(), 'rz-pipes-'))
    try {
      const files = ['out', 'err'].map((name) => join(dir, name))
      const script = `
        import { spawn, spawnSync } from 'node:child_process'
        import { keepReading, makePipes } from ${JSON.stringify(PIPES)}
        const pipes = makePipes(2)
        keepReading(pipes, ${JSON.stringify(files)})
        if (${writes}) spawn('/bin/sh', ['-c', 'sleep 1; echo said'], {
          stdio: ['ignore', pipes[0].write, pipes[1].write], detached: true })
        setTimeout(() => process.kill(process.pid, 'SIGKILL'), 300)`
      await once(spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' }), 'exit')
      await vi.waitFor(() => expect(holders(dir)).toEqual([]), { timeout: 20_000, interval: 100 })
      if (writes) expect(readFileSync(files[0]!, 'utf8')).toBe('said\n')
      expect(existsSync(files[1]!)).toBe(true)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

/** Processes that name something of this directory. */
function holders(dir: string): string[] {
  const all = spawnSync('pgrep', ['-f', dir], { encoding: 'utf8' }).stdout
  return all.split('\n').filter((pid) => pid !== '' && Number(pid) !== process.pid)
}
