"""Runs a command in one or more copies and accounts for everything that comes of it.

In: a plan as JSON in argv[1]: command, copies, env, dir (its files are counted), limitS, world (trainers).
Out: one JSON line. cpuS: CPU seconds of all processes that came of the command, daemons included, as the
kernel adds them up. peakMB: largest sum of proportional set sizes seen, every SAMPLE_S. wireBytes: over
loopback TCP or UDP; the command lives in a network of its own, which has loopback and nothing else (null
where we may not make one). hangPort: a port on which connections are taken and never answered. goneNs: when
each trainer was gone, CLOCK_MONOTONIC. doneNs: when the last process was. startedNs. exits: of each copy.
limited: what was left after limitS was killed.

We are the reaper of all orphans, so that no daemon is lost from the account.
"""
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNET = 0x40000000
SAMPLE_S = 0.25
"""A sample costs about 0.1 ms per process, in which it also keeps the process from mapping memory."""
POLL_MS = 2
BACKLOG = 1024

libc = ctypes.CDLL(None, use_errno=True)


def isolate():
    """A network of our own; whether we could."""
    if not shutil.which("ip") or libc.unshare(CLONE_NEWNET) != 0:
        return False
    return subprocess.run(["ip", "link", "set", "lo", "up"]).returncode == 0


def loopback_bytes():
    with open("/proc/self/net/dev") as file:
        for line in file:
            name, _, fields = line.partition(":")
            if name.strip() == "lo":
                return int(fields.split()[0])
    return 0


def descendants(pid):
    found = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task)) as file:
                found.extend(int(child) for child in file.read().split())
    except OSError:
        return []
    return found + [deeper for child in found for deeper in descendants(child)]


def memory_of(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total / 1024


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # gone since we looked


def files_of(folder):
    """Bytes on disk as the file system counts them, and how many files."""
    sizes = []
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path) and not os.path.islink(path):
                sizes.append(os.stat(path).st_blocks * 512)
    return sum(sizes), len(sizes)


def start(plan):
    copies = {}
    for rank in range(plan["copies"]):
        env = {**os.environ, **plan["env"]}
        if plan["copies"] == plan["world"]:
            env.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(plan["world"]))
        output = open(os.path.join(plan["scratch"], "output-%d.log" % rank), "ab")
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        child = subprocess.Popen(plan["command"], env=env, **streams)
        copies[child.pid] = child
    return copies


def watch_trainers(plan):
    """Each trainer holds the writing end of its pipe as long as it lives; nobody inherits it."""
    poll, ranks = select.poll(), {}
    for rank in range(plan["world"]):
        path = os.path.join(plan["scratch"], "alive-%d" % rank)
        os.mkfifo(path)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        poll.register(fd, select.POLLIN)
        ranks[fd] = rank
    return poll, ranks


def reap(copies, exits):
    """Whether any process is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        if pid in copies:
            copies[pid].returncode = exits[pid] = os.waitstatus_to_exitcode(status)


def account(plan):
    isolated = isolate()
    if plan.get("hangPort"):
        if not isolated:
            sys.exit("bench: a backend that hangs needs a network of its own, and so root")
        hanging = socket.create_server(("127.0.0.1", plan["hangPort"]), backlog=BACKLOG)
    poll, ranks = watch_trainers(plan)
    cpu_before, wire_before = children_cpu(), loopback_bytes()
    begun = time.monotonic_ns()
    copies, exits, gone = start(plan), {}, {}
    peak, processes, next_sample, limited = 0, 0, 0, False

    def look(patience_ms):
        for fd, event in poll.poll(patience_ms):
            if event & select.POLLHUP:
                gone[ranks[fd]] = time.monotonic_ns()
                poll.unregister(fd)

    while reap(copies, exits):
        look(POLL_MS)
        now = time.monotonic()
        if now >= next_sample:
            pids = descendants(os.getpid())
            peak, processes = max(peak, memory_of(pids)), max(processes, len(pids))
            next_sample = now + SAMPLE_S
            if (time.monotonic_ns() - begun) / 1e9 > plan["limitS"]:
                limited = True
                kill(pids)
    look(0)
    disk, files = files_of(plan["dir"])
    if plan.get("hangPort"):
        hanging.close()
    return {
        "isolated": isolated, "startedNs": begun, "doneNs": time.monotonic_ns(), "limited": limited,
        "goneNs": [gone.get(rank) for rank in range(plan["world"])], "exits": list(exits.values()),
        "cpuS": children_cpu() - cpu_before, "peakMB": peak, "processes": processes,
        "wireBytes": loopback_bytes() - wire_before if isolated else None, "diskBytes": disk, "files": files,
    }


if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
    sys.exit("bench: cannot become the reaper of orphans")
print(json.dumps(account(json.loads(sys.argv[1]))))
