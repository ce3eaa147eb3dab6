import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Capture } from '../../lib/logger/capture.ts'
import { bootId, procStart } from '../../lib/journal/index.ts'
import { Kind } from '../../lib/record/index.ts'

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))

interface Line {
  rank: number
  seq: number
  kind?: Kind
  body?: any
  values?: Record<string, string>
  step?: number
  weight?: string
}

let dir = ''
let shm = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rz-logger-'))
  shm = mkdtempSync('/dev/shm/rz-logger-')
})
afterEach(() => {
  for (const path of [dir, shm]) rmSync(path, { recursive: true, force: true })
})

type Env = Record<string, string | undefined>

function start(args: string[], env: Env) {
  const clean = Object.entries(process.env)
    .filter(([name]) => !/^(RANKZERO_|SLURM_|OMPI_|PMI|VITEST|NODE_)/.test(name))
  const child = spawn(process.execPath, [file('trainer.mjs'), ...args], {
    env: {
      ...Object.fromEntries(clean), RANKZERO_DIR: dir, RANKZERO_SHM_DIR: shm, RANKZERO_CLI: file('agent.mjs'),
      RANKZERO_EXIT_TIMEOUT: '8', HOME: dir, ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exit = once(child, 'exit') as Promise<[number, string]>
  return { child, out: text(child.stdout), err: text(child.stderr), exit }
}

async function train(args: string[], env: Env = {}) {
  const begun = performance.now()
  const { out, err, exit } = start(args, env)
  const [code] = await exit
  const lines = (await out).split('\n').filter(Boolean).map((line) => JSON.parse(line) as any)
  return { code, lines, err: await err, ms: performance.now() - begun }
}

function drained(): Line[] {
  const path = join(dir, 'drained.jsonl')
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Line)
}
const bodies = (kind: Kind) => drained().filter((line) => line.kind === kind).map((line) => line.body)
const agents = () => readdirSync(dir).filter((name) => name.startsWith('agent-'))
const supervisor = () => `${process.pid}:${procStart(process.pid)}:${bootId()}`

describe('capture', () => {
  it('records what is printed, line by line, and prints it all the same', async () => {
    const { out, err, exit } = start(['captures'], {})
    expect((await exit)[0]).toBe(0)
    expect(await out).toBe(
      'before\nout 1\npartial 漢\nti\nERR_STREAM_NULL_VALUES\nwithin\nlast\nno end\nafter\n')
    expect(await err).toBe('err\n\r 10%\r100%')
    const texts = bodies(Kind.text)
    const of = (stream: string) => texts.filter((body) => body.stream === stream).map(({ line }) => line)
    expect(of('stdout')).toEqual(
      ['out 1', 'partial 漢', 'ti', 'ERR_STREAM_NULL_VALUES', 'within', 'last', 'no end'])
    expect(of('stderr')).toEqual(['err', '100%'])
  })

  it('puts write() back as it was, unless somebody wrapped it since', () => {
    const { write } = process.stdout
    const lines: string[] = []
    const first = new Capture((line, stream) => lines.push(`${stream} ${line}`))
    const ours = process.stdout.write
    const other = process.stdout.write = function (this: typeof process.stdout, ...args: never) {
      return Reflect.apply(ours, this, args)
    } as typeof ours
    first.stop()
    expect(process.stdout.write).toBe(other)
    process.stdout.write = write
    const second = new Capture((line) => {
      lines.push(line)
      process.stderr.write(`[not captured: ${line}]\n`)
    })
    process.stderr.write('said\n')
    second.stop()
    expect([process.stdout.write, lines]).toEqual([write, ['said']])
  })
})

describe('a run from init to end', () => {
  it('is delivered as it was logged, and end() waits for that', async () => {
    const { code, lines, err } = await train(['end'])
    expect(code).toBe(0)
    expect(lines).toEqual([{
      before: null, id: 'the-run', rank: 0, worldSize: 1, localRank: 0, node: hostname(),
    }])
    const all = drained()
    expect(all[0]).toMatchObject({
      seq: 1, kind: Kind.open,
      body: { source: 'single', project: 'p', name: 'n', key: 'k', config: { lr: 0.1 } },
    })
    const values = all.filter((line) => line.values)
    expect(values).toHaveLength(100)
    expect(values[99]).toMatchObject({ step: 99, weight: '2', values: { loss: '0.01', acc: '-0' } })
    expect([bodies(Kind.params), bodies(Kind.text), bodies(Kind.define), bodies(Kind.resume)]).toEqual([
      [{ params: { a: 1 } }], [{ line: 'hello' }], [{ metric: 'loss', reduce: 'max' }], [{ step: 50 }],
    ])
    expect(bodies(Kind.refused)).toEqual([{ values: { loss: 1 }, causes: { string: 1 } }])
    expect(bodies(Kind.end)).toEqual([{ exit: 0, logged: 200, refused: 1 }])
    expect(err.trim().split('\n')).toEqual([
      expect.stringMatching(/^rankzero: rank 0: log\(\) of 'loss' with "high"/),
    ])
  })

  it('works without the addon', async () => {
    const { code } = await train(['end'], { RANKZERO_NATIVE: '0' })
    expect(code).toBe(0)
    expect(bodies(Kind.end)).toEqual([{ exit: 0, logged: 200, refused: 1 }])
  })

  it('starts an agent with meeting and directory', async () => {
    await train(['falls'])
    const [agent] = agents()
    const call = readFileSync(join(dir, agent!), 'utf8')
    expect(call).toMatch(new RegExp(`^agent --meeting [0-9a-f]{32} --dir ${dir}$`))
  })
})

describe('ways to leave', () => {
  it.each([
    ['falls', 0, undefined], ['exits', 3, undefined], ['getter', 4, undefined],
    ['throws', 1, { type: 'TypeError', message: 'broken' }],
    ['rejects', 1, { type: 'RangeError', message: 'refused' }],
  ])('%s: the exit hook writes status %i and waits until all is safe', async (scenario, exit, error) => {
    const { code } = await train([scenario])
    expect(code).toBe(exit)
    const logged = scenario === 'getter' ? 0 : 1
    expect(bodies(Kind.end)).toEqual([{ exit, ...error && { error }, logged, refused: 0 }])
  })

  it('a kill leaves the records for the agent', async () => {
    const { child, exit } = start(['hangs'], {})
    await once(child.stdout, 'data')
    child.kill('SIGTERM')
    expect(await exit).toEqual([null, 'SIGTERM'])
    await expect.poll(() => drained().some((line) => line.values), { timeout: 10_000 }).toBe(true)
    expect(bodies(Kind.end)).toEqual([])
  })

  it('gives up after the exit timeout and says where the records wait', async () => {
    const { code, err } = await train(['exits'], { TEST_AGENT: 'dead', RANKZERO_EXIT_TIMEOUT: '0.5' })
    expect(code).toBe(3)
    expect(err).toMatch(/4 of 4 records were not delivered within 0.5 s.*\.jnl.*rankzero sync/)
  })

  it('does not wait under a live supervisor, and does under a dead one', async () => {
    const env = { TEST_AGENT: 'dead', RANKZERO_RUN: 'r1', RANKZERO_EXIT_TIMEOUT: '2' }
    const alive = await train(['falls'], { ...env, RANKZERO_SUPERVISOR: supervisor() })
    expect(alive.err).toBe('')
    expect(agents()).toEqual([])
    const dead = await train(['falls'], { ...env, RANKZERO_SUPERVISOR: supervisor().replace(/:\d+:/, ':1:') })
    expect(dead.err).toContain('were not delivered within 2 s')
    expect(readFileSync(join(dir, agents()[0]!), 'utf8')).toContain('--run r1')
  })

  it('names a RANKZERO_CLI that is not there, and does without it', async () => {
    const env = { RANKZERO_CLI: '/nowhere/rankzero', RANKZERO_RUN: 'r1', RANKZERO_SUPERVISOR: supervisor() }
    const { code, err } = await train(['falls'], env)
    expect(code).toBe(0)
    expect(err).toContain("RANKZERO_CLI is '/nowhere/rankzero': no such file; ignored.")
  })
})

describe('one logger per rank', () => {
  it('a second init gives the open run and one warning', async () => {
    const { lines, err } = await train(['twice'])
    expect(lines).toEqual([[true, true, true, true]])
    expect(err.match(/called again with other arguments/g)).toHaveLength(1)
  })

  it('an ended run refuses, and init() opens a new one', async () => {
    const { lines, err } = await train(['again'])
    expect(lines).toEqual([true])
    expect(err).toContain('run.end() was called before')
    expect(drained().flatMap((line) => Object.keys(line.values ?? {}))).toEqual(['a', 'b'])
  })

  it('a forked child with the rank of its parent records nothing', async () => {
    const { lines } = await train(['parent', '{}', '{}'])
    expect(lines).toEqual([{ rank: 0, worldSize: 1 }])
    expect(drained().flatMap((line) => Object.keys(line.values ?? {}))).toEqual(['parent'])
  })

  it('a forked child that nobody gave a rank records nothing, whatever its parent is', async () => {
    await train(['parent', '{"rank":1,"worldSize":2}', '{}'])
    expect(drained().flatMap((line) => Object.keys(line.values ?? {}))).toEqual(['parent'])
  })

  it('a forked child with a rank of its own joins the run of its parent', async () => {
    await train(['parent', '{"rank":0,"worldSize":2}', '{"rank":1,"worldSize":2}'])
    const points = drained().filter((line) => line.values)
      .map((line) => [line.rank, Object.keys(line.values!)[0]])
    expect(points.sort()).toEqual([[0, 'parent'], [1, 'child']])
    const meetings = agents().map((name) => readFileSync(join(dir, name), 'utf8').split(' ')[2])
    expect(new Set(meetings).size).toBe(1)
  })

  it('a worker thread records nothing', async () => {
    const { code } = await train(['threads'])
    expect(code).toBe(0)
    expect(drained().flatMap((line) => Object.keys(line.values ?? {}))).toEqual(['main'])
  })

  it('says that a world of too many ranks in the environment is ignored, and trains', async () => {
    const { code, err } = await train(['falls'], { RANK: '7', WORLD_SIZE: '1048577', LOCAL_RANK: '7' })
    expect(code).toBe(0)
    expect(err).toMatch(/env: more than 1048576 ranks: RANK=7 WORLD_SIZE=1048577.*ignored.*rank 0 of 1/)
    expect(drained().filter((line) => line.values)).toMatchObject([{ rank: 0 }])
  })

  it('refuses a rank that contradicts itself', async () => {
    const { lines } = await train(['wrong'])
    expect(lines).toMatchObject([{ code: 'USAGE', message: 'init({ rank }) is 3, but worldSize is 2' }])
  })
})

describe('places and leftovers', () => {
  it('trains on without a journal, and says what is lost', async () => {
    rmSync(shm, { recursive: true })
    writeFileSync(shm, '')
    const blocked = join(dir, 'file')
    writeFileSync(blocked, '')
    const places = { RANKZERO_DIR: join(blocked, 'x'), HOME: join(blocked, 'y') }
    const { code, err } = await train(['falls'], places)
    expect(code).toBe(0)
    expect(err).toContain('no journal could be opened, so what this rank logs is lost, and counted')
    expect(err).toContain('no journal could be opened: 1 values were not recorded')
  })

  describe.each(['shared memory', 'a disk'])('everything is full until %s has room again', (where) => {
    let full = ''
    let env: Env = {}
    beforeEach(() => {
      const inMemory = where === 'shared memory'
      full = inMemory ? shm : dir
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'rz', full])
      expect(() => writeFileSync(join(full, 'filler'), Buffer.alloc(1 << 20))).toThrow(/ENOSPC/)
      env = { HOME: '/proc/nowhere', ...!inMemory && { RANKZERO_SHM_DIR: '/proc/nowhere' } }
      if (inMemory) writeFileSync(join(dir, '.pending'), '')
    })
    afterEach(() => execFileSync('umount', ['-l', full]))

    it.each(['meanwhile', 'at the end'])('a journal opens %s; what was lost is booked', async (when) => {
      const journals = where === 'shared memory' ? shm : join(dir, '.pending')
      const { code, lines, err } = await train(['late', full, journals, when], env)
      expect(code, err).toBe(0)
      const before = { loss: 1500, acc: 1000 }
      const lost = when === 'meanwhile' ? before : { ...before, loss: 1600, val: 100 }
      expect(lines).toHaveLength(1)
      const all = drained()
      expect(all[0]).toMatchObject({ kind: Kind.open, body: { project: 'p', config: { lr: 0.1 } } })
      expect(bodies(Kind.params)).toEqual([{ params: { a: 1 } }])
      expect(bodies(Kind.define)).toEqual([{ metric: 'loss', reduce: 'max' }])
      // Texts may take half of what waits.
      expect(bodies(Kind.text)).toHaveLength(5)
      expect(bodies(Kind.lost)).toEqual([{ points: lost, cause: 'overflow' }])
      expect(bodies(Kind.refused)).toEqual([{ values: { loss: 1 }, causes: { string: 1 } }])
      expect(bodies(Kind.end)).toEqual([{ exit: 0, logged: 2700, refused: 1 }])
      const steps = all.filter((line) => line.values).map((line) => line.step)
      expect(steps).toEqual(when === 'meanwhile' ? Array.from({ length: 100 }, (_, i) => 2000 + i) : [])
      expect(err).toContain('no directory takes a journal')
      expect(err).toContain(`${when === 'meanwhile' ? 2500 : 2700} values before are lost, and counted`)
    }, 30_000)
  })

  it('says who it is as soon as there is room, on a disk that took the header alone', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'rz', dir])
    try {
      mkdirSync(join(dir, '.pending'), { mode: 0o700 })
      const filler = join(dir, 'filler')
      expect(() => writeFileSync(filler, Buffer.alloc(1 << 20))).toThrow(/ENOSPC/)
      truncateSync(filler, statSync(filler).size - 4096)
      const env = { RANKZERO_SHM_DIR: '/proc/nowhere', HOME: '/proc/nowhere' }
      const { code, err } = await train(['late', dir, join(dir, '.pending'), 'at the end'], env)
      expect(code, err).toBe(0)
      expect(err).not.toContain('no journal could be opened')
      expect(bodies(Kind.open)).toEqual([{ source: 'single', project: 'p', config: { lr: 0.1 } }])
      expect(bodies(Kind.end)).toEqual([{ exit: 0, logged: 2700, refused: 1 }])
    } finally {
      execFileSync('umount', ['-l', dir])
    }
  }, 30_000)

  it('ignores RANKZERO_RUN of an ended run, with one warning', async () => {
    mkdirSync(join(dir, 'old'))
    writeFileSync(join(dir, 'old', 'status.json'), '{"state":"ended"}')
    const { err } = await train(['falls'], { RANKZERO_RUN: 'old' })
    expect(err.match(/RANKZERO_RUN is 'old', but that run has ended/g)).toHaveLength(1)
    expect(readFileSync(join(dir, agents()[0]!), 'utf8')).not.toContain('--run')
    expect(bodies(Kind.end)).toHaveLength(1)
  })

  it('ignores unusable settings with a message, and trains', async () => {
    const { code, err } = await train(['falls'], { RANKZERO_OVERFLOW_CAP: 'much' })
    expect(code).toBe(0)
    expect(err).toContain("RANKZERO_OVERFLOW_CAP is 'much'")
  })

  it('starts an agent again when the beat stops, also under a supervisor', async () => {
    const env = { TEST_AGENT: 'dead', RANKZERO_RUN: 'r1', RANKZERO_SUPERVISOR: supervisor() }
    await train(['beats', '7500'], env)
    expect(agents()).toHaveLength(1)
  })
})
