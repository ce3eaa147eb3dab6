/** What workers print, through the supervisor: real workers, played daemons (fake-cli.js). */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseBlock } from '../../lib/launch/core-collapse.ts'
import { CLI, kill, Place, until, type Ended } from '../scenario/harness.ts'

const FAKE = JSON.stringify([process.execPath, join(import.meta.dirname, 'fake-cli.js')])
let place: Place
beforeEach(() => { place = new Place({ RANKZERO_CLI: FAKE }) })
afterEach(() => place.dispose())

const consoleDir = (): string => join(place.dir, '20260101-000000-abcdef', 'console')
const logOf = (rank: number): Buffer => readFileSync(join(consoleDir(), `rank-${rank}.log`))
const collapsed = (): unknown[] =>
  readFileSync(join(consoleDir(), 'collapsed.jsonl'), 'utf8').trim().split('\n').map(parseBlock)

/** A worker's program; the played session ends as soon as there is `done`. */
function program(file: 'worker.py' | 'worker.js', code: string): string[] {
  const path = join(place.root, file)
  const head = file === 'worker.js' ? 'const rank = Number(process.env.RANK)\n'
    : 'import os, sys, time\nrank = int(os.environ["RANK"])\n'
  writeFileSync(path, head + code)
  return [file === 'worker.js' ? process.execPath : 'python3', path]
}

function run(nproc: number, command: string[], ...options: string[]): Promise<Ended> {
  mkdirSync(place.dir, { recursive: true })
  writeFileSync(join(place.dir, 'done'), '')
  return place.run(['run', '--nproc', String(nproc), ...options, '--', ...command])
}
const shell = (line: string): string[] => ['/bin/sh', '-c', line]
const withoutOurs = (stderr: string): string => stderr.replace(/^rankzero: .*\n/gm, '')

/** Each text with all ranks that said it: on a busy machine ranks drift apart by more than the hold. */
function whoSaid(output: string): Record<string, number[]> {
  const said: Record<string, number[]> = {}
  for (const line of output.trim().split('\n')) {
    const [, ranks = '', text = ''] = /^ranks? ([\d–,]+): (.*)$/.exec(line) ?? []
    const block = parseBlock(JSON.stringify({ time: 0, ranks: ranks.replaceAll('–', '-'), line: text }))
    said[text] = [...said[text] ?? [], ...block?.ranks ?? []].sort()
  }
  return said
}

