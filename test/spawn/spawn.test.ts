import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cliOf, spawnDaemon, type ReadyLine } from '../../lib/spawn.ts'

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const daemon = [process.execPath, file('daemon.mjs')]

interface Ready {
  pid: number
  ppid: number
  sid: number
  args: string[]
  owner: string | null
  dir: string
  cwd: string
}

const started: number[] = []
let scratch = ''
beforeEach(() => { scratch = mkdtempSync(join(tmpdir(), 'rz-spawn-')) })
afterEach(() => {
  for (const pid of started.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  rmSync(scratch, { recursive: true })
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

async function readyOf(lines: AsyncIterable<ReadyLine>): Promise<Ready> {
  for await (const line of lines) {
    if (line.ready) {
      started.push(line.ready.pid as number)
      return line.ready as unknown as Ready
    }
  }
  throw new Error('the daemon said nothing')
}

describe('spawnDaemon', () => {
  it('starts a daemon: re-parented, in a session of its own, its arguments as they are', async () => {
    const { lines } = spawnDaemon(daemon, ['a b', "c'$d"], {
      env: { ...process.env, RANKZERO_OWNER: '1:0:1:0:x', RANKZERO_DIR: 'runs' }, ready: true,
    })
    const me = await readyOf(lines)
    expect(me.ppid).not.toBe(process.pid)
    expect(isAlive(me.ppid)).toBe(true)
    expect(me.sid).not.toBe(Number(readFileSync('/proc/self/stat', 'utf8').split(' ')[5]))
    const dir = join(process.cwd(), 'runs')
    expect(me).toMatchObject({ args: ['a b', "c'$d"], owner: null, dir, cwd: '/' })
  })

  it.each(['process', 'group'])('leaves a daemon that survives SIGKILL of the parent %s', async (whom) => {
    const parent = spawn(process.execPath, [file('parent.mjs')], {
      detached: true, stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines: ReadyLine[] = []
    for await (const line of createInterface({ input: parent.stdout })) {
      lines.push(JSON.parse(line) as ReadyLine)
      if (lines.length === 2) break
    }
    expect(lines[0]).toEqual({ waiting: 'holder' })
    const { pid } = lines[1]!.ready as unknown as Ready
    started.push(pid)
    process.kill(whom === 'group' ? -parent.pid! : parent.pid!, 'SIGKILL')
    await once(parent, 'exit')
    expect(isAlive(pid)).toBe(true)
  })

  it('ends its lines when the daemon dies', async () => {
    const lines: ReadyLine[] = []
    const failing = spawnDaemon(daemon, ['--fail'], { env: process.env, ready: true })
    for await (const line of failing.lines) lines.push(line)
    expect(lines).toHaveLength(2)
  })

  it('appends output to the log, and does without a log that cannot be written', async () => {
    const log = join(scratch, 'daemon.log')
    writeFileSync(log, 'before\n')
    await readyOf(spawnDaemon(daemon, [], { env: process.env, ready: true, log }).lines)
    expect(readFileSync(log, 'utf8')).toBe('before\nto the log\n')
    const nowhere = join(scratch, 'no', 'such', 'directory', 'x.log')
    await readyOf(spawnDaemon(daemon, [], { env: process.env, ready: true, log: nowhere }).lines)
  })

  it('turns what cannot be started into an error line, never into an exception', async () => {
    const all: ReadyLine[] = []
    const options = { env: process.env, ready: true, cwd: join(scratch, 'missing') }
    for await (const line of spawnDaemon(daemon, [], options).lines) all.push(line)
    expect(all).toMatchObject([{
      error: { code: 'INTERNAL', remedy: expect.stringContaining('RANKZERO_CLI') },
    }])
    spawnDaemon(daemon, ['a\0b'], { ...options, ready: false })
    spawnDaemon(daemon, [], { ...options, ready: false })
  })

  it('does not keep the process alive when nobody reads', async () => {
    const script = `import { spawnDaemon } from '../../dist/spawn.js'
      spawnDaemon(['/bin/sleep'], ['30'], { env: process.env, ready: true })
      spawnDaemon(['/bin/sleep'], ['30'], { env: process.env, ready: false })`
    const path = file('.alone.mjs')
    writeFileSync(path, script)
    const begun = performance.now()
    const child = spawn(process.execPath, [path], { stdio: 'inherit' })
    const [code] = await once(child, 'exit') as [number]
    rmSync(path)
    expect(code).toBe(0)
    expect(performance.now() - begun).toBeLessThan(25_000)
  })
})

describe('cliOf', () => {
  it('takes RANKZERO_CLI as an array or as a path', () => {
    expect(cliOf({ RANKZERO_CLI: '["node","/x.js"]' })).toEqual(['node', '/x.js'])
    expect(cliOf({ RANKZERO_CLI: file('daemon.mjs') })).toEqual(daemon)
    expect(cliOf({ RANKZERO_CLI: '/bin/sh' })).toEqual(['/bin/sh'])
    expect(cliOf({ RANKZERO_CLI: 'rankzero' })).toEqual(['rankzero'])
    expect(cliOf({ RANKZERO_CLI: './package.json' })).toEqual([join(process.cwd(), 'package.json')])
  })

  it('names what is wrong with RANKZERO_CLI', () => {
    for (const bad of ['[', '[]', '[1]', '/nowhere/rankzero']) {
      expect(() => cliOf({ RANKZERO_CLI: bad })).toThrow(expect.objectContaining({
        code: 'USAGE', message: expect.stringContaining(`'${bad}'`),
      }))
    }
  })

  it('finds the package, then PATH, then nothing', () => {
    const main = join(scratch, 'main.js')
    const command = join(scratch, 'rankzero')
    expect(cliOf({ PATH: scratch }, main)).toBeNull()
    writeFileSync(command, '')
    expect(cliOf({ PATH: `:/none:${scratch}` }, main)).toBeNull()
    chmodSync(command, 0o755)
    expect(cliOf({ PATH: `:/none:${scratch}` }, main)).toEqual([command])
    writeFileSync(main, '')
    expect(cliOf({ PATH: scratch }, main)).toEqual([process.execPath, main])
  })
})
