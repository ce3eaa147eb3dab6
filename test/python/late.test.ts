/** A Python worker whose journal finds no place at init(), as everything is full, and one later. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Kind } from '../../lib/record/index.ts'
import { scratch } from '../journal/helpers.ts'
import { leave, type Left } from './kit.ts'

/** As of full disks; `T_ROOM` is where they get room again, `T_WHEN` when a journal may open. */
const TRAIN = `
import os, subprocess, sys, time, rankzero
from os import environ
run = rankzero.init(project="p", config={"lr": 0.1})
log = run.log
run.params({"a": 1})
run.define("loss", "max")
for i in range(10): run.text("t" * 100_000)
for step in range(1000): log({"loss": 1, "acc": step}, step=step)
log({"loss": "high"})
for step in range(500): log({"loss": 1}, step=1000 + step, weight=2)
if os.fork() == 0:
    run.log({"child": 1})
    os._exit(0)
os.wait()
child = subprocess.run([sys.executable, "-c", "import rankzero as r; print(type(r.init()).__name__)"])
look = run._journal.look
if environ["T_WHEN"] == "at the end": run._journal.look = lambda last=False: last and look(last)
subprocess.run(["/bin/mount", "-o", "remount,size=128m", environ["T_ROOM"]], check=True)
while environ["T_WHEN"] == "meanwhile" and not run._journal.path: time.sleep(0.005)
for step in range(100): log({"loss": 2, "val": step}, step=2000 + step)
`

const bodies = ({ taken }: Left, kind: Kind): unknown[] =>
  taken.filter((record) => record.kind === kind).map(({ body }) => body)

/** A directory on a file system of its own, which is full. */
function fullPlace(): string {
  const place = mkdtempSync('/dev/shm/rz-late-')
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'rz', place])
  onTestFinished(() => {
    execFileSync('umount', ['-l', place])
    rmdirSync(place)
  })
  expect(() => writeFileSync(join(place, 'filler'), Buffer.alloc(1 << 20))).toThrow(/ENOSPC/)
  return place
}

describe.each(['shared memory', 'a disk'])('everything is full until %s has room again', (where) => {
  it.each(['meanwhile', 'at the end'])('a journal opens %s; what was lost is booked', (when) => {
    const full = fullPlace()
    const other = scratch('disk')
    const inMemory = where === 'shared memory'
    if (inMemory) {
      mkdirSync(join(other, 'runs'))
      writeFileSync(join(other, 'runs/.pending'), '')
    }
    const done = leave(TRAIN, {
      HOME: '/proc/nowhere', RANKZERO_SHM_DIR: inMemory ? full : '/proc/nowhere',
      RANKZERO_DIR: inMemory ? join(other, 'runs') : full, T_ROOM: full, T_WHEN: when,
    })
    expect(done.status, done.stderr).toBe(0)
    expect(done.stdout).toBe('SilentRun\n')
    expect(done.journals).toHaveLength(1)
    const [left] = done.journals
    const early = { loss: 1500, acc: 1000 }
    const lost = when === 'meanwhile' ? early : { ...early, loss: 1600, val: 100 }
    expect(left!.taken.map(({ seq }) => seq)).toEqual(left!.taken.map((_, i) => i + 1))
    expect(bodies(left!, Kind.open)).toEqual([{ source: 'single', project: 'p', config: { lr: 0.1 } }])
    expect(bodies(left!, Kind.params)).toEqual([{ params: { a: 1 } }])
    expect(bodies(left!, Kind.define)).toEqual([{ metric: 'loss', reduce: 'max' }])
    expect(left!.texts).toHaveLength(5)
    expect(bodies(left!, Kind.lost)).toEqual([{ points: lost, cause: 'overflow' }])
    expect(left!.refused).toEqual({ string: 1 })
    expect(left!.end).toEqual({ exit: 0, logged: 2700, refused: 1 })
    expect(left!.logged.map(([step]) => step))
      .toEqual(when === 'meanwhile' ? Array.from({ length: 100 }, (_, i) => 2000 + i) : [])
    expect(done.stderr).toContain('no directory takes a journal')
    expect(done.stderr).toContain(`${when === 'meanwhile' ? 2500 : 2700} values before are lost, and counted`)
  })
})

it('a worker says who it is as soon as there is room, on a disk that took the header alone', () => {
  const full = fullPlace()
  const filler = join(full, 'filler')
  truncateSync(filler, 0)
  mkdirSync(join(full, '.pending'), { mode: 0o700 })
  expect(() => writeFileSync(filler, Buffer.alloc(1 << 20))).toThrow(/ENOSPC/)
  truncateSync(filler, statSync(filler).size - 4096)
  const done = leave(TRAIN, {
    HOME: '/proc/nowhere', RANKZERO_SHM_DIR: '/proc/nowhere', RANKZERO_DIR: full, T_ROOM: full,
    T_WHEN: 'at the end',
  })
  expect(done.status, done.stderr).toBe(0)
  expect(done.stderr).not.toContain('no journal could be opened')
  expect(done.journals).toHaveLength(1)
  const [left] = done.journals
  expect(bodies(left!, Kind.open)).toEqual([{ source: 'single', project: 'p', config: { lr: 0.1 } }])
  expect(left!.end).toEqual({ exit: 0, logged: 2700, refused: 1 })
})
