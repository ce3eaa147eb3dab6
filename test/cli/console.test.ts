/** `rankzero console` of real runs: texts from the ledger, output from the console of --nproc. */
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLedger } from '../../lib/ledger/index.ts'
import { blockLine, type Block } from '../../lib/launch/core-collapse.ts'
import { Place, until } from '../scenario/harness.ts'

let place: Place
beforeEach(() => { place = new Place() })
afterEach(() => place.dispose())

const INDEX = resolve(import.meta.dirname, '../../dist/index.js')

/** A trainer; `rank`, `run` and `sleep` are there. */
function trainer(code: string, options = ''): string[] {
  const path = join(place.root, 'train.mjs')
  writeFileSync(path, `import { existsSync, writeFileSync } from 'node:fs'
import { init } from ${JSON.stringify(INDEX)}
const run = init(${options})
const { rank } = run
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
${code}
await run.end()
`)
  return [process.execPath, path]
}

interface Line { time: number; ranks: string; stream?: string; line: string }
const json = async (...args: string[]): Promise<Line[]> => {
  const done = await place.run(['console', '--json', ...args])
  expect(done.code, done.stderr).toBe(0)
  return done.stdout.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line) as Line)
}
const shown = async (...args: string[]): Promise<string[]> =>
  (await place.run(['console', ...args])).stdout.trimEnd().split('\n')

describe('texts and output of a run with --nproc', () => {
  it('are one stream: equal lines as one, in order of time, what differs apart', async () => {
    const code = `
run.text('begin')
await sleep(300)
for (let epoch = 0; epoch < 3; epoch++) {
  if (rank === 1) run.text('mine ' + epoch)
  run.text('epoch')
  console.log('printed ' + epoch)
  await sleep(20 * rank)
}
run.text('first\\nsecond \\x1b[2J\\x1b[31mred')`
    const done = await place.run(['run', '--nproc', '3', '--', ...trainer(code, '{ capture: true }')])
    expect(done.code, done.stderr).toBe(0)
    const lines = await json()
    const texts = lines.filter(({ stream }) => stream === undefined).map(({ ranks, line }) => [ranks, line])
    expect(texts).toEqual([
      ['0-2', 'begin'], ['1', 'mine 0'], ['0-2', 'epoch'], ['1', 'mine 1'], ['0-2', 'epoch'],
      ['1', 'mine 2'], ['0-2', 'epoch'], ['0-2', 'first\nsecond \x1b[2J\x1b[31mred'],
    ])
    // Captured as well, but said once.
    expect(lines.filter(({ stream }) => stream === 'stdout').map(({ ranks, line }) => [ranks, line]))
      .toEqual([0, 1, 2].map((epoch) => ['0-2', `printed ${epoch}`]))
    for (const { time } of lines) expect(Math.abs(Date.now() - time)).toBeLessThan(60_000)

    const people = await shown()
    expect(people).toContain('ranks 0–2: begin')
    expect(people[people.indexOf('ranks 0–2: first') + 1]).toBe('           second red')
    const ofOne = (await json('--rank', '1')).map(({ line }) => line)
    expect(ofOne).toEqual(expect.arrayContaining(['begin', 'mine 0', 'mine 1', 'mine 2']))
    expect((await json('--rank', '0')).map(({ line }) => line)).not.toContain('mine 0')
    expect(await json('--rank', '7')).toEqual([])
  })
})

/** Both wait for each other: a run may be over before a slow second rank comes. */
const IN_NODE = `
console.log('hello')
console.error(rank === 1 ? 'odd' : 'even')
process.stdout.write('no end')
writeFileSync('here-' + rank, '')
while (!existsSync('here-' + (1 - rank))) await sleep(20)`
const IN_PYTHON = `
import os, sys, time
sys.path.insert(0, ${JSON.stringify(resolve(import.meta.dirname, '../../lib/python'))})
import rankzero
with rankzero.init(capture=True) as run:
    print('hello')
    print('odd' if run.rank == 1 else 'even', file=sys.stderr)
    print('no end', end='', flush=True)
    open(f'here-{run.rank}', 'w')
    while not os.path.exists(f'here-{1 - run.rank}'): time.sleep(0.02)
`

