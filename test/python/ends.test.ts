import { describe, expect, it } from 'vitest'
import { leave } from './kit.ts'

const START = 'import os, sys, threading, signal, time, rankzero\n'
  + 'run = rankzero.init()\nrun.log({"x": 1}, step=0)\n'

describe('how a Python worker ends', () => {
  it.each([
    ['nothing at all', '', 0, { exit: 0 }],
    ['end()', 'run.end()', 0, { exit: 0 }],
    ['sys.exit(3)', 'sys.exit(3)', 3, { exit: 3 }],
    ['exit(4)', 'exit(4)', 4, { exit: 4 }],
    ['sys.exit("words")', 'sys.exit("words")', 1, { exit: 1 }],
    ['sys.exit(0)', 'sys.exit(0)', 0, { exit: 0 }],
    ['an exception', 'raise TypeError("broke")', 1,
      { exit: 1, error: { type: 'TypeError', message: 'broke' } }],
    ['an exception, told by sys.exit(1)', 'try:\n  1 / 0\nexcept ZeroDivisionError:\n  sys.exit(1)', 1,
      { exit: 1, error: { type: 'ZeroDivisionError', message: 'division by zero' } }],
    ['an exception and finally: run.end()', 'try:\n  raise OSError("io")\nfinally:\n  run.end()', 1,
      { exit: 1, error: { type: 'OSError', message: 'io' } }],
    ['an exception in a with block', 'with run:\n  raise KeyError("k")', 1,
      { exit: 1, error: { type: 'KeyError', message: "'k'" } }],
    ['a with block', 'with run:\n  pass', 0, { exit: 0 }],
    ['sys.exit(5) in a with block', 'with run:\n  sys.exit(5)', 5, { exit: 5 }],
    ['an exception in a thread', 't = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()', 0,
      { exit: 1, error: { type: 'ZeroDivisionError', message: 'division by zero' } }],
    ['sys.exit in a thread', 't = threading.Thread(target=lambda: sys.exit(3))\nt.start(); t.join()', 0,
      { exit: 0 }],
    ['an exception while another hook is there',
      'before = sys.excepthook\nsys.excepthook = lambda *a: before(*a)\nraise ValueError("v")', 1,
      { exit: 1, error: { type: 'ValueError', message: 'v' } }],
    ['a sys.exit that was caught, then end()', 'try:\n  sys.exit(3)\nexcept SystemExit: pass\nrun.end()', 0,
      { exit: 0 }],
    ['sys.exit(3) with atexit.register(run.end)', 'import atexit\natexit.register(run.end)\nsys.exit(3)', 3,
      { exit: 3 }],
    ['a handled exception', 'try:\n  1 / 0\nexcept ZeroDivisionError:\n  pass\nrun.end()', 0, { exit: 0 }],
  ])('%s', (_, code, status, end) => {
    const done = leave(START + code)
    expect([done.status, done.journals.length]).toEqual([status, 1])
    const [left] = done.journals
    expect(left!.end).toEqual({ ...end, logged: 1, refused: 0 })
    expect(left!.logged).toEqual([[0, [1]]])
    expect(left!.alive).toBe(false)
  })

  it.each([
    ['os._exit', 'os._exit(0)', 0, null], ['SIGKILL', 'os.kill(os.getpid(), 9)', null, 'SIGKILL'],
    ['SIGTERM', 'os.kill(os.getpid(), 15)', null, 'SIGTERM'],
  ])('%s leaves no end, and every record', (_, code, status, signal) => {
    const done = leave(START + code)
    expect([done.status, done.signal]).toEqual([status, signal])
    expect(done.journals).toMatchObject([{ end: null, logged: [[0, [1]]], alive: false }])
  })

  it('Ctrl-C is a failure with its name, and Python still dies of the signal', () => {
    const done = leave(`${START}os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)`)
    expect(done.signal).toBe('SIGINT')
    expect(done.journals[0]!.end).toMatchObject({ exit: 130, error: { type: 'KeyboardInterrupt' } })
  })

  it('a training that runs inside an except block is none of its failures', () => {
    const done = leave('import rankzero\ntry:\n  import nothing_of_this_name\nexcept ImportError:\n'
      + '  run = rankzero.init()\n  run.log({"x": 1}, step=0)\n  run.end()')
    expect(done.journals[0]!.end).toMatchObject({ exit: 0 })
  })

  it('calls after the end are told, counted and harmless; init() begins anew', () => {
    const done = leave(`${START}run.end()\nrun.end()\nrun.log({"x": 2}, step=1)\nrun.text("late")\n`
      + 'other = rankzero.init()\nassert other is not run\nother.log({"x": 3}, step=2)\n')
    expect(done.journals).toHaveLength(2)
    expect(done.journals.map(({ logged }) => logged)).toEqual([[[0, [1]]], [[2, [3]]]])
    expect(done.stderr).toContain('run.end() was called before')
  })
})