describe('collapsed', () => {
  it('equal lines are one, others stand apart, each on its stream, the whole in files', async () => {
    const code = `
print('hello')
print('seed', rank)
print('warn' if rank != 2 else 'odd', file=sys.stderr)
print('done', flush=True)
sys.exit(3 if rank == 1 else 0)`
    const done = await run(4, program('worker.py', code), '--on-failure', 'continue')
    expect(done.code, done.stderr).toBe(3)
    const all = [0, 1, 2, 3]
    expect(whoSaid(done.stdout)).toEqual({
      hello: all, ...Object.fromEntries(all.map((rank) => [`seed ${rank}`, [rank]])), done: all,
    })
    expect(whoSaid(withoutOurs(done.stderr))).toEqual({ warn: [0, 1, 3], odd: [2] })
    expect(logOf(2).toString()).toMatch(/^hello\nseed 2\n(odd\ndone|done\nodd)\n$/)
    expect(collapsed()).toContainEqual(
      { time: expect.any(Number), ranks: [2], stream: 'stderr', line: 'odd' })
  })

  it('what all ranks say at once is one line', async () => {
    const code = `
for i in range(60):
    print('tick', int(time.time() * 10), flush=True)
    time.sleep(0.1 - time.time() % 0.1)`
    const done = await run(4, program('worker.py', code))
    expect(done.stdout).toMatch(/^ranks 0–3: tick \d+$/m)
    expect(collapsed()).toContainEqual(expect.objectContaining({ ranks: [0, 1, 2, 3], stream: 'stdout' }))
  })

  it('Python does not keep lines back', async () => {
    const code = `
print('at once')
time.sleep(30)`
    const started = place.start(['run', '--nproc', '2', '--', ...program('worker.py', code)])
    let out = ''
    started.child.stdout!.on('data', (text) => { out += text })
    await until('the first lines', 60_000, () => whoSaid(out)['at once']?.length === 2)
    kill(started.child.pid, 'SIGTERM')
    writeFileSync(join(place.dir, 'done'), '')
    expect((await started.ended).code).toBe(143)
  })

  it('progress bars are shown by their last state, in a pipe', async () => {
    const code = `
const bar = (text) => new Promise((done) => setTimeout(() => { process.stderr.write(text); done() }, 10))
for (let i = 0; i <= 20; i++) await bar('\\r' + i * 5 + '%|bar')
await bar('\\n')
process.stderr.write('\\r1/2')
process.stderr.write('\\r2/2')`
    writeFileSync(join(place.root, 'package.json'), '{"type":"module"}')
    const done = await run(3, program('worker.js', code))
    expect(whoSaid(withoutOurs(done.stderr))).toEqual({ '100%|bar': [0, 1, 2], '2/2': [0, 1, 2] })
    expect(logOf(1).toString()).toContain('\r0%|bar\r5%|bar')
  })

  it('what is not UTF-8 is kept as it came, and shown with a mark', async () => {
    const code = `
sys.stdout.buffer.write(b'\\xff\\xfea\\n\\xe6\\xbc')
sys.stdout.flush()
time.sleep(0.1)
sys.stdout.buffer.write(b'\\xa2\\nend \\xe6')`
    const done = await run(2, program('worker.py', code))
    expect(whoSaid(done.stdout)).toEqual({ '\ufffd\ufffda': [0, 1], '漢': [0, 1], 'end \ufffd': [0, 1] })
    expect(logOf(0).toString('latin1')).toBe('\xff\xfea\n\xe6\xbc\xa2\nend \xe6')
  })

  it('the last words of a killed worker are shown, before our own report', async () => {
    const line = 'printf "rank $RANK says: "; [ $RANK = 1 ] && kill -9 $$; exec sleep 20'
    mkdirSync(place.dir, { recursive: true })
    writeFileSync(join(place.dir, 'done'), '')
    const done = await place.run(['run', '--nproc', '2', '--', ...shell(`${line} 2>&1`)])
    expect(done.code).toBe(137)
    expect(done.stdout).toContain('rank 1: rank 1 says: \n')
    expect(done.stderr).toContain('first failure: rank 1')
  })

  it('/dev/stdout can be opened, as in a pipe of a shell', async () => {
    const done = await run(2, shell('echo a > /dev/stdout; echo b > /dev/stderr'))
    expect([done.code, whoSaid(done.stdout)]).toEqual([0, { a: [0, 1] }])
    expect(whoSaid(withoutOurs(done.stderr))).toEqual({ b: [0, 1] })
  })

  it('a process that a worker left behind with its pipe does not keep the run', async () => {
    const done = await run(2, shell('sleep 600 & echo $! >> $RANKZERO_DIR/left; echo bye'))
    expect(whoSaid(done.stdout)).toEqual({ bye: [0, 1] })
    expect(done.code).toBe(0)
    const left = readFileSync(join(place.dir, 'left'), 'utf8').trim().split('\n')
    expect(left.map((pid) => existsSync(`/proc/${pid}`))).toEqual([true, true])
    for (const pid of left) kill(Number(pid))
  })

  it('a run without a directory keeps no files and runs all the same', async () => {
    const done = await place.run(
      ['run', '--nproc', '2', '--', ...shell('echo a')], { FAKE: JSON.stringify({ silent: true }) })
    expect(whoSaid(done.stdout)).toEqual({ a: [0, 1] })
    expect(existsSync(place.dir)).toBe(false)
  })

  it('half a line that a killed supervisor left does not spoil the next', async () => {
    mkdirSync(consoleDir(), { recursive: true })
    writeFileSync(join(consoleDir(), 'collapsed.jsonl'), '{"time":1,"ra')
    await run(1, shell('echo a'))
    expect(collapsed()).toEqual([null, { time: expect.any(Number), ranks: [0], stream: 'stdout', line: 'a' }])
  })

  it('a reader that goes away (| head) ends nobody', async () => {
    mkdirSync(place.dir, { recursive: true })
    writeFileSync(join(place.dir, 'done'), '')
    const worker = shell('for i in 1 2 3 4 5; do echo $i; sleep 0.2; done; exit 7').map((word) => `'${word}'`)
    const line = [process.execPath, CLI, 'run', '--nproc', '1', '--', ...worker].join(' ')
    const done = await place.run(['/bin/bash', '-c', `set -o pipefail; ${line} | head -n 1`])
    expect([done.code, done.stdout]).toEqual([7, 'rank 0: 1\n'])
    expect(logOf(0).toString()).toBe('1\n2\n3\n4\n5\n')
  })

  it('a full disk is told, and stops nothing', async () => {
    mkdirSync(consoleDir(), { recursive: true })
    spawn('ln', ['-s', '/dev/full', join(consoleDir(), 'rank-0.log')])
    await until('the link', 5000, () => existsSync(join(consoleDir(), 'rank-0.log')))
    const done = await run(2, shell('echo a; sleep 0.2; echo b'))
    expect([done.code, whoSaid(done.stdout)]).toEqual([0, { a: [0, 1], b: [0, 1] }])
    expect(done.stderr.match(/rank-0.log is not complete: .*No space left/g)).toHaveLength(1)
    expect(logOf(1).toString()).toBe('a\nb\n')
  })
})

