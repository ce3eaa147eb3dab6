/** Threads, signal handlers, forks and pools: nothing is lost, nothing is disturbed. */
import { describe, expect, it } from 'vitest'
import { leave, otherPythons, PYTHON } from './kit.ts'

const START = 'import gc, os, signal, sys, threading, time, rankzero\nrun = rankzero.init()\n'
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

/**
 * Runs code that logs {m: step, n: step / 2} and appends to `done` each step whose call returned: these are
 * all there, once, in order; no record is broken; the end tells the right number.
 */
function expectWhole(code: string, env: NodeJS.ProcessEnv, ring = 4 << 20, program = PYTHON): void {
  const { stdout, stderr, journals: [left] } = leave(`import functools, rankzero.start as start
start.JournalOptions = functools.partial(start.JournalOptions, ring_bytes=${ring})
${START}
step, done = 0, []
${code}
print(" ".join(map(str, done)))
`, env, program)
  expect(left?.end, stderr).toMatchObject({ refused: 0 })
  const { logged, end } = left!
  expect(end!.logged).toBe(logged.reduce((sum, [, values]) => sum + values.length, 0))
  expect(logged.every(([step, [m, n]]) => m === step && n === step / 2)).toBe(true)
  const steps = logged.map(([step]) => step)
  expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b))
  const there = new Set(steps)
  const done = stdout.trim().split(' ').map(Number)
  expect(done.filter((step) => !there.has(step))).toEqual([])
}

describe('threads and signals', () => {
  it('eight threads log at once: every call is one whole record', () => {
    const { journals: [left], stderr } = leave(`${START}
sys.setswitchinterval(1e-5)
def work(n):
    for i in range(2000): run.log({"a%d" % n: i, "b%d" % n: i / 2}, step=i)
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
`)
    expect(stderr).toBe('')
    expect(left!.logged).toHaveLength(16_000)
    const seen = new Map<number, number[]>()
    for (const { layout, step, values } of left!.taken) {
      if (values === undefined) continue
      expect(values).toEqual([step, step! / 2])
      seen.set(layout!, [...seen.get(layout!) ?? [], step!])
    }
    expect([...seen.values()]).toEqual(upTo(8).map(() => upTo(2000)))
  })

  it('a handler that logs in the middle of log(): both are there', () => {
    const { journals: [left], stdout } = leave(`${START}
import itertools
count = itertools.count()
def handler(*_):
    n = next(count)
    run.log({"h": n}, step=n); run.text("t")
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0002)
for i in range(100000): run.log({"m": i, "n": i}, step=i)
signal.setitimer(signal.ITIMER_REAL, 0)
print(next(count))
`)
    const of = (n: number): number[] =>
      left!.logged.filter(([, values]) => values.length === n).map(([, values]) => values[0]!)
    expect(of(2)).toEqual(upTo(100_000))
    expect(Number(stdout)).toBeGreaterThan(20)
    expect(of(1).sort((a, b) => a - b)).toEqual(upTo(Number(stdout)))
    expect(left!.texts).toHaveLength(Number(stdout))
  })

  const places = [['a ring', {}], ['segments', { RANKZERO_SHM_DIR: '/proc/nowhere' }]] as const
  const everywhere = [PYTHON, ...otherPythons()]
    .flatMap((program) => places.map(([where, env]) => [where, program, env]))
  it.each(everywhere)(
    'a handler that raises in the middle of log(): what was logged is whole (%s, %s)', (_, program, env) => {
      expectWhole(`
class Stop(Exception): pass
def handler(*_): raise Stop()
signal.signal(signal.SIGALRM, handler)
stops = 0
while stops < 300:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.00005 + stops * 3e-6)
        while True:
            run.log({"m": step, "n": step / 2}, step=step)
            done.append(step)
            step += 1
    except Stop:
        step += 1
        stops += 1
`, env as NodeJS.ProcessEnv, 4 << 20, program as string)
    })

  it.each([
    ['in the ring', 4 << 20, 'step=step'], ['on the slow road', 4 << 20, 'step=step, weight=1'],
    ['on the way into segments', 4096, 'step=step'], ['where a new layout begins', 4 << 20, 'step=step'],
  ])('an exception wherever a signal can raise one, %s: what was logged is whole', (where, ring, rest) => {
    expectWhole(`
import dis
def raise_at(k):
    """Raises at the k-th place where the interpreter looks for signals: after calls, jumps back, at entry."""
    left, before = [k], {}
    def trace(frame, event, arg):
        if not frame.f_code.co_filename.startswith(os.path.dirname(rankzero.__file__)): return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            last, before[frame] = before.get(frame), dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if last is not None and (last.startswith(("CALL", "JUMP_BACKWARD", "RESUME"))):
                left[0] -= 1
                if left[0] < 0: raise KeyboardInterrupt
        return trace
    sys.settrace(trace)
for lap in range(${ring === 4096 ? 30 : 1}):
    k = lap
    while True:
        values = {"m": step, "n": step / 2}
        if ${where.includes('layout') ? 'True' : 'False'}: values["z%d" % step] = 0
        raise_at(k)
        try:
            run.log(values, ${rest})
            sys.settrace(None)
            done.append(step)
            break
        except KeyboardInterrupt:
            sys.settrace(None)
        finally:
            step += 1
            k += ${ring === 4096 ? 7 : 1}
    run.log({"m": step, "n": step / 2}, step=step)
    done.append(step)
    step += 1
`, {}, ring)
  })

  it('a handler that ends in the middle of log(), and leaves', () => {
    const { journals, status } = leave(`${START}
def handler(*_):
    run.end()
    sys.exit(7)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.02)
for i in range(10**9): run.log({"m": i}, step=i)
`)
    expect(status).toBe(7)
    const [left] = journals
    expect(left!.end).toMatchObject({ logged: left!.logged.length })
    expect(left!.logged.map(([step]) => step)).toEqual(upTo(left!.logged.length))
  })

  it('calls from within item() and __del__ wait for the outer one', () => {
    const { journals: [left] } = leave(`${START}
class Nosy:
    def item(self):
        run.log({"inner": 1}, step=1)
        return 5
class Gone:
    def __del__(self): run.log({"gone": 1}, step=2)
class Both:
    def item(self):
        Gone()
        return 6
run.log({"outer": Nosy()}, step=0); run.log({"outer": Both()}, step=3)
class Endless:
    def item(self):
        run.log({"e": self}, step=9)
        return 1
run.log({"e": Endless()}, step=9)
`)
    expect(left!.logged.slice(0, 4)).toEqual([[0, [5]], [1, [1]], [3, [6]], [2, [1]]])
    expect(left!.end!.logged).toBeLessThan(5000)
  })
})