describe('init()', () => {
  it('returns the open run, and says once that other arguments are ignored', () => {
    const done = leave(`${START}assert rankzero.init() is run\nassert rankzero.init(name="b") is run\n`
      + 'assert rankzero.init(name="c") is run')
    expect(done.journals).toHaveLength(1)
    expect(done.stderr.match(/called again with other arguments/g)).toHaveLength(1)
  })

  it('raises for a rank that contradicts itself, with value and remedy', () => {
    const done = leave('import rankzero\nrankzero.init(rank=2, world_size=2)')
    expect(done.stderr).toContain('RankzeroError: init(rank=) is 2, but world_size is 2. Pass rank and')
  })

  it('raises for a world of too many ranks; one in the environment is ignored, which is said', () => {
    const done = leave('import rankzero\nrankzero.init(rank=2, world_size=2**20 + 1)')
    expect(done.stderr).toContain(
      'RankzeroError: init(world_size=) is 1048577: more than 1048576 ranks. Pass rank and')
    const { status, stderr, journals } = leave(START, { RANK: '7', WORLD_SIZE: '1048577', LOCAL_RANK: '7' })
    expect(status).toBe(0)
    expect(stderr).toMatch(/env: more than 1048576 ranks: RANK=7 WORLD_SIZE=1048577.*ignored.*rank 0 of 1/)
    expect(journals[0]!.origin).toMatchObject({ rank: 0, worldSize: 1 })
  })

  it('writes who it is, and its arguments', () => {
    const done = leave('import rankzero\nrankzero.init(project="p", name="n", key="k", '
      + 'config={"lr": float("nan"), "big": 2**80}, rank=1, world_size=4, local_rank=0)')
    const [left] = done.journals
    expect(left!.origin).toMatchObject({ rank: 1, worldSize: 4, localRank: 0, role: 'worker', run: null })
    expect(left!.taken[0]!.body).toEqual({
      source: 'argument', project: 'p', name: 'n', key: 'k', config: { lr: 'NaN', big: `${2n ** 80n}` },
    })
  })

  it('tells once where records wait when there is no rankzero command', () => {
    const done = leave(START, { RANKZERO_CLI: '/nowhere/rankzero' })
    expect(done.stderr).toMatch(/RANKZERO_CLI is '\/nowhere\/rankzero': no such file; ignored/)
  })

  it('goes to .pending when there is no shared memory', () => {
    const done = leave(`${START}print(run._journal.path)`, { RANKZERO_SHM_DIR: '/proc/nowhere' })
    expect(done.stdout).toMatch(/\/runs\/\.pending\/[0-9a-f]{32}\.jnl\n$/)
  })

  it('records nothing and breaks nothing when no directory takes a journal', () => {
    const done = leave(`${START}run.params({"a": 1})\nrun.end()`, {
      RANKZERO_SHM_DIR: '/proc/nowhere', RANKZERO_DIR: '/proc/nowhere', HOME: '/proc/nowhere',
    })
    expect(done.status).toBe(0)
    expect(done.stderr).toContain('no journal could be opened, so what this rank logs is lost, and counted')
    expect(done.stderr).toContain('no journal could be opened: 1 values were not recorded')
  })
})
