/** Forks and pools: children with the parent's rank are silent, children with one of their own are not. */
import { describe, expect, it } from 'vitest'
import { leave, otherPythons, PYTHON, VENV_PYTHON } from './kit.ts'

const START = `
import multiprocessing as mp, os, sys, time, rankzero
run = rankzero.init()
run.log({"x": 0}, step=0)
`
/** Each process of these tests imports torch: seconds of CPU. */
const TORCH_MS = 200_000
const PARENT = [[0, [0]], [1, [1]]]

describe('children with the rank of their parent', () => {
  it.each([PYTHON, ...otherPythons()])('a fork finds the open run silent (%s)', (program) => {
    const quiet = 'import warnings; warnings.simplefilter("ignore")'
    const { journals, stdout, stderr, status } = leave(`${quiet}${START}
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    run.log({"x": 7}, step=7); run.text("no"); run.params({"a": 1}); run.define("x"); run.resume(step=1)
    again = rankzero.init()
    again.log({"x": 8}, step=8); again.end(); run.end()
    print(type(run).__name__, type(again).__name__, run.id)
    sys.exit(3)
os.waitpid(pid, 0)
run.log({"x": 1}, step=1)
from rankzero.process import content_of
print(content_of("/proc/locks").count("POSIX") > 0)
`, {}, program)
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toBe('WorkerRun SilentRun None\nTrue\n')
    expect(journals).toHaveLength(1)
    expect(journals[0]!.logged).toEqual(PARENT)
    expect(journals[0]!.end).toMatchObject({ exit: 0, logged: 2, refused: 0 })
  })

  it('the lock of the parent stays held while children come and go', () => {
    const { stdout } = leave(`${START}
import fcntl, struct
lock = run._journal.path[:-4] + ".lock"
def holder():
    """Asked by another process: closing the file here would free the lock."""
    code = ("import fcntl, struct, sys; f = open(sys.argv[1]);"
            "print(struct.unpack('hhqqi4x', fcntl.fcntl(f, fcntl.F_GETLK, struct.pack('hhqqi4x', "
            "fcntl.F_WRLCK, 0, 0, 0, 0)))[4])")
    import subprocess
    return int(subprocess.check_output([sys.executable, "-c", code, lock]))
assert holder() == os.getpid()
for _ in range(3):
    if os.fork() == 0: os._exit(0)
    os.wait()
assert holder() == os.getpid()
with mp.get_context("fork").Pool(2) as pool: pool.map(abs, [1, 2])
assert holder() == os.getpid()
run.end()
print(holder() if os.path.exists(lock) else 0)
`)
    expect(stdout).toBe('0\n')
  })

  it.each(['fork', 'spawn', 'forkserver'])('a pool (%s): no hang, no double end, no lost point', (method) => {
    const { journals, status, stderr } = leave(`
import multiprocessing as mp, rankzero
def work(i):
    run = rankzero.init()
    run.log({"x": 100 + i}, step=100 + i)
    return type(run).__name__
if __name__ == "__main__":
    run = rankzero.init()
    run.log({"x": 0}, step=0)
    with mp.get_context("${method}").Pool(3) as pool:
        assert set(pool.map(work, range(30))) == {"SilentRun"}
        pool.close(); pool.join()
    run.log({"x": 1}, step=1)
`)
    expect([status, stderr]).toEqual([0, ''])
    expect(journals.map(({ logged }) => logged)).toEqual([PARENT])
    expect(journals[0]!.end).toMatchObject({ exit: 0, logged: 2 })
  })

  it('a fork from a handler in the middle of log(), and from another thread', () => {
    const { journals, status } = leave(`import signal, threading${START}
children = []
def handler(*_):
    if len(children) == 20: return
    pid = os.fork()
    if pid == 0:
        run.log({"x": 99}, step=99)
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise SystemExit(0)
    children.append(pid)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.002)
step = 1
while len(children) < 20:
    run.log({"x": step}, step=step); step += 1
signal.setitimer(signal.ITIMER_REAL, 0)
done = [False]
def busy():
    n = 0
    while not done[0]: run.log({"y": n}, step=n); n += 1
thread = threading.Thread(target=busy); thread.start()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        run.log({"x": 99}, step=99); run.end(); os._exit(0)
    children.append(pid)
done[0] = True; thread.join()
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
`)
    expect(status).toBe(0)
    expect(journals).toHaveLength(1)
    const [left] = journals
    expect(left!.end).toMatchObject({ exit: 0, logged: left!.logged.length, refused: 0 })
    expect(left!.logged.some(([step, [value]]) => step !== value)).toBe(false)
  })

  it('a run that is sent to another process is silent there, and itself in a copy', () => {
    const { status, stderr, journals } = leave(`
import copy, multiprocessing as mp, rankzero
def work(run):
    run.log({"x": 9}, step=9)
    assert (run.rank, type(run).__name__) == (0, "SilentRun")
if __name__ == "__main__":
    run = rankzero.init()
    run.log({"x": 0}, step=0)
    assert copy.deepcopy({"run": run})["run"] is run
    child = mp.get_context("spawn").Process(target=work, args=(run,))
    child.start(); child.join()
    assert child.exitcode == 0
    run.log({"x": 1}, step=1)
`)
    expect([status, stderr]).toEqual([0, ''])
    expect(journals.map(({ logged }) => logged)).toEqual([PARENT])
  })
})