function inPython(): string[] {
  const path = join(place.root, 'train.py')
  writeFileSync(path, IN_PYTHON)
  return ['python3', path]
}

describe('captured output', () => {
  it.each([
    ['Node', () => trainer(IN_NODE, '{ capture: true }')],
    ['Python', inPython],
  ])('of ranks in %s that were started by somebody else collapses too', async (_, write) => {
    const [node, file] = write()
    const line = [0, 1].map((rank) => `RANK=${rank} LOCAL_RANK=${rank} ${node} ${file} &`).join(' ')
    const env = {
      RANKZERO_CLI: place.cli, WORLD_SIZE: '2', LOCAL_WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: '29517',
    }
    const done = await place.run(['/bin/sh', '-c', `${line} wait`], env)
    // Two write to one pipe.
    for (const text of [/hello\n/g, /no end/g]) expect(done.stdout.match(text)).toHaveLength(2)
    await until('the end', 60_000, () => place.runs().length === 1 && place.picture()?.state === 'ended')
    const lines = (await json()).map(({ ranks, stream, line: text }) => [ranks, stream, text])
    expect(lines.filter(([, stream]) => stream === 'stdout')).toEqual(
      [['0-1', 'stdout', 'hello'], ['0-1', 'stdout', 'no end']])
    expect(lines).toContainEqual(['1', 'stderr', 'odd'])
  })
})

describe('--follow', () => {
  it('shows lines while the run is live, and ends with it', async () => {
    const code = `
run.text('early')
while (!existsSync(${JSON.stringify(join(place.root, 'go'))})) await sleep(20)
run.text('late')
console.log('printed')`
    const started = place.start(['run', '--nproc', '2', '--', ...trainer(code)])
    await until('the run', 60_000, () => place.runs().length === 1
      && existsSync(join(place.dir, place.runs()[0]!, 'ledger.sqlite')))
    const following = place.start(['console', '--follow'])
    let out = ''
    following.child.stdout!.on('data', (text) => { out += text })
    await until('the early line', 60_000, () => out.includes('ranks 0–1: early\n'))
    expect(out).not.toContain('late')
    writeFileSync(join(place.root, 'go'), '')
    expect((await started.ended).code).toBe(0)
    const done = await following.ended
    expect([done.code, done.stderr]).toEqual([0, ''])
    expect(done.stdout.split('\n')[0]).toBe('ranks 0–1: early')
    expect(done.stdout).toMatch(/: late\n/)
    expect(done.stdout).toMatch(/: printed\n/)
  })
})

describe('a run directory', () => {
  const dir = (): string => join(place.dir, '20260101-000000.000-abcdef')
  const block = (time: number, line: string): Block => ({ time, ranks: [0, 1], stream: 'stdout', line })

  it('with output only, half a line at its end, is shown as far as it is there', async () => {
    mkdirSync(join(dir(), 'console'), { recursive: true })
    writeFileSync(join(dir(), 'endpoint.json'), '{}')
    const file = join(dir(), 'console', 'collapsed.jsonl')
    // A block that was joined late has the time of the first: the order of the file counts.
    writeFileSync(file, blockLine(block(20, 'a')) + blockLine(block(10, 'b')))
    appendFileSync(file, '{"time":30,"ran')
    expect((await json()).map(({ line, time }) => [line, time])).toEqual([['a', 20], ['b', 20]])
  })

  it('with nothing said is shown as nothing, one without a ledger is told', async () => {
    mkdirSync(dir(), { recursive: true })
    writeFileSync(join(dir(), 'endpoint.json'), '{}')
    expect((await place.run(['console'])).stderr).toContain('no ledger at')
    openLedger(join(dir(), 'ledger.sqlite')).close()
    expect(await place.run(['console'])).toMatchObject({ code: 0, stdout: '', stderr: '' })
  })
})