describe('other ways', () => {
  it('prefix shows each line with its rank', async () => {
    const done = await run(2, shell('echo a'), '--console', 'prefix')
    expect(done.stdout.split('\n').sort()).toEqual(['', 'rank 0: a', 'rank 1: a'])
    expect(collapsed()).toContainEqual(expect.objectContaining({ stream: 'stdout', line: 'a' }))
  })
  it('raw leaves them our own streams', async () => {
    const done = await run(2, shell('echo a'), '--console', 'raw')
    expect(done.stdout).toBe('a\na\n')
    expect(existsSync(consoleDir())).toBe(false)
  })
})

describe('on a terminal', () => {
  /** What a terminal of 40 columns gets; `script` makes one. */
  const onTerminal = (command: string[], nproc: number): Promise<Ended> => {
    mkdirSync(place.dir, { recursive: true })
    writeFileSync(join(place.dir, 'done'), '')
    const line = [process.execPath, CLI, 'run', '--nproc', String(nproc), '--', ...command].join(' ')
    return place.run(['/usr/bin/script', '-qfec', `stty cols 40; exec ${line}`, '/dev/null'])
  }

  it('one rank\'s bar is redrawn in place, calmly, and lines stand above it', async () => {
    const code = `
import threading
for i in range(150):
    sys.stderr.write(f'\\r{i}|' + '#' * (i // 3))
    if i == 75: print('half', rank)
    time.sleep(0.01)
sys.stderr.write('\\rready\\n')`
    const done = await onTerminal(program('worker.py', code), 3)
    const frames = done.stdout.match(/rank \d: \d+\|[^\r]*(?=\r\x1b\[2K)/g) ?? []
    expect(frames.length).toBeGreaterThan(2)
    expect(frames.length).toBeLessThan(done.ms / 200)
    for (const frame of frames) expect([...frame].length).toBeLessThan(40)
    // The lowest rank's, from its first to its last.
    const isLowest = (frame: string): boolean => frame.startsWith('rank 0')
    const meantime = frames.slice(frames.findIndex(isLowest), frames.findLastIndex(isLowest))
    expect(meantime.filter((frame) => !isLowest(frame))).toEqual([])
    // What stays: the lines above, each whole.
    const stays = done.stdout.replace(/rank \d: \d+\|[^\r]*\r\x1b\[2K/g, '').replaceAll('\r\n', '\n')
    expect(whoSaid(withoutOurs(stays))).toEqual(
      { 'half 0': [0], 'half 1': [1], 'half 2': [2], ready: [0, 1, 2] })
  })

  it('a question without an end of line is seen, and answered', async () => {
    const code = 'print("got", input("name? ") if rank == 0 else "-")'
    mkdirSync(place.dir, { recursive: true })
    writeFileSync(join(place.dir, 'done'), '')
    const line = [process.execPath, CLI, 'run', '--nproc', '2', '--', ...program('worker.py', code)].join(' ')
    const started = place.start(['/usr/bin/script', '-qfec', line, '/dev/null'], {}, undefined, 'pipe')
    let out = ''
    started.child.stdout!.on('data', (text) => { out += text })
    await until('the question', 60_000, () => out.includes('rank 0: name? '))
    started.child.stdin!.write('ada\n')
    const done = await started.ended
    expect(done.stdout).toContain('rank 0: name? got ada')
    expect(done.code).toBe(0)
  })

  it('a terminal that is stopped (Ctrl-S) stops nobody', async () => {
    mkdirSync(place.dir, { recursive: true })
    const code = `
go = os.path.join(os.environ['RANKZERO_DIR'], 'go')
while not os.path.exists(go): time.sleep(0.01)
for i in range(3000): print('x' * 99, i)
open(os.path.join(os.environ['RANKZERO_DIR'], f'through-{rank}'), 'w')`
    const line = [process.execPath, CLI, 'run', '--nproc', '2', '--', ...program('worker.py', code)].join(' ')
    const started = place.start(['/usr/bin/script', '-qfec', line, '/dev/null'], {}, undefined, 'pipe')
    await until('the workers', 60_000, () => existsSync(join(consoleDir(), 'rank-1.log')))
    started.child.stdin!.write('\x13')
    writeFileSync(join(place.dir, 'go'), '')
    await until('both are through', 60_000, () =>
      [0, 1].every((rank) => existsSync(join(place.dir, `through-${rank}`))))
    started.child.stdin!.write('\x11')
    writeFileSync(join(place.dir, 'done'), '')
    const done = await started.ended
    expect(done.code).toBe(0)
    expect(logOf(1).toString().trim().split('\n')).toHaveLength(3000)
  })
})

describe('a supervisor that is killed', () => {
  it('leaves workers that print to go on, and their output goes to the files', async () => {
    mkdirSync(place.dir, { recursive: true })
    const code = `
for i in range(40):
    print('line', i)
    time.sleep(0.05)
print('through')`
    const started = place.start(['run', '--nproc', '2', '--', ...program('worker.py', code)])
    await until('the first lines', 60_000, () =>
      existsSync(join(consoleDir(), 'rank-0.log')) && logOf(0).length > 0)
    kill(started.child.pid)
    await until('both are through', 60_000, () =>
      [0, 1].every((rank) => /through\n$/.test(logOf(rank).toString())))
    const lines = logOf(0).toString().trim().split('\n')
    expect(lines.slice(-20)).toEqual([...Array.from({ length: 19 }, (_, i) => `line ${i + 21}`), 'through'])
    writeFileSync(join(place.dir, 'done'), '')
  })
})

describe('much output', () => {
  const WRITE = `
const line = ('rank ' + rank + ' ').padEnd(99, 'x') + '\\n'
const chunk = line.repeat(100)
for (let i = 0; i < Number(process.env.CHUNKS); i++) {
  if (!process.stdout.write(chunk)) await new Promise((resume) => process.stdout.once('drain', resume))
}
process.stdout.write('end\\n')`

  it('50 MB of four ranks come through whole, in bounded memory', async () => {
    writeFileSync(join(place.root, 'package.json'), '{"type":"module"}')
    const worker = program('worker.js', WRITE)
    mkdirSync(place.dir, { recursive: true })
    writeFileSync(join(place.dir, 'done'), '')
    const child = spawn(process.execPath, [CLI, 'run', '--nproc', '4', '--', ...worker], {
      env: { ...place.env, CHUNKS: '1250' }, stdio: ['ignore', 'pipe', 'inherit'],
    })
    const counts = [0, 0, 0, 0]
    let ends = ''
    createInterface({ input: child.stdout }).on('line', (line) => {
      const rank = /^rank (\d): rank \1 x{92}$/.exec(line)?.[1]
      if (rank === undefined) ends += `${line}\n`
      else counts[Number(rank)]!++
    })
    let peak = 0
    const watch = setInterval(() => { peak = Math.max(peak, rssOf(child.pid!)) }, 100)
    const code = await new Promise((resolve) => child.on('close', resolve))
    clearInterval(watch)
    expect(code).toBe(0)
    expect(counts).toEqual([125_000, 125_000, 125_000, 125_000])
    expect(ends).toMatch(/^(ranks? [0-3–,]+: end\n)+$/)
    expect(logOf(3).length).toBe(125_000 * 100 + 4)
    expect(peak).toBeLessThan(250 * 2 ** 20)
  })

  it('a reader that takes nothing stops nobody for long', { timeout: 240_000 }, async () => {
    writeFileSync(join(place.root, 'package.json'), '{"type":"module"}')
    const worker = program('worker.js', WRITE)
    mkdirSync(place.dir, { recursive: true })
    writeFileSync(join(place.dir, 'done'), '')
    const child = spawn(process.execPath, [CLI, 'run', '--nproc', '4', '--', ...worker], {
      env: { ...place.env, CHUNKS: '300' }, stdio: ['ignore', 'pipe', 'inherit'],
    })
    await until('all is in the files, though nothing is read', 120_000, () =>
      [0, 1, 2, 3].every((rank) => existsSync(join(consoleDir(), `rank-${rank}.log`)) &&
        logOf(rank).length === 30_000 * 100 + 4))
    let out = ''
    child.stdout.on('data', (text) => { out += text })
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0)
    const gap = /\nrankzero: [\d,]+ bytes are left out here, .*; all of it is in (.*)\n/.exec(out)
    expect(gap?.[1]).toBe(consoleDir())
  })
})

const rssOf = (pid: number): number => {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
