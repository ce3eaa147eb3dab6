import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { lookAt } from '../../lib/cli/look.ts'
import { statusText } from '../../lib/cli/status-text.ts'
import { procStart } from '../../lib/journal/index.ts'
import { GOOD_HEALTH, NO_BOOKS, type RunStatus } from '../../lib/record/run-status.ts'

const RUN = '20260101-000000-abcdef'
const host = hostname()
let dir: string
let found: { run: string; dir: string }
/** A pid that was alive and is not. */
let dead: number

beforeAll(async () => {
  const child: ChildProcess = spawn('true')
  await new Promise((resolve) => child.on('exit', resolve))
  dead = child.pid!
})
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rz-status-'))
  found = { run: RUN, dir: join(dir, RUN) }
  mkdirSync(found.dir)
})
afterEach(() => rmSync(dir, { recursive: true }))

const member = (rank: number, pid: number): RunStatus['members'][number] => ({
  rank,
  instance: 'i',
  attempt: 1,
  host,
  pid,
  procStart: 0,
  state: 'live',
  lastStep: 41,
  logged: 84,
  admitted: 80,
  lost: 0,
  pending: 4,
  refused: 0,
  backlogBytes: 0,
  lagMs: 250,
})

function write(status: Partial<RunStatus>): void {
  const whole: RunStatus = {
    run: RUN,
    key: 'k',
    project: 'p',
    name: 'n',
    dir: found.dir,
    host,
    term: 1,
    state: 'live',
    status: null,
    reason: null,
    fault: null,
    ranks: 2,
    startedAt: 1000,
    endedAt: null,
    updatedAt: 4000,
    params: [],
    metricCount: 1,
    failed: [],
    members: [member(0, process.pid), member(1, dead)],
    metrics: [
      {
        metric: 'loss',
        step: 41,
        value: 0.5,
        min: 0.25,
        max: 0.75,
        minRank: 1,
        maxRank: 0,
        count: 2,
        expected: 2,
        sealed: false,
      },
    ],
    processes: [{ role: 'aggregator', host, pid: process.pid, procStart: 0 }],
    backends: [{ name: 'local', state: 'live', pending: 3 }],
    books: { ...NO_BOOKS, logged: 168, admitted: 160, merged: 157, pending: 8, open: 3 },
    health: GOOD_HEALTH,
    ...status,
  }
  writeFileSync(join(found.dir, 'status.json'), JSON.stringify(whole))
}

describe('status says what the aggregator cannot say of itself', () => {
  test('it lives: its picture stands', () => {
    write({})
    expect(lookAt(found)).toMatchObject({ state: 'live', processes: [{ alive: true }] })
    expect(lookAt(found).remedy).toBeUndefined()
  })
  test('it is dead with everyone else: interrupted, ranks gone, and sync is the remedy', () => {
    write({ processes: [{ role: 'aggregator', host, pid: dead, procStart: 0 }] })
    const status = lookAt(found)
    expect(status).toMatchObject({ state: 'interrupted', remedy: `rankzero sync ${RUN} --dir ${dir}` })
    expect(status.members.map(({ state }) => state)).toEqual(['live', 'gone'])
  })
  test("its pid is someone else's by now: interrupted", () => {
    const { pid } = process
    write({ processes: [{ role: 'aggregator', host, pid, procStart: procStart(pid) - 1 }] })
    expect(lookAt(found).state).toBe('interrupted')
  })
  test('its supervisor lives: that one starts another', () => {
    const supervisor = { role: 'supervisor', host, pid: process.pid, procStart: 0 }
    write({ processes: [supervisor, { role: 'aggregator', host, pid: dead, procStart: 0 }] })
    expect(lookAt(found).remedy).toContain(`its supervisor (pid ${process.pid}) starts a new aggregator`)
  })
  test('it is on another host: nobody can tell from here', () => {
    write({ processes: [{ role: 'aggregator', host: 'elsewhere', pid: 1, procStart: 0 }] })
    expect(lookAt(found)).toMatchObject({ state: 'live', processes: [{ alive: null }] })
  })
  test('the run has ended: that everyone is gone is as it should be', () => {
    write({
      state: 'ended',
      status: 'finished',
      processes: [{ role: 'aggregator', host, pid: dead, procStart: 0 }],
    })
    expect(lookAt(found)).toMatchObject({ state: 'ended', processes: [{ alive: false }] })
  })
  test('it died before its first picture', () => {
    const remedy = expect.stringContaining('sync')
    expect(lookAt(found)).toMatchObject({ run: RUN, state: 'interrupted', remedy })
  })
})

describe('for people', () => {
  test('one screen holds the run, its ranks and its metrics', () => {
    write({})
    const text = statusText(lookAt(found), 4200)
    const lines = text.split('\n')
    expect(lines.slice(0, 9)).toEqual([
      `run        ${RUN}  p · n`,
      'state      live, for 3.2 s',
      'key        k',
      'ranks      2 of 2, 2 live',
      'points     168 logged, 157 merged, 0 lost, 8 pending, 3 open',
      'backend    local live, 3 pending',
      `work       aggregator ${process.pid} on ${host}`,
      `directory  ${found.dir}`,
      '',
    ])
    expect(lines[10]).toMatch(/^ {3}0 {4}1 {2}live {5}41 {6}84 {8}4 {2}250 ms {2}/)
    expect(lines.slice(-3)).toEqual([
      'metric  step  value  min (rank)  max (rank)  ranks',
      'loss     41*    0.5  0.25 (1)    0.75 (0)    2/2',
      '',
    ])
  })
  test('of many ranks those that need a look are listed, the rest is counted', () => {
    const members = Array.from({ length: 40 }, (_, rank) => ({ ...member(rank, 1), lastStep: 100 + rank }))
    members[30]!.state = 'rank-conflict'
    write({ members })
    const text = statusText(lookAt(found), 4200)
    expect(text).toMatch(/^ {2}30 {4}1 {2}rank-conflict/m)
    expect(text).toMatch(/^ {3}0 {4}1 {2}live/m)
    expect(text).toContain('… 24 more ranks (--json has all)')
  })
  test('failures say who, where, how and how far', () => {
    const left = { exit: null, signal: 'SIGKILL', cause: 'pidfd', at: 4000, recovered: true }
    write({ failed: [{ ...member(1, 77), ...left }] })
    const text = statusText(lookAt(found), 4200)
    const how = 'was killed by SIGKILL, last step 41 (recovered)'
    expect(text).toContain(`failed     rank 1 on ${host} (pid 77) ${how}\n`)
  })
})
