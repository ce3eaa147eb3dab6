import { expect, it } from 'vitest'
import { leave } from './kit.ts'

it('init(capture=True) keeps what is printed as lines, and prints it unchanged', () => {
  const { stdout, stderr, journals: [left], status } = leave(`
import logging, os, sys, rankzero
before = sys.stdout, sys.stderr
run = rankzero.init(capture=True)
assert sys.stdout.fileno() == 1 and sys.stdout.encoding and sys.stdout.errors and not sys.stdout.isatty()
assert sys.stderr.fileno() == 2 and hasattr(sys.stdout, "buffer")
print("one"); print("two\\nthree", end=""); print(" and more"); print(); print("   ")
sys.stdout.writelines(["four", "\\n"])
for i in range(0, 101, 10): print("\\r%3d%% |" % i, end="", file=sys.stderr)
print(file=sys.stderr)
logging.warning("logged")
os.write(1, b"")
print("no end", end="")
run.text("said")
sys.stdout.flush()
run.end()
assert (sys.stdout, sys.stderr) == before
print(" afterwards")
`)
  expect(status).toBe(0)
  expect(stdout).toBe('one\ntwo\nthree and more\n\n   \nfour\nno end afterwards\n')
  expect(stderr).toBe(`${Array.from({ length: 11 }, (_, i) => `\r${`${i * 10}`.padStart(3)}% |`).join('')}\n`
    + 'WARNING:root:logged\n')
  expect(left!.texts).toEqual([
    { line: 'one', stream: 'stdout' }, { line: 'two', stream: 'stdout' },
    { line: 'three and more', stream: 'stdout' }, { line: 'four', stream: 'stdout' },
    { line: '100% |', stream: 'stderr' }, { line: 'WARNING:root:logged', stream: 'stderr' },
    { line: 'said' }, { line: 'no end', stream: 'stdout' },
  ])
})

it('leaves a stream alone that somebody replaced, tells the last words of a failure, and minds forks', () => {
  const { stderr, journals: [left] } = leave(`
import io, os, sys, rankzero
run = rankzero.init(capture=True)
tee = sys.stdout
sys.stdout = mine = io.StringIO()
if os.fork() == 0:
    print("child", file=sys.stderr); sys.stderr.flush(); os._exit(0)
os.wait()
tee.write("held on to\\n")
import atexit
@atexit.register
def check(): assert sys.stdout is mine
raise RuntimeError("last words")
`)
  expect(stderr).toContain('child\n')
  expect(stderr).toContain('RuntimeError: last words')
  expect(left!.texts.map(({ line }) => line)).toEqual([
    'held on to', 'Traceback (most recent call last):', expect.stringContaining('train.py", line'),
    '    raise RuntimeError("last words")', 'RuntimeError: last words',
  ])
})

it('a stream that cannot be written to raises as it did before, and threads print whole lines', () => {
  const { journals: [left], status } = leave(`
import os, sys, threading, rankzero
run = rankzero.init(capture=True)
def work(n):
    for i in range(500): sys.stdout.write("thread %d line %d\\n" % (n, i))
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
sys.stdout.flush()
closed = open(os.devnull, "w"); closed.close()
sys.stderr._stream = closed
try:
    print("x", file=sys.stderr)
except ValueError:
    run.text("raised")
sys.stderr._stream = sys.__stderr__
`)
  expect(status).toBe(0)
  const lines = left!.texts.map(({ line }) => line)
  expect(lines.pop()).toBe('raised')
  expect(new Set(lines).size).toBe(2000)
  expect(lines.every((line) => /^thread \d line \d+$/.test(line))).toBe(true)
})