describe('children with a rank of their own', () => {
  it.each(['fork', 'spawn'])('multiprocessing (%s): each is a worker, with its own end', (method) => {
    const { journals, status } = leave(`
import multiprocessing as mp, os, sys, rankzero
def train(rank):
    run = rankzero.init(rank=rank, world_size=4)
    run.log({"x": rank}, step=rank)
    if rank == 1: raise ValueError("rank 1 broke")
    if rank == 2: sys.exit(5)
    if rank == 3: os._exit(6)
if __name__ == "__main__":
    children = [mp.get_context("${method}").Process(target=train, args=(rank,)) for rank in range(4)]
    [c.start() for c in children]; [c.join() for c in children]
    print([c.exitcode for c in children])
`)
    expect(status).toBe(0)
    expect(journals.map(({ origin, logged }) => [origin.rank, logged])).toEqual(
      [0, 1, 2, 3].map((rank) => [rank, [[rank, [rank]]]]))
    expect(new Set(journals.map(({ origin }) => origin.meeting)).size).toBe(1)
    expect(journals.map(({ end }) => end && [end.exit, end.error])).toEqual([
      [0, undefined], [1, { type: 'ValueError', message: 'rank 1 broke' }], [5, undefined], null,
    ])
  })

  it('torch.multiprocessing.spawn, and a DataLoader with 4 forked workers', () => {
    const { journals, status, stderr } = leave(`
import warnings; warnings.simplefilter("ignore")
import rankzero, torch, torch.multiprocessing as mp
from torch.utils.data import DataLoader, Dataset
class Data(Dataset):
    def __init__(self, run): self.run = run
    def __len__(self): return 16
    def __getitem__(self, i):
        self.run.log({"never": i}, step=i)
        rankzero.init().log({"never": i}, step=i)
        return torch.tensor(float(i))
def train(rank):
    run = rankzero.init(rank=rank + 1, world_size=2)
    for step, batch in enumerate(DataLoader(Data(run), batch_size=2, num_workers=4)):
        run.log({"sum": batch.sum()}, step=step)
if __name__ == "__main__":
    mp.spawn(train, nprocs=1)
`, {}, VENV_PYTHON)
    expect([status, stderr]).toEqual([0, ''])
    const sums = Array.from({ length: 8 }, (_, step) => [step, [4 * step + 1]])
    expect(journals.map(({ origin, logged, end }) => [origin.rank, logged, end])).toEqual(
      [[1, sums, { exit: 0, logged: 8, refused: 0 }]])
  }, TORCH_MS)

  it('a failed child of torch.multiprocessing.spawn tells the exception itself', () => {
    const { journals, status } = leave(`
import rankzero, torch.multiprocessing as mp
def train(rank):
    run = rankzero.init(rank=rank, world_size=1)
    raise ArithmeticError("nan loss")
if __name__ == "__main__":
    mp.spawn(train, nprocs=1)
`, {}, VENV_PYTHON)
    expect(status).toBe(1)
    const error = { type: 'ArithmeticError', message: 'nan loss' }
    expect(journals[0]!.end).toMatchObject({ exit: 1, error })
  }, TORCH_MS)
})
